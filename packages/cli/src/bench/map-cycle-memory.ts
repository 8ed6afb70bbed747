/** Map cycle memory: what a million attachments leave behind on the heap, which should be nothing. */
import { type Bench, type BenchResult, meets, rounded } from "./bench.ts";
import { garbageCollector } from "./garbage-collector.ts";
import { cycle, repeat } from "./map-cycle.ts";
import { openSharing } from "./sharing.ts";

/** A single leaked object of 16 bytes a cycle would be 16 MB. */
const BAR = { value: "<= 1048576" };

export const mapCycleMemory: Bench = {
  name: "core.map-cycle-memory",
  run({ quick }): BenchResult {
    const collect = garbageCollector();
    using sharing = openSharing();
    const cycles = quick ? 1000 : 1_000_000;
    repeat(Math.min(cycles, 20_000), () => cycle(sharing)); // Compiled code is no leak.
    collect();
    const before = process.memoryUsage().heapUsed;
    repeat(cycles, () => cycle(sharing));
    collect();
    const growthBytes = Math.max(0, process.memoryUsage().heapUsed - before);
    return {
      name: this.name,
      unit: `bytes/${cycles} cycles`,
      value: rounded(growthBytes),
      bar: BAR,
      ok: meets(BAR, growthBytes, undefined),
    };
  },
};
