/**
 * Linux rounds: alternating rounds of work that waits for the event loop, as `measure` does for work that does not.
 */
import { performance } from "node:perf_hooks";
import type { LinuxBuffer, RawSocket } from "@peerbuf/linux";
import { type Bar, type BenchOptions, type BenchResult, meets, rounded } from "./bench.ts";
import { garbageCollector } from "./garbage-collector.ts";
import { type Medians, medianOf } from "./measure.ts";

/** Does its work so many times. */
export type Work = (times: number) => Promise<void>;

/** A clock in microseconds. */
type Clock = () => number;

/** For what two processes do together. */
export const wallClock: Clock = () => performance.now() * 1000;

/** For what this process does by itself: the time of its processors, whoever else uses them meanwhile. */
export const processorClock: Clock = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

/** Nanoseconds that one takes, medians of nine rounds of each side; the first of each warms up. */
export async function alternate(
  { quick }: BenchOptions,
  clock: Clock,
  times: number,
  ours: Work,
  baseline: Work,
): Promise<Medians> {
  const rounds = quick ? 1 : 9;
  const count = quick ? Math.ceil(times / 20) : times;
  // What other benches left behind is not this one's to collect.
  garbageCollector()();
  const ourFigures: number[] = [];
  const baseFigures: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const one = await nsOf(clock, ours, count);
    const other = await nsOf(clock, baseline, count);
    if (round > 0) {
      ourFigures.push(one);
      baseFigures.push(other);
    }
  }
  return { value: medianOf(ourFigures), baseline: medianOf(baseFigures) };
}

async function nsOf(clock: Clock, work: Work, times: number): Promise<number> {
  const start = clock();
  await work(times);
  return ((clock() - start) * 1000) / times;
}

const BUFFER_BYTES = 65_536;

/** A dma-buf where this machine has them. */
export async function bestBuffer(): Promise<LinuxBuffer> {
  const { dmaHeap, dmaHeapNames, sharedMemory } = await import("@peerbuf/linux");
  return dmaHeapNames().includes("system")
    ? dmaHeap("system", BUFFER_BYTES)
    : sharedMemory(BUFFER_BYTES);
}

/** Two sockets that are connected, with what closes them. */
export interface RawPair extends Disposable {
  readonly ends: readonly [RawSocket, RawSocket];
}

export async function rawSockets(): Promise<RawPair> {
  const { Descriptor, RawSocket } = await import("@peerbuf/linux");
  const [one, other] = RawSocket.numbers();
  const owners = [new Descriptor(one, "a raw socket"), new Descriptor(other, "its other end")];
  return {
    ends: [new RawSocket(one), new RawSocket(other)],
    [Symbol.dispose]() {
      for (const owner of owners) {
        owner.close();
      }
    },
  };
}

/** Judged by how many times better than the baseline it is. */
export function resultOf(
  name: string,
  unit: string,
  value: number,
  baselineName: string,
  baseline: number,
  bar: Bar,
): BenchResult {
  const ratio = baseline / value;
  return {
    name,
    unit,
    value: rounded(value),
    baseline: { name: baselineName, value: rounded(baseline) },
    ratio: rounded(ratio),
    bar,
    ok: meets(bar, value, ratio),
  };
}
