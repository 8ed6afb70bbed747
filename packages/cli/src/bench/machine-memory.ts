/**
 * Machine memory: what a machine of 4,096 functions takes, with its topology and platform, before a byte of its RAM is used.
 */
import { createMachine, createModelledPlatform } from "@peerbuf/machine";
import { generateFabric } from "@peerbuf/topology";
import { type Bench, type BenchResult, meets, rounded } from "./bench.ts";
import { garbageCollector } from "./garbage-collector.ts";

const FUNCTIONS = 4096;
/** A collection that frees less than this frees nothing. */
const SETTLED_BYTES = 100_000;
const COLLECTIONS_MAX = 20;
const BAR = { value: "<= 100000000" };

export const machineMemory: Bench = {
  name: "machine.memory",
  async run(): Promise<BenchResult> {
    build(64).close(); // Compiled code is not the machine's.
    const before = await settled();
    const platform = build(FUNCTIONS);
    const bytes = (await settled()) - before;
    platform.close();
    return {
      name: this.name,
      unit: `bytes/${FUNCTIONS} functions`,
      value: rounded(bytes),
      bar: BAR,
      ok: meets(BAR, bytes, undefined),
    };
  },
};

const build = (endpoints: number) =>
  createModelledPlatform(createMachine({ topology: generateFabric({ seed: 1, endpoints }) }), {
    dma: "iommu",
  });

/**
 * Bytes in use once nothing is collected any more. V8 frees array buffers behind a collection's back, so what the
 * benches before this one left would otherwise be taken off the machine's.
 */
async function settled(): Promise<number> {
  const collect = garbageCollector();
  let bytes = Number.POSITIVE_INFINITY;
  for (let round = 0; round < COLLECTIONS_MAX; round++) {
    collect();
    await new Promise((resume) => setImmediate(resume));
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    const now = heapUsed + arrayBuffers;
    if (bytes - now < SETTLED_BYTES) {
      return now;
    }
    bytes = now;
  }
  return bytes;
}
