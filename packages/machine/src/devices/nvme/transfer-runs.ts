/**
 * Transfer runs: where the data of one command lies, in data order.
 *
 * A flat list, two numbers a run: its address and its length in bytes. Runs that touch are joined,
 * since the data transfer is the same.
 */
import type { STATUS, Status } from "./status.ts";

export type TransferRuns = number[];

/** Instead of an address: these bytes of a read are thrown away (a bit bucket). */
export const DISCARDED = -1;

/** What a walk over the data pointer of a command found. */
export type WalkResult =
  | { readonly status: typeof STATUS.SUCCESS; readonly runs: TransferRuns }
  | { readonly status: Exclude<Status, typeof STATUS.SUCCESS> };

export function appendRun(runs: TransferRuns, address: number, lengthBytes: number): void {
  const last = runs.length - 2;
  const before = last < 0 ? DISCARDED : (runs[last] as number);
  if (before !== DISCARDED && before + (runs[last + 1] as number) === address) {
    runs[last + 1] = (runs[last + 1] as number) + lengthBytes;
  } else {
    runs.push(address, lengthBytes);
  }
}
