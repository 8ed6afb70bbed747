/**
 * Device names: what people call the functions of a topology.
 *
 * From the system's PCI id list; without one from what the capture itself called a device; without that
 * from short built-in lists of vendors and classes, with the device id as a number. Names are for
 * reading only: no rule and no verdict asks for one.
 *
 * Names that the operating system gives (`nvme0n1`, `mlx5_0`) are in `MachineFacts.osNames`.
 */
import { hex } from "../bdf.ts";
import { ID_UNKNOWN } from "../function-record.ts";
import type { Topology } from "../topology.ts";
import { nameOfClass } from "./class-names.ts";
import { openPciIdList, type PciIdList, SYSTEM_PCI_IDS } from "./pci-id-list.ts";
import { shortDevice, shortVendor, splitAtCompany } from "./short-name.ts";
import { longVendorName, shortVendorName } from "./vendor-names.ts";

const NVME_KIND = 0x0108;
/** Offset of the subsystem's ids in a header of type 0 (PCI 3.0, 6.2.4). */
const SUBSYSTEM_OFFSET = 0x2c;

interface Ids {
  readonly vendor: number;
  readonly device: number;
  readonly classKind: number;
}

/** Names by ids and by function. Make one and keep it: looking up again costs next to nothing. */
export class DeviceNames {
  /** Path of the list, or `built-in`. */
  readonly source: string;
  readonly #list: PciIdList | undefined;

  constructor(source = "built-in", list?: PciIdList) {
    this.source = source;
    this.#list = list;
  }

  /** `NVIDIA`; undefined for a vendor that no list has. */
  vendorName(vendor: number): string | undefined {
    if (vendor === ID_UNKNOWN) {
      return undefined;
    }
    const long = this.#list?.vendor(vendor);
    return shortVendorName(vendor) ?? (long === undefined ? undefined : shortVendor(long));
  }

  /** As in the list: `AD102GL [RTX 6000 Ada Generation]`. */
  deviceName(vendor: number, device: number): string | undefined {
    return this.#list?.device(vendor, device);
  }

  /** Name of a card, as in the list, by its maker's own ids. */
  subsystemName(
    vendor: number,
    device: number,
    subsystemVendor: number,
    subsystemDevice: number,
  ): string | undefined {
    return this.#list?.subsystem(vendor, device, subsystemVendor, subsystemDevice);
  }

  /** `Non-Volatile memory controller`, by 24 bits of class code. */
  className(classCode: number): string {
    return nameOfClass(classCode >> 8) ?? `Class ${hex(classCode >> 8, 4)}`;
  }

  /** `NVIDIA RTX 6000 Ada`, `Samsung PM9A1/PM9A3/980PRO`; never empty. At most about 50 characters. */
  shortNameOf(topology: Topology, row: number): string {
    const ids = idsOf(topology, row);
    const vendor = this.vendorName(ids.vendor);
    const listed = this.#driveName(topology, row, ids) ?? this.deviceName(ids.vendor, ids.device);
    if (listed !== undefined) {
      return joined(vendor, shortDevice(listed, vendor ?? ""));
    }
    const printed = printedDevice(topology, row, ids);
    const parts = vendor === undefined ? splitAtCompany(printed ?? "") : undefined;
    const device = parts?.device ?? printed;
    const maker = vendor ?? parts?.vendor;
    return joined(
      maker,
      device === undefined ? this.#plainDevice(ids) : shortDevice(device, maker ?? ""),
    );
  }

  /** `NVIDIA Corporation AD102GL [RTX 6000 Ada Generation] [10de:26b1]`, as lspci would print it. */
  fullNameOf(topology: Topology, row: number): string {
    const ids = idsOf(topology, row);
    const vendor = this.#list?.vendor(ids.vendor) ?? longVendorName(ids.vendor);
    const device = this.deviceName(ids.vendor, ids.device);
    const known = vendor === undefined || device === undefined ? undefined : `${vendor} ${device}`;
    const printed = topology.facts.modelNames.get(topology.bdfOf(row));
    const name = known ?? printed ?? this.shortNameOf(topology, row);
    return ids.vendor === ID_UNKNOWN || ids.device === ID_UNKNOWN
      ? name
      : `${name} [${hex(ids.vendor, 4)}:${hex(ids.device, 4)}]`;
  }

  /** Drives are known by the name on the drive, which is the subsystem's; the device is only the chip. */
  #driveName(topology: Topology, row: number, { vendor, device, classKind }: Ids) {
    const config = topology.configOf(row);
    if (classKind !== NVME_KIND || config.length < SUBSYSTEM_OFFSET + 4) {
      return undefined;
    }
    const word = (at: number): number => (config[at] as number) + (config[at + 1] as number) * 256;
    return this.subsystemName(vendor, device, word(SUBSYSTEM_OFFSET), word(SUBSYSTEM_OFFSET + 2));
  }

  /** Without any name: what kind it is, and the id. */
  #plainDevice({ vendor, device, classKind }: Ids): string {
    // Class 00.00 is what a tree without classes leaves, too.
    const kind = (classKind === 0 ? undefined : nameOfClass(classKind)) ?? "device";
    if (vendor === ID_UNKNOWN && device === ID_UNKNOWN) {
      return kind;
    }
    const isNamed = this.vendorName(vendor) !== undefined;
    return isNamed ? `${kind} ${hex(device, 4)}` : `${kind} ${hex(vendor, 4)}:${hex(device, 4)}`;
  }
}

/** Names from the first PCI id list that can be read, else the built-in ones. Never fails. */
export function loadDeviceNames(paths: readonly string[] = SYSTEM_PCI_IDS): DeviceNames {
  const found = openPciIdList(paths);
  return found === undefined ? new DeviceNames() : new DeviceNames(found.path, found.list);
}

const joined = (vendor: string | undefined, device: string): string =>
  vendor === undefined ? device : `${vendor} ${device}`;

const idsOf = ({ table }: Topology, row: number): Ids => ({
  vendor: table.vendor[row] as number,
  device: table.device[row] as number,
  classKind: (table.classCode[row] as number) >> 8,
});

/** What the capture called the device, without the vendor; undefined for a mere number. */
function printedDevice(topology: Topology, row: number, { vendor }: Ids): string | undefined {
  const printed = topology.facts.modelNames.get(topology.bdfOf(row));
  if (printed === undefined) {
    return undefined;
  }
  const long = longVendorName(vendor, printed);
  const device = long === undefined ? printed : printed.slice(long.length).trim();
  return device === "" || /^Device(?: [0-9a-f]{4})?$/i.test(device) ? undefined : device;
}
