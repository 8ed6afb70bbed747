/**
 * Bulk function: a USB device as the host controller sees it, with a control pipe and two bulk pipes.
 *
 * The controller moves the bytes; the device says from where and to where, how many, and when not.
 */
import type { SparseMemory } from "../../sparse-memory.ts";

/** Part of the device's memory that a transfer reads or fills. */
export interface DeviceBytes {
  readonly memory: SparseMemory;
  readonly offset: number;
  readonly lengthBytes: number;
}

/** `wait`: not now (NAK), ask again when something else was moved; `stall`: not at all. */
export type PipeAnswer = DeviceBytes | "wait" | "stall";

export interface BulkFunction {
  /** Power-on, or a bus reset. */
  reset(): void;
  /** A control request of 8 bytes without data. `false`: it stalls. */
  control(setup: DataView): boolean;
  /** Where the next `lengthBytes` from the host go: at most that many. */
  takeOut(lengthBytes: number): PipeAnswer;
  /** All of a transfer out has arrived, `lengthBytes` in all. */
  outArrived(lengthBytes: number): void;
  /** What the host gets for up to `lengthBytes`: fewer end the transfer short, more are a babble. */
  giveIn(lengthBytes: number): PipeAnswer;
  inDelivered(lengthBytes: number): void;
}
