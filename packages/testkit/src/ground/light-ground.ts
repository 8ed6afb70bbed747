/**
 * Light ground: the devices, memory, IOMMU and engines of a light world, and what they tell it.
 *
 * One object that all parts ask, because a world is made for every schedule: it takes a closure for none of them. What
 * steps touch is noted here.
 */
import {
  type Device,
  type DmaRefusal,
  type DmaRequest,
  PeerbufError,
  type Platform,
  type SegmentList,
  type ServiceRegistry,
} from "@peerbuf/core";
import { type DmaEngine, type EngineHost, GroundEngine } from "./dma-engine.ts";
import { DRIVER_STATE, OwnedState } from "./driver-state.ts";
import type { CallFault } from "./fault-kind.ts";
import type { GroundClock, Lane } from "./ground-clock.ts";
import { deviceOf } from "./ground-devices.ts";
import { type DmaHost, GroundDma } from "./ground-dma.ts";
import { GroundMemory, type MemoryHost } from "./ground-memory.ts";
import { provideServices, type ServiceHost } from "./ground-services.ts";
import { touchWindows } from "./sync-touches.ts";
import { ADD, READ, WRITE } from "./touches.ts";
import type { World } from "./world.ts";
import type { WorldKind } from "./world-options.ts";

const DEVICES = ["gpu0", "nic0", "nic1"];
const HOST_BYTES_MAX = 2 ** 24;
const DEVICE_MEMORY_BYTES = 2 ** 16;

type Hosts = EngineHost & MemoryHost & DmaHost & ServiceHost;

export class LightGround implements Hosts {
  readonly platform: Platform;
  readonly clock: GroundClock;
  readonly memory: GroundMemory;
  readonly dma: GroundDma;
  readonly deviceMemoryBytes: number;
  /** What belongs to no device. */
  readonly lane: Lane;
  readonly #world: World;
  readonly #devices: Device[] = [];
  readonly #engines: DmaEngine[] = [];
  readonly #gone: Device[] = [];
  /** Of the drivers, by device. */
  readonly #states: OwnedState[] = [];
  #parked: (() => void)[] = [];

  /** The world's clock is ready by then, nothing else of it is. */
  constructor(world: World, clock: GroundClock, kind: WorldKind) {
    this.#world = world;
    this.clock = clock;
    this.lane = clock.lane("drivers");
    this.memory = new GroundMemory(kind.hostBytesMax ?? HOST_BYTES_MAX, this);
    this.dma = new GroundDma(kind.isDirect ?? false, this, kind.firstDmaAddress);
    this.deviceMemoryBytes = kind.deviceMemoryBytes ?? DEVICE_MEMORY_BYTES;
    this.platform = platformOn(this);
    for (const id of kind.devices ?? DEVICES) {
      this.#devices.push(deviceOf(id, kind.limits?.[id]));
    }
  }

  device(id: string): Device {
    for (const device of this.#devices) {
      if (device.id === id) {
        return device;
      }
    }
    throw new PeerbufError("DEVICE_UNKNOWN", `this world has no device ${id}`);
  }

  engineOf(device: Device): DmaEngine {
    const index = this.indexOf(device);
    if (index < 0) {
      throw new PeerbufError("DEVICE_UNKNOWN", `this world has no device ${device.id}`);
    }
    let engine = this.#engines[index];
    if (engine === undefined) {
      engine = new GroundEngine(device, this.#laneOf("engine", device), this);
      this.#engines[index] = engine;
    }
    return engine;
  }

  indexOf(device: Device): number {
    return this.#devices.indexOf(device);
  }

  unplug(id: string): void {
    this.#gone.push(this.device(id));
  }

  isGone(device: Device): boolean {
    return this.#gone.length > 0 && this.#gone.includes(device);
  }

  get hasHeldBack(): boolean {
    return this.#parked.length > 0;
  }

  /** What was held back comes to its end now. */
  endFaults(): void {
    const parked = this.#parked;
    this.#parked = [];
    for (const run of parked) {
      this.lane.schedule(0, run);
    }
  }

  close(): void {
    this.memory.close();
  }

  /** The state of whoever drives this device; of none: that of all drivers without one. */
  stateOf(device: Device | undefined): OwnedState {
    const owner = device?.id ?? "no device";
    for (const state of this.#states) {
      if (state.owner === owner) {
        return state;
      }
    }
    const state = new OwnedState(this.#world.touches, owner);
    this.#states.push(state);
    return state;
  }

  /** Something calls back into drivers, and it is not known into which. */
  calledBack(): void {
    for (const state of this.#states) {
      if (state.isDriven) {
        state.called();
      }
    }
  }

  #touchWindows(client: Device, changes: boolean): void {
    const { touches } = this.#world;
    if (touches.isOn) {
      touchWindows(touches, client, changes ? WRITE : READ);
    }
  }

  provide(device: Device | undefined, registry: ServiceRegistry): void {
    const lane = device === undefined ? this.lane : this.#laneOf("driver", device);
    provideServices(this, device, lane, registry);
    const state = this.stateOf(device);
    state.isDriven = true;
    registry.set(DRIVER_STATE, state);
  }

  /** Events of it are calls to the driver. */
  #laneOf(what: string, device: Device): Lane {
    const lane = this.clock.lane(`${what} of ${device.id}`);
    lane.device = device;
    return lane;
  }

  // What memory asks and tells.

  subjectOf(name: string): number {
    const { touches } = this.#world;
    return touches.isHeard ? touches.subject(name) : 0;
  }

  touchMemory(subject: number, writes: boolean): void {
    const { touches } = this.#world;
    if (writes) {
      touches.write(subject);
    } else {
      touches.read(subject);
    }
  }

  /** Who takes memory or gives it back, and whether it could tell how much others have. */
  touchStock(isShort: boolean): void {
    const { touches } = this.#world;
    if (touches.isOn) {
      touches.touch(touches.subject("host memory"), isShort ? WRITE : ADD);
    }
  }

  badAccess(address: number, what: string): void {
    const text = `${what} at 0x${address.toString(16)}: nobody holds this memory`;
    this.#world.report("PLT-034", text, "memory");
  }

  // What the DMA layer asks and tells.

  refusal({ client }: DmaRequest): DmaRefusal | undefined {
    if (this.isGone(client)) {
      const text = `${client.id} is not there any more`;
      return { answer: "refused", errno: "EIO", code: "DEVICE_REMOVED", text };
    }
    if (this.#world.fault("dma-refused", client.id)) {
      const text = `no addresses left for ${client.id}`;
      return { answer: "refused", errno: "ENOMEM", code: "FAULT_INJECTED", text };
    }
    return undefined;
  }

  mapped(client: Device): void {
    this.#touchWindows(client, true);
    if (this.#world.isTold) {
      this.#world.say(`DMA map for ${client.id}`);
    }
  }

  unmapped(client: Device): void {
    this.#touchWindows(client, true);
    if (this.#world.isTold) {
      this.#world.say(`DMA unmap for ${client.id}`);
    }
  }

  strayUnmap(client: Device): void {
    this.#world.report("PLT-011", `${client.id}: unmapped what is not mapped for it`, client.id);
  }

  // What engines ask and tell.

  /** It finds what is mapped for it. */
  accessing(client: Device): void {
    this.#touchWindows(client, false);
  }

  trap(client: Device, address: number, lengthBytes: number, kind: string, why: string): void {
    const what = `${client.id}: a ${kind} of ${lengthBytes} bytes at 0x${address.toString(16)}`;
    const rule = why.includes("direction") ? "IMP-021" : "IMP-016";
    this.#world.report(rule, `${what}: ${why}`, client.id);
  }

  mayAccess(client: Device, address: number, lengthBytes: number, kind: "read" | "write"): boolean {
    return this.#world.mayAccess(client, address, lengthBytes, kind);
  }

  workOn(segments: SegmentList): { end(): void } | undefined {
    return this.#world.workOn(segments);
  }

  fault(kind: CallFault, at: string): boolean {
    return this.#world.fault(kind, at);
  }

  completing(device: Device, what: string): void {
    if (this.#world.isTold) {
      this.#world.say(`the engine of ${device.id} ${what}`);
    }
  }

  park(run: () => void): void {
    if (this.#world.hasFaults) {
      this.#parked.push(run);
    } else {
      this.lane.schedule(0, run);
    }
  }
}

/** A plain object: who wants another DMA layer takes the rest of it with a spread. */
const platformOn = (ground: LightGround): Platform => ({
  name: "ground",
  clock: ground.clock,
  dma: ground.dma,
  device: (id) => ground.device(id),
  provide: (device, registry) => ground.provide(device, registry),
});
