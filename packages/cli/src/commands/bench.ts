/**
 * Bench: the project's own measurements, each with its baseline from the same run.
 */
import { cpus, totalmem } from "node:os";
import { InputError } from "@peerbuf/core";
import { Command } from "commander";
import type { Bench, BenchResult } from "../bench/bench.ts";
import { BENCHES } from "../bench/benches.ts";
import { columns } from "../columns.ts";
import { EXIT } from "../exit-code.ts";
import { startProgress } from "../progress.ts";
import type { Session } from "../session.ts";

interface BenchCommandOptions {
  readonly json?: boolean;
  readonly quick?: boolean;
}

export function benchCommand(session: Session): Command {
  return new Command("bench")
    .description("measure peerbuf itself, against baselines measured in the same run")
    .argument("[filter]", "only those whose name contains this")
    .option("--quick", "short rounds, to see that it works; the figures mean little")
    .option("--json", "the same as JSON")
    .addHelpText(
      "after",
      "\nExample:\n  $ peerbuf bench topology\n\nExit code: 0 when every bar is met, 1 when one is not.",
    )
    .action(async (filter: string | undefined, options: BenchCommandOptions) =>
      bench(session, filter ?? "", options),
    );
}

async function bench(
  session: Session,
  filter: string,
  options: BenchCommandOptions,
): Promise<void> {
  const chosen = choose(filter);
  const progress = startProgress(session.io, "benches", chosen.length);
  const results: BenchResult[] = [];
  for (const each of chosen) {
    await progress.at(results.length);
    results.push(await each.run({ quick: options.quick === true }));
  }
  await progress.end();
  session.exitCode = results.every(({ ok }) => ok) ? EXIT.OK : EXIT.FINDING;
  if (options.json === true) {
    await session.printJson({ machine: machineFacts(), results });
  } else {
    await session.printLines(asLines(session, results));
  }
}

function choose(filter: string): readonly Bench[] {
  const chosen = BENCHES.filter(({ name }) => name.includes(filter));
  if (chosen.length === 0) {
    throw new InputError({
      source: filter,
      cause: "no bench has this in its name",
      remedy: `There are ${BENCHES.map(({ name }) => name).join(", ")}`,
    });
  }
  return chosen;
}

/** What figures depend on. */
function machineFacts() {
  const processors = cpus();
  return {
    cpu: processors[0]?.model ?? "unknown",
    cores: processors.length,
    memoryBytes: totalmem(),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
  };
}

function asLines({ paint }: Session, results: readonly BenchResult[]): string[] {
  const head = ["bench", "value", "unit", "baseline", "ratio", "bar", ""];
  const rows = results.map(({ name, value, unit, baseline, ratio, bar, ok }) => [
    paint.name(name),
    String(value),
    unit,
    baseline === undefined ? "" : `${baseline.value} ${baseline.name}`,
    ratio === undefined ? "" : String(ratio),
    barText(bar),
    ok ? paint.good("ok") : paint.bad("MISSED"),
  ]);
  const { cpu, cores, node } = machineFacts();
  return [
    ...columns([head.map((text) => paint.faint(text)), ...rows]),
    "",
    paint.faint(`${cpu}, ${cores} cores, Node ${node}. Medians of alternating rounds.`),
    ...(process.platform === "linux"
      ? []
      : [paint.faint("linux.* is left out: it measures the real kernel, and this is not Linux.")]),
  ];
}

function barText(bar: BenchResult["bar"]): string {
  if (bar === undefined) {
    return "";
  }
  return "ratio" in bar ? `ratio ${bar.ratio}` : `value ${bar.value}`;
}
