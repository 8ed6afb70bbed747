/**
 * Machine memory: what a machine of 4,096 functions takes, with its topology and platform, before a byte of its RAM is used.
 */
import { createMachine, createModelledPlatform } from "@peerbuf/machine";
import { generateFabric } from "@peerbuf/topology";
import { type Bench, type BenchResult, meets, rounded } from "./bench.ts";
import { garbageCollector } from "./garbage-collector.ts";

const FUNCTIONS = 4096;
const BAR = { value: "<= 100000000" };

export const machineMemory: Bench = {
  name: "machine.memory",
  run(): BenchResult {
    const collect = garbageCollector();
    build(64); // Compiled code is not the machine's.
    collect();
    const before = used();
    const platform = build(FUNCTIONS);
    collect();
    const bytes = used() - before;
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

const used = (): number => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
