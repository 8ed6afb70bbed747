/**
 * End judge: what must be true when a run is over.
 *
 * Everybody has finished; the scenario's own check holds; and when the framework is closed nobody has kept
 * anything.
 */
import { PeerbufError } from "@peerbuf/core";
import type { Violation } from "../checker/violation.ts";
import type { World } from "../ground/world.ts";
import type { Process } from "./process.ts";
import type { Play } from "./scenario.ts";

/** `countsLeaks`: no checker does it. */
export function judgeEnd(
  world: World,
  play: Play,
  stuck: readonly Process[],
  countsLeaks: boolean,
): void {
  if (stuck.length > 0) {
    const names = stuck.map(({ name, label }) => `${name} ("${label}")`).join(", ");
    world.report("SYN-020", `never comes to its end: ${names}`, stuck[0]?.name ?? "");
    return;
  }
  world.actor = "the end";
  attempt(world, () => play.check?.());
  attempt(world, () => play.close?.());
  attempt(world, () => world.framework.close());
  if (world.ground !== undefined) {
    world.ground.judgeLeaks();
  } else if (countsLeaks) {
    judgeLeaks(world);
  }
}

/** A buffer that cannot be closed is one that somebody still holds. */
const LEAKS: ReadonlySet<string> = new Set(["HANDLE_LEAKED", "BUFFER_BUSY"]);

/**
 * What was found in one run, causes first: step by step, in each what the checker saw before what came of it. Where
 * somebody is stuck, all that is still held is a consequence.
 */
export function inOrder(
  world: World,
  watched: readonly Violation[],
  isStuck: boolean,
): readonly Violation[] {
  const { violations } = world;
  const all = watched.length === 0 ? violations : [...watched, ...violations];
  if (all.length < 2) {
    return all;
  }
  const causes = isStuck ? all.filter(({ rule }) => !RULES_OF_LEAKS.has(rule)) : all;
  return [...causes].sort((one, other) => one.step - other.step);
}

/** Whoever is stuck holds something: no news. */
const RULES_OF_LEAKS: ReadonlySet<string> = new Set([
  "EXP-021",
  "EXP-023",
  "IMP-025",
  "PLT-030",
  "PLT-031",
  "PLT-033",
]);

function judgeLeaks(world: World): void {
  if (world.dma.liveCount > 0) {
    const text = `${world.dma.liveCount} DMA mappings are left at the end`;
    world.report("PLT-030", text, "the DMA layer");
  }
  if (world.memory.hostBytes > 0) {
    const text = `${world.memory.hostBytes} bytes of host memory are left at the end`;
    world.report("EXP-021", text, "host memory");
  }
}

function attempt(world: World, work: () => void): void {
  try {
    work();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const isLeak = error instanceof PeerbufError && LEAKS.has(error.code);
    world.report(isLeak ? "IMP-025" : "EXP-023", text, "the end");
  }
}
