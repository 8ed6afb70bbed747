/**
 * Modelled platform: core's platform interface over a modelled machine.
 *
 * Every captured function is a device, with or without a model behind it; devices of other buses are
 * added by the options. What is given out is counted in the machine's ledger. A driver that is given a
 * device finds it enabled, and the last one to go leaves it without bus mastering.
 */
import {
  BARS,
  type Bars,
  CLOCK,
  type Clock,
  DEVICE,
  DEVICE_DMA,
  type Device,
  type DmaLayer,
  type DmaLimits,
  HOST_MEMORY,
  INTERRUPTS,
  InputError,
  limitsProblem,
  PeerbufError,
  type Platform,
  type ServiceRegistry,
  UNLIMITED,
} from "@peerbuf/core";
import { CpuBar } from "./cpu-bar.ts";
import { ModelledDeviceDma } from "./device-dma.ts";
import { type DmaPlatformOptions, type DmaSetup, setUpDma } from "./dma-platforms.ts";
import type { Machine } from "./machine.ts";
import { driverLane, SOFTWARE_LANE } from "./machine-clock.ts";
import { ModelledDevice, type OnFabric } from "./modelled-device.ts";
import { NonPciDevice, type NonPciDeviceOptions } from "./non-pci-device.ts";

export interface PlatformOptions extends DmaPlatformOptions {
  /** For records; `machine` unless told otherwise. */
  readonly name?: string;
  /** What a function's DMA engine can follow, by BDF; everything unless told otherwise. */
  readonly limits?: Readonly<Record<string, DmaLimits>>;
  /** Devices that are no PCI function, such as those behind a USB host controller. */
  readonly devices?: readonly NonPciDeviceOptions[];
}

type KnownDevice = Device & OnFabric;

export interface ModelledPlatform extends Platform {
  readonly machine: Machine;
  /** Accesses that the guard kept out; 0 without one. */
  readonly guardFaults: number;
  /** Takes guard, IOMMU and bounce pool out of the machine. Devices stay. */
  close(): void;
}

/**
 * `InputError` when the options name a function or a DMA platform that there is not, one device twice, or limits
 * that no engine has;
 * `WRONG_ORDER` for a second platform with an IOMMU on one machine.
 */
export function createModelledPlatform(
  machine: Machine,
  options: PlatformOptions = {},
): ModelledPlatform {
  return new MachinePlatform(machine, options);
}

class MachinePlatform implements ModelledPlatform {
  readonly name: string;
  readonly clock: Clock;
  readonly dma: DmaLayer;
  readonly machine: Machine;
  readonly #setup: DmaSetup;
  readonly #devices: ReadonlyMap<string, KnownDevice>;

  constructor(machine: Machine, options: PlatformOptions) {
    this.name = options.name ?? "machine";
    this.machine = machine;
    this.clock = machine.clock;
    const functions = makeDevices(machine, options.limits ?? {});
    const devices = [...functions, ...makeOthers(machine, functions, options.devices ?? [])];
    this.#devices = new Map(devices.map((device) => [device.id, device]));
    const byDevice = new Map<Device, OnFabric>(devices.map((device) => [device, device]));
    this.#setup = setUpDma(machine, byDevice, options);
    this.dma = this.#setup.dma;
  }

  get guardFaults(): number {
    return this.#setup.guard?.faultCount ?? 0;
  }

  device(id: string): Device {
    return this.#find(id);
  }

  provide(device: Device | undefined, registry: ServiceRegistry): void {
    const { machine } = this;
    registry.set(HOST_MEMORY, machine.memory);
    if (device === undefined) {
      registry.set(CLOCK, machine.clock.lane(SOFTWARE_LANE));
      return;
    }
    const { row } = this.#find(device.id);
    registry.set(CLOCK, machine.clock.lane(driverLane(machine.topology.bdfOf(row))));
    machine.hotPlug.enable(row);
    registry.set(DEVICE, device);
    registry.set(BARS, barsOf(machine, row));
    registry.set(
      DEVICE_DMA,
      new ModelledDeviceDma(device, this.#setup.own, machine.memory, machine.ledger),
    );
    registry.set(INTERRUPTS, machine.interruptsOf(row));
  }

  /** A driver that was given the device is done with it. */
  release(device: Device | undefined): void {
    if (device !== undefined) {
      this.machine.hotPlug.disable(this.#find(device.id).row);
    }
  }

  close(): void {
    this.#setup.close();
  }

  #find(id: string): KnownDevice {
    const device = this.#devices.get(id);
    if (device === undefined) {
      throw new PeerbufError("DEVICE_UNKNOWN", `${this.name} has no device ${id}`);
    }
    return device;
  }
}

function makeDevices(
  machine: Machine,
  limits: Readonly<Record<string, DmaLimits>>,
): ModelledDevice[] {
  const { topology, fabric } = machine;
  const byRow = new Map(
    Object.entries(limits).map(([bdf, limit]) => [
      topology.require(bdf),
      checkedLimits(bdf, limit),
    ]),
  );
  return Array.from(
    { length: topology.count },
    (_, row) =>
      new ModelledDevice(topology, row, fabric.offsetOf(row), byRow.get(row) ?? UNLIMITED),
  );
}

function checkedLimits(device: string, limits: DmaLimits): DmaLimits {
  const cause = limitsProblem(limits);
  if (cause !== undefined) {
    const remedy = "Start from UNLIMITED of @peerbuf/core and narrow it";
    throw new InputError({ source: device, place: "limits", cause, remedy });
  }
  return limits;
}

function makeOthers(
  { topology }: Machine,
  functions: readonly ModelledDevice[],
  others: readonly NonPciDeviceOptions[],
): NonPciDevice[] {
  const ids = new Set<string>();
  return others.map((options) => {
    if (ids.has(options.id)) {
      throw new InputError({
        source: options.id,
        cause: "two devices have this id",
        remedy: "Give each device of the platform an id of its own",
      });
    }
    ids.add(options.id);
    if (options.limits !== undefined) {
      checkedLimits(options.id, options.limits);
    }
    const carrier = functions[topology.require(options.behind)] as ModelledDevice;
    return new NonPciDevice(options, topology, carrier);
  });
}

function barsOf(machine: Machine, row: number): Bars {
  const { fabric } = machine;
  const slots = fabric.map.slots.filter((slot) => slot.row === row);
  return { memory: slots.map((slot) => new CpuBar(slot, fabric)) };
}
