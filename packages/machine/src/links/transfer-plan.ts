/**
 * Transfer plan: what a device's engine is about to move, told to the links before the bytes move.
 *
 * A plan is a declaration and touches nothing: `DevicePort.transfer` answers when links and limits have
 * carried it, and only then does the engine read and write. So bytes never arrive before their time,
 * and what was unmapped or revoked meanwhile is met by them as they arrive.
 */
import { PeerbufError } from "@peerbuf/core";
import type { AccessKind } from "../root-complex.ts";

/** Requests of one kind, one after the other. */
export interface TransferLeg {
  readonly kind: AccessKind;
  /** Address and length of each run, in turn, both in bytes. Without length or below address 0 a run costs nothing. */
  readonly runs: readonly number[];
}

/**
 * Something inside a device that its transfers share, such as its media or the processor that takes
 * commands. Belongs to the device for as long as it lives; each one is known by identity.
 */
export interface DeviceLimit {
  /** For reports, e.g. `media`. */
  readonly name: string;
  /** Units a nanosecond, above 0: bytes (1 is 1 GB/s), commands, whatever plans count. */
  readonly perNs: number;
}

export interface TransferPlan {
  /** All legs move at the same time, as engines overlap them. */
  readonly legs: readonly TransferLeg[];
  /** What the transfer takes of the device's own limits. */
  readonly limits?: readonly { readonly limit: DeviceLimit; readonly amount: number }[];
  /**
   * The next piece of the same work follows at once, as engines keep several requests under way: then this one is over
   * when its last byte is sent, and only the last piece waits for the way. Its bytes are that much early.
   */
  readonly continues?: boolean;
}

/**
 * `ARGUMENT_INVALID` for lengths, amounts and rates that are none. They would not only be wrong for this device: links are
 * shared, and with one share that is no number nobody's time could be told.
 */
export function checkPlan({ legs, limits = [] }: TransferPlan, device: string): void {
  for (const { runs } of legs) {
    for (let index = 0; index < runs.length; index += 2) {
      const lengthBytes = runs[index + 1];
      if (Number.isNaN(runs[index]) || !Number.isFinite(lengthBytes)) {
        const text = `${device} plans to move ${lengthBytes} bytes at ${runs[index]}`;
        throw new PeerbufError("ARGUMENT_INVALID", text);
      }
    }
  }
  for (const { limit, amount } of limits) {
    if (!(Number.isFinite(limit.perNs) && limit.perNs > 0 && Number.isFinite(amount))) {
      const text = `${device} plans to take ${amount} of ${limit.name}, which has ${limit.perNs} a nanosecond`;
      throw new PeerbufError("ARGUMENT_INVALID", text);
    }
  }
}
