#!/usr/bin/env node
/**
 * Explores every driver that comes with the project, with faults and the checker on, and prints what was done: not one
 * rule is broken. `.ci/explore-shipped.js [schedules]`: so many in the explorer's own world, and so many again on the modelled
 * machine; 200,000 unless stated. Needs the packages built.
 */
import { availableParallelism } from "node:os";
import { setFlagsFromString } from "node:v8";
import { exploreAllInWorkers, FAULT_KINDS } from "@peerbuf/testkit";

// As in `packages/cli/src/driver-kit/kit-process.ts`: V8 takes the first runs for long-lived, and is wrong.
setFlagsFromString("--no-allocation-site-pretenuring");

const SCHEDULES = Number(process.argv[2] ?? 200_000);
const SETS = [
  { file: "light-scenarios.js", name: "lightSet", world: "the explorer's own world" },
  { file: "shipped-scenarios.js", name: "shippedSet", world: "the modelled machine" },
];

/** What a set does, over all cores. */
async function explored({ file, name }) {
  const module = new URL(`../packages/cli/dist/shipped-drivers/${file}`, import.meta.url).href;
  const { scenarios } = (await import(module))[name]();
  const campaigns = scenarios.map((scenario) => ({
    source: { module, name },
    scenario: scenario.name,
    strategy: "portfolio",
    schedules: Math.ceil(SCHEDULES / scenarios.length),
    seed: 1,
    faults: FAULT_KINDS,
    faultsMax: 2,
  }));
  return exploreAllInWorkers(campaigns, { workers: availableParallelism(), onProgress });
}

let toldMs = performance.now();

/** A line in half a minute: whoever waits for it knows how far it is. */
function onProgress({ schedules, ofSchedules }) {
  if (performance.now() - toldMs > 30_000) {
    toldMs = performance.now();
    console.error(`${schedules} of ${ofSchedules}`);
  }
}

let broken = 0;
for (const set of SETS) {
  const before = process.cpuUsage();
  const startMs = performance.now();
  const reports = await explored(set);
  const { user, system } = process.cpuUsage(before);
  const schedules = reports.reduce((sum, report) => sum + report.schedules, 0);
  const cpuSeconds = (user + system) / 1e6;
  console.log(`${set.world}: ${reports.length} scenarios, ${schedules} schedules`);
  console.log(
    `  ${Math.round((performance.now() - startMs) / 1000)} s, ${Math.round(schedules / cpuSeconds)} schedules a second of processor time`,
  );
  for (const { scenario, failure, nondeterminism, hash } of reports) {
    const found = failure?.violation.rule ?? (nondeterminism ? "not determined" : "held");
    console.log(`  ${found.padEnd(8)} ${scenario} ${hash.toString(16).padStart(8, "0")}`);
    if (failure !== undefined || nondeterminism !== undefined) {
      broken++;
      console.log(
        failure === undefined ? nondeterminism.text : `${failure.story}\n${failure.token}`,
      );
    }
  }
}
process.exitCode = broken === 0 ? 0 : 1;
