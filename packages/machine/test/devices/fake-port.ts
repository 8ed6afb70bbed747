/**
 * Fake port: a device's link to 16 MiB of memory at address 0, with holes that reach nothing.
 *
 * Keeps to the contract of `DevicePort`: lost reads are all ones, lost writes vanish.
 */
import type { ScheduledEvent } from "@peerbuf/core";
import {
  type BarModel,
  type BarShape,
  type Completion,
  type DeviceModel,
  type DevicePort,
  SparseMemory,
  type TransferPlan,
  VirtualClock,
} from "@peerbuf/machine";

export const MEMORY_BYTES: number = 16 * 2 ** 20;

export class FakePort implements DevicePort {
  readonly bdf = "0000:01:00.0";
  readonly clock: VirtualClock = new VirtualClock();
  readonly memory: SparseMemory = new SparseMemory(MEMORY_BYTES);
  /** Vectors of the interrupts sent, in order. */
  readonly interrupts: number[] = [];
  /** Accesses that touch a range reach nothing. */
  readonly holes: (readonly [start: number, end: number])[] = [];

  read(address: number, target: Uint8Array, offset: number, lengthBytes: number): Completion {
    if (this.#isLost(address, lengthBytes)) {
      target.fill(0xff, offset, offset + lengthBytes);
      return { ok: false, lostBytes: lengthBytes };
    }
    this.memory.read(address, target, offset, lengthBytes);
    return ARRIVED;
  }

  write(address: number, source: Uint8Array, offset: number, lengthBytes: number): Completion {
    if (this.#isLost(address, lengthBytes)) {
      return { ok: false, lostBytes: lengthBytes };
    }
    this.memory.write(address, source, offset, lengthBytes);
    return ARRIVED;
  }

  readInto(address: number, target: SparseMemory, offset: number, lengthBytes: number): Completion {
    const bytes = new Uint8Array(lengthBytes);
    const completion = this.read(address, bytes, 0, lengthBytes);
    target.write(offset, bytes);
    return completion;
  }

  writeFrom(
    address: number,
    source: SparseMemory,
    offset: number,
    lengthBytes: number,
  ): Completion {
    const bytes = new Uint8Array(lengthBytes);
    source.read(offset, bytes);
    return this.write(address, bytes, 0, lengthBytes);
  }

  readonly attributes = {};

  /** No model asks for it here. */
  as(): DevicePort {
    return this;
  }

  /** Takes the time of the device's own limits; there are no links. */
  transfer({ limits = [] }: TransferPlan, done: () => void): ScheduledEvent {
    const timesNs = limits.map(({ limit, amount }) => amount / limit.perNs);
    return this.clock.schedule(Math.max(0, ...timesNs), done);
  }

  interrupt(vector: number): void {
    this.interrupts.push(vector);
  }

  #isLost(address: number, lengthBytes: number): boolean {
    const end = address + lengthBytes;
    return end > MEMORY_BYTES || this.holes.some(([from, to]) => address < to && end > from);
  }
}

const ARRIVED: Completion = { ok: true, lostBytes: 0 };

/** The registers of a connected model, as 32-bit numbers. */
export interface RegisterFile {
  read32(offset: number): number;
  write32(offset: number, value: number): void;
}

export function connectRegisters(
  model: DeviceModel,
  port: DevicePort,
  bars: readonly BarShape[],
  index: number,
): RegisterFile {
  const bar = model.connect(port, bars).get(index) as BarModel;
  if (bar.kind !== "registers") {
    throw new Error(`BAR${index} of ${model.name} holds no registers`);
  }
  return {
    read32: (offset) => bar.read(offset, 4),
    write32: (offset, value) => bar.write(offset, 4, value),
  };
}
