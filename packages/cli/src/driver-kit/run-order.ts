/**
 * Run order: one order carried out on a driver that is loaded: open it once, hold the contract against it, explore.
 */
import { InputError } from "@peerbuf/core";
import {
  type Contract,
  createChecker,
  createWorld,
  type ExploreReport,
  type ExporterCheck,
  explore,
  exporterContract,
  FAULT_KINDS,
  type ImporterCheck,
  importerContract,
  replay,
  ruleOf,
  type Scenario,
  type StrategyName,
  scenariosFor,
  TransitionCounts,
  type Violation,
} from "@peerbuf/testkit";
import type { DriverModule } from "./driver-module.ts";
import type {
  CheckLine,
  ExploredLine,
  FoundViolation,
  KitMessage,
  KitOrder,
  KitReport,
} from "./kit-order.ts";

/** Faults that may happen in one explored run. */
const FAULTS_MAX = 2;

type Tell = (message: KitMessage) => void;

export async function runOrder(
  order: KitOrder,
  module: DriverModule,
  tell: Tell,
): Promise<KitReport> {
  tell({ kind: "stage", stage: "open", total: 0 });
  openOnce(order, module);
  const { name, role } = module.driver;
  const contract =
    order.task === "check" ? await holdContract(module, tell) : { checks: [], violations: [] };
  const explored =
    order.replay === undefined
      ? await exploreAll(order, module, tell)
      : await replayOne(order.replay, module, tell);
  const { counts } = explored;
  return {
    driver: { name, role },
    checks: contract.checks,
    explored: explored.lines,
    transitions: counts.steps().flatMap(({ name, count }) => (count > 0 ? [name] : [])),
    violations: [...contract.violations, ...explored.violations],
  };
}

/** A driver that cannot be opened at all is not one that breaks a rule. */
function openOnce({ source }: KitOrder, { driver, check }: DriverModule): void {
  const world = createWorld({ decisions: { choose: () => 0 } });
  const { options } = check;
  try {
    const opened =
      driver.role === "exporter"
        ? world.framework.openExporter(driver, driver.needsDevice ? "gpu0" : undefined, options)
        : world.framework.openImporter(driver, driver.needsDevice ? "nic0" : undefined, options);
    opened.close();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new InputError({
      source,
      cause: `its driver "${driver.name}" cannot be opened: ${text}`,
      remedy:
        "open() finds CLOCK, FENCES, HOST_MEMORY, and with a device DEVICE, BARS, DEVICE_DMA and DMA_ENGINE",
    });
  }
}

async function holdContract(
  module: DriverModule,
  tell: Tell,
): Promise<{ checks: CheckLine[]; violations: FoundViolation[] }> {
  const { checks } = contractOf(module);
  const lines: CheckLine[] = [];
  const violations: FoundViolation[] = [];
  tell({ kind: "stage", stage: "contract", total: checks.length });
  for (const check of checks) {
    tell({ kind: "progress", done: lines.length, what: check.name });
    const { name, rules, outcome, ...result } = await check.run();
    lines.push({ name, rules, outcome });
    violations.push(...result.violations.map((each) => described(each, name, "contract")));
  }
  return { checks: lines, violations: distinct(violations) };
}

/** The suite for its role: `driver-module.ts` made sure that the check fits. */
const contractOf = ({ driver, check }: DriverModule): Contract =>
  driver.role === "exporter"
    ? exporterContract(driver, check as ExporterCheck)
    : importerContract(driver, check as ImporterCheck);

/** The same about the same subject is said once, where it was found first. */
function distinct(violations: readonly FoundViolation[]): FoundViolation[] {
  const byKey = new Map<string, FoundViolation>();
  for (const each of violations) {
    const key = `${each.rule} ${each.subject} ${each.text}`;
    byKey.set(key, byKey.get(key) ?? each);
  }
  return [...byKey.values()];
}

function described(
  { rule, subject, text, actor, step }: Violation,
  where: string,
  by: FoundViolation["by"],
): FoundViolation {
  const { text: ruleText, source } = ruleOf(rule);
  return { rule, ruleText, source, subject, text, in: where, by, actor, step };
}

interface Explored {
  readonly lines: ExploredLine[];
  readonly counts: TransitionCounts;
  readonly violations: FoundViolation[];
}

async function exploreAll(
  order: KitOrder,
  { driver, check }: DriverModule,
  tell: Tell,
): Promise<Explored> {
  const scenarios = chosen(order, scenariosFor(driver, check));
  const each = Math.ceil(order.schedules / scenarios.length);
  const explored: Explored = { lines: [], counts: new TransitionCounts(), violations: [] };
  tell({ kind: "stage", stage: "explore", total: each * scenarios.length });
  for (const scenario of each > 0 ? scenarios : []) {
    const before = explored.lines.length * each;
    const heard = (done: number): void =>
      tell({ kind: "progress", done: before + done, what: scenario.name });
    heard(0);
    note(explored, scenario, await exploreOne(order, scenario, each, heard));
  }
  return explored;
}

function exploreOne(
  order: KitOrder,
  scenario: Scenario,
  schedules: number,
  heard: (done: number) => void,
): Promise<ExploreReport> {
  return explore(scenario, {
    strategy: order.strategy as StrategyName,
    schedules,
    seed: order.seed,
    faults: FAULT_KINDS,
    faultsMax: FAULTS_MAX,
    checker: createChecker,
    onProgress: (progress) => heard(progress.schedules),
  });
}

function note(
  { lines, counts, violations }: Explored,
  scenario: Scenario,
  report: ExploreReport,
): void {
  const { failure, nondeterminism, isComplete, schedules } = report;
  if (nondeterminism !== undefined) {
    throw notDetermined(scenario.name, nondeterminism.text);
  }
  const isBroken = failure !== undefined;
  counts.add(report.transitions);
  lines.push({ scenario: scenario.name, schedules, isComplete, isBroken });
  if (failure !== undefined) {
    const { token, story, violation } = failure;
    violations.push(explored(violation, scenario.name, token, story));
  }
}

async function replayOne(
  token: string,
  { driver, check }: DriverModule,
  tell: Tell,
): Promise<Explored> {
  tell({ kind: "stage", stage: "explore", total: 0 });
  tell({ kind: "progress", done: 0, what: "a replay" });
  const scenarios = scenariosFor(driver, check);
  const report = await replay(scenarios, token, { checker: createChecker });
  const { scenario, story, nondeterminism, violations } = report;
  if (nondeterminism !== undefined) {
    throw notDetermined(scenario, nondeterminism.text);
  }
  const isBroken = violations.length > 0;
  const [first] = violations;
  return {
    lines: [{ scenario, schedules: 1, isComplete: false, isBroken }],
    counts: new TransitionCounts(),
    violations: first === undefined ? [] : [explored(first, scenario, token, story)],
  };
}

function explored(
  violation: Violation,
  scenario: string,
  token: string,
  story: string,
): FoundViolation {
  return { ...described(violation, scenario, "explorer"), token, story: linesOf(story) };
}

/** The verdict at the end of a story is said elsewhere. */
const linesOf = (story: string): string[] => (story.split("\n\n")[0] ?? "").split("\n");

/** The scenarios that were asked for. */
function chosen({ scenario, source }: KitOrder, all: readonly Scenario[]): readonly Scenario[] {
  const found = all.filter(({ name }) => scenario === undefined || name.includes(scenario));
  if (found.length === 0) {
    throw new InputError({
      source,
      cause: `no scenario has "${scenario}" in its name`,
      remedy: `There are ${all.map(({ name }) => name).join(", ")}`,
    });
  }
  return found;
}

/** Nothing that is found in such a driver can be found again. */
const notDetermined = (scenario: string, text: string): InputError =>
  new InputError({
    source: scenario,
    cause: `the same decisions gave two different runs: ${text}`,
    remedy:
      "A driver takes time from CLOCK and has no Math.random, no timers and no state outside of open()",
  });
