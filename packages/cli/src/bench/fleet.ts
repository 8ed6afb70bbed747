/** Fleet: a thousand captures of an eleven-device server, read, judged and grouped on all cores. */
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { assert } from "@peerbuf/core";
import { generateFabric, KERNEL_DEFAULT, rulesForKernel } from "@peerbuf/topology";
import { digestAll } from "../fleet/digest-pool.ts";
import { findCaptures } from "../fleet/find-captures.ts";
import { groupFleet } from "../fleet/fleet-groups.ts";
import { CAPTURE_DEFAULT, embeddedPath } from "../machine-source.ts";
import { type Bench, type BenchResult, meets, rounded } from "./bench.ts";
import { captureText } from "./large-capture.ts";

const CAPTURES = { full: 1000, quick: 40 } as const;
const TIME_BAR = { value: "<= 20" };
const MEMORY_BAR = { value: "<= 524288000" };

/** Seconds. */
export const fleetTime: Bench = {
  name: "fleet.captures",
  async run({ quick }): Promise<BenchResult> {
    const { seconds } = await readFleet(CAPTURES[quick ? "quick" : "full"]);
    return {
      name: this.name,
      unit: "s",
      value: rounded(seconds),
      bar: TIME_BAR,
      ok: meets(TIME_BAR, seconds, undefined),
    };
  },
};

/** Bytes that the process needs more than before, at its highest. */
export const fleetMemory: Bench = {
  name: "fleet.memory",
  async run({ quick }): Promise<BenchResult> {
    const { growthBytes } = await readFleet(CAPTURES[quick ? "quick" : "full"]);
    return {
      name: this.name,
      unit: "B",
      value: growthBytes,
      bar: MEMORY_BAR,
      ok: meets(MEMORY_BAR, growthBytes, undefined),
    };
  },
};

async function readFleet(count: number): Promise<{ seconds: number; growthBytes: number }> {
  const folder = mkdtempSync(join(tmpdir(), "peerbuf-bench-"));
  try {
    // One file under many names: it is read from the page cache either way.
    for (let index = 1; index < count; index++) {
      symlinkSync(embeddedPath(CAPTURE_DEFAULT), join(folder, `node-${index}.json`));
    }
    const other = generateFabric({ seed: 1, endpoints: 16 });
    writeFileSync(join(folder, "other.json"), captureText(other));
    return await measured(folder, count);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function measured(folder: string, count: number) {
  const beforeBytes = process.memoryUsage.rss();
  let highestBytes = beforeBytes;
  const startMs = performance.now();
  const captures = findCaptures([folder]);
  const digests = await digestAll(captures, {
    kernel: KERNEL_DEFAULT,
    threadCount: availableParallelism(),
    onDone: async () => {
      highestBytes = Math.max(highestBytes, process.memoryUsage.rss());
    },
  });
  const fleet = await groupFleet(captures, digests, rulesForKernel());
  const seconds = (performance.now() - startMs) / 1000;
  assert(
    fleet.groups.length === 2 && fleet.groups[0]?.members.length === count - 1,
    "all but one of the machines are the same",
  );
  return { seconds, growthBytes: highestBytes - beforeBytes };
}
