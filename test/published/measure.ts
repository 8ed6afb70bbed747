/**
 * Measure: steady rates of transfers that go on and on, in virtual time.
 */
import type { Machine } from "@peerbuf/machine";

/** One thing that a workload does again and again: calls back when it is done once. */
export type Step = (done: () => void) => void;

/** Bytes of one piece in the workloads that stream. */
export const PIECE_BYTES: number = 256 * 1024;
const PIECES = 128;

/** GB/s of all steps together, each repeated for as long as the first takes for its pieces. Two of each are under way. */
export function streamGBs(machine: Machine, steps: readonly Step[], pieceBytes: number): number {
  const { clock } = machine;
  const startNs = clock.nowNs;
  const done = steps.map(() => 0);
  let endNs = 0;
  const go = (index: number): void => {
    (steps[index] as Step)(() => {
      if (endNs === 0) {
        done[index] = (done[index] as number) + 1;
        endNs = done[index] === PIECES ? clock.nowNs : 0;
        go(index);
      }
    });
  };
  for (const index of steps.keys()) {
    go(index);
    go(index);
  }
  clock.run();
  const pieces = done.reduce((one, other) => one + other, 0);
  return (pieces * pieceBytes) / (endNs - startNs);
}
