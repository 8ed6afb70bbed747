/**
 * Function label: what a PCI function is, for people.
 *
 * Two forms: a short name that tells functions of one machine apart (`gpu0`, `nvme1`, counted in
 * order of BDF), and a description from class code and ids, which every capture has.
 */
import type { DeviceNames, Topology } from "@peerbuf/topology";
import { oneLine } from "./report-error.ts";

/** Base class and subclass (PCI Code and ID Assignment 1.11): short kind, description. */
const KINDS: ReadonlyMap<number, readonly [string, string]> = new Map([
  [0x0100, ["scsi", "SCSI controller"]],
  [0x0104, ["raid", "RAID controller"]],
  [0x0106, ["sata", "SATA controller"]],
  [0x0108, ["nvme", "NVMe controller"]],
  [0x0200, ["nic", "Ethernet controller"]],
  [0x0207, ["nic", "InfiniBand controller"]],
  [0x0300, ["gpu", "VGA controller"]],
  [0x0302, ["gpu", "3D controller"]],
  [0x0380, ["gpu", "Display controller"]],
  [0x0403, ["audio", "Audio device"]],
  [0x0600, ["host", "Host bridge"]],
  [0x0601, ["isa", "ISA bridge"]],
  [0x0604, ["bridge", "PCI bridge"]],
  [0x0c03, ["usb", "USB controller"]],
  [0x0c05, ["smbus", "SMBus"]],
  [0x1200, ["accel", "Processing accelerator"]],
]);
/** By base class, for subclasses not listed above. */
const BASES: ReadonlyMap<number, readonly [string, string]> = new Map([
  [0x01, ["disk", "Storage controller"]],
  [0x02, ["nic", "Network controller"]],
  [0x03, ["gpu", "Display controller"]],
  [0x04, ["media", "Multimedia controller"]],
  [0x06, ["bridge", "Bridge"]],
  [0x07, ["comm", "Communication controller"]],
  [0x08, ["system", "System peripheral"]],
  [0x0b, ["accel", "Co-processor"]],
  [0x0c, ["serial", "Serial bus controller"]],
  [0x0d, ["radio", "Wireless controller"]],
  [0x10, ["crypto", "Encryption controller"]],
  [0x12, ["accel", "Processing accelerator"]],
]);
const OTHER: readonly [string, string] = ["dev", "Device"];

/** The kinds that share buffers on servers. */
const INTERESTING: ReadonlySet<string> = new Set(["gpu", "accel", "nic", "nvme"]);

/** Makers of the displays of server management controllers, which share buffers with nobody: ASPEED, Matrox. */
const CONSOLE_VENDORS: ReadonlySet<number> = new Set([0x1a03, 0x102b]);
const CONSOLE: readonly [string, string] = ["vga", "VGA controller"];

const kindOf = ({ table }: Topology, row: number): readonly [string, string] => {
  const classCode = table.classCode[row] as number;
  if (classCode >> 16 === 0x03 && CONSOLE_VENDORS.has(table.vendor[row] as number)) {
    return CONSOLE;
  }
  return KINDS.get(classCode >> 8) ?? BASES.get(classCode >> 16) ?? OTHER;
};

/** The short kind: `gpu`, `nic`, `bridge`, ... */
export const kindName = (topology: Topology, row: number): string => kindOf(topology, row)[0];

/** GPUs and accelerators, NICs, NVMe drives. */
export const isInteresting = (topology: Topology, row: number): boolean =>
  INTERESTING.has(kindOf(topology, row)[0]);

/** What people call it, with the operating system's own names where they were captured. */
export function modelName(names: DeviceNames, topology: Topology, row: number): string {
  const own = (topology.facts.osNames.get(topology.bdfOf(row)) ?? []).filter(
    (name) => !/^nvme\d+$/.test(name),
  );
  const model = names.shortNameOf(topology, row);
  return oneLine(own.length === 0 ? model : `${model} (${own.join(", ")})`);
}

/** `Display controller 1002:740c`: the same on every machine, whatever list of names it has. */
export function describeFunction(topology: Topology, row: number): string {
  const { vendor, device } = topology.table;
  const hex = (id: number): string => id.toString(16).padStart(4, "0");
  return `${kindOf(topology, row)[1]} ${hex(vendor[row] as number)}:${hex(device[row] as number)}`;
}

/**
 * Short names of all non-bridge functions by row: `gpu0`, `gpu1`, `nic0`, ... counted in order of BDF.
 * Where the operating system's own `nvme0`, `nvme1`, ... were captured for all drives, they are the names:
 * two things called nvme1 on one machine would be one too many.
 */
export function shortNames(topology: Topology): ReadonlyMap<number, string> {
  const counts = new Map<string, number>();
  const names = new Map<number, string>(driveNames(topology));
  for (const row of topology.endpoints) {
    const [kind] = kindOf(topology, row);
    const count = counts.get(kind) ?? 0;
    counts.set(kind, count + 1);
    if (!names.has(row)) {
      names.set(row, `${kind}${count}`);
    }
  }
  return names;
}

/** The system's names of all NVMe controllers; none when one of them has none of its own. */
function driveNames(topology: Topology): Iterable<[number, string]> {
  const drives = [...topology.endpoints].filter((row) => kindName(topology, row) === "nvme");
  const names = new Map<string, number>();
  for (const row of drives) {
    const own = topology.facts.osNames.get(topology.bdfOf(row)) ?? [];
    const name = own.find((each) => /^nvme\d+$/.test(each));
    if (name === undefined || names.has(name)) {
      return [];
    }
    names.set(name, row);
  }
  return [...names].map(([name, row]) => [row, name]);
}

/**
 * Row of a function named by BDF, with or without domain, by short name, or by what the operating system
 * calls it (`mlx5_0`), in this order. @throws InputError with near matches
 */
export function requireFunction(topology: Topology, name: string): number {
  for (const [row, short] of shortNames(topology)) {
    if (short === name) {
      return row;
    }
  }
  for (const [bdf, own] of topology.facts.osNames) {
    if (own.includes(name) && topology.indexOf(bdf) >= 0) {
      return topology.indexOf(bdf);
    }
  }
  return topology.require(name);
}

/** `13:00.0` in domain 0, the whole address elsewhere. */
export const shortBdf = (bdf: string): string => bdf.replace(/^0000:/, "");
