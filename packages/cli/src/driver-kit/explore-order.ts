/**
 * Explore order: the scenarios of a driver explored by this thread, by several, or by many machines, and one run again.
 *
 * Whoever does the runs, they are the same: the report depends on the driver, the seed and the schedules alone.
 */
import { InputError } from "@peerbuf/core";
import {
  type Campaign,
  createChecker,
  type ExploreProgress,
  type ExploreReport,
  explore,
  exploreAllInWorkers,
  FAULT_KINDS,
  replay,
  type Scenario,
  type StrategyName,
} from "@peerbuf/testkit";
import { exploreWithOthers } from "../queue/hand-out.ts";
import type { DriverModule } from "./driver-module.ts";
import { scenariosOf } from "./driver-scenes.ts";
import type { FindingBook } from "./finding-book.ts";
import type { KitOrder } from "./kit-order.ts";
import type { OrderContext } from "./run-order.ts";
import { sourceOf } from "./scenario-source.ts";

/** Faults that may happen in one explored run. */
const FAULTS_MAX = 2;

/** What is to be explored. */
interface Exploration {
  readonly order: KitOrder;
  readonly module: DriverModule;
  readonly scenarios: readonly Scenario[];
  /** One for each scenario. */
  readonly campaigns: readonly Campaign[];
}

export async function exploreDriver(
  order: KitOrder,
  module: DriverModule,
  book: FindingBook,
  context: OrderContext,
): Promise<void> {
  const exploration = explorationOf(order, module, await playable(order, module, book, context));
  const [first, ...more] = exploration.campaigns;
  if (first === undefined) {
    return;
  }
  const total = first.schedules * (1 + more.length);
  context.tell({ kind: "stage", stage: "explore", total });
  if (order.queue !== undefined) {
    noteAll(book, await exploreWithQueue([first, ...more], order.queue, exploration, context));
  } else if (order.workers > 1) {
    noteAll(book, await exploreWithThreads(exploration, context));
  } else {
    await exploreAlone(exploration, book, context);
  }
}

/** The scenarios that were asked for, as far as they can begin with this driver at all. */
async function playable(
  order: KitOrder,
  module: DriverModule,
  book: FindingBook,
  { tell }: OrderContext,
): Promise<Scenario[]> {
  const playable: Scenario[] = [];
  let refusal = "";
  const scenarios = chosen(order, scenariosOf(module));
  // It was opened before: a driver that hangs or ends us from here on does so in a scenario.
  tell({ kind: "stage", stage: "explore", total: 0 });
  for (const scenario of scenarios) {
    tell({ kind: "progress", done: 0, what: scenario.name });
    const why = await whyNot(scenario);
    if (why === undefined) {
      playable.push(scenario);
    } else {
      refusal = why;
      book.noteNotRun(scenario.name, why);
    }
  }
  if (playable.length === 0 && order.task === "explore") {
    throw new InputError({
      source: order.source,
      cause: `no scenario can begin with its driver "${module.driver.name}": ${refusal}`,
      remedy: "check.options are what it is opened with; peerbuf check says which rules it breaks",
    });
  }
  return playable;
}

/** Undefined: the world can be made, the driver opened in it and its buffers allocated. */
async function whyNot(scenario: Scenario): Promise<string | undefined> {
  try {
    await explore(scenario, { schedules: 1 });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** One campaign for each scenario. */
function explorationOf(
  order: KitOrder,
  module: DriverModule,
  scenarios: readonly Scenario[],
): Exploration {
  const schedules = Math.ceil(order.schedules / Math.max(1, scenarios.length));
  const campaigns = scenarios.map(({ name }) => ({
    source: sourceOf(order),
    scenario: name,
    strategy: order.strategy as StrategyName,
    schedules,
    seed: order.seed,
    faults: FAULT_KINDS,
    faultsMax: FAULTS_MAX,
  }));
  return { order, module, scenarios, campaigns: schedules === 0 ? [] : campaigns };
}

/** In this thread, one after the other; what is known so far is told after each. */
async function exploreAlone(
  { scenarios, campaigns }: Exploration,
  book: FindingBook,
  { tell, signal }: OrderContext,
): Promise<void> {
  let before = 0;
  for (const [index, campaign] of campaigns.entries()) {
    if (signal.aborted) {
      return;
    }
    const heard = (done: number): void =>
      tell({ kind: "progress", done: before + done, what: campaign.scenario });
    heard(0);
    const report = await explore(scenarios[index] as Scenario, {
      ...campaign,
      checker: createChecker,
      signal,
      onProgress: ({ schedules }) => heard(schedules),
    });
    before += campaign.schedules;
    note(book, report);
    tell({ kind: "part", report: book.report() });
  }
}

function exploreWithThreads(
  { order, campaigns }: Exploration,
  context: OrderContext,
): Promise<ExploreReport[]> {
  const { workers, heapMiB } = order;
  const { signal } = context;
  return exploreAllInWorkers(campaigns, { workers, heapMiB, signal, ...progressOf(context) });
}

function exploreWithQueue(
  campaigns: readonly [Campaign, ...Campaign[]],
  url: string,
  { order, module }: Exploration,
  context: OrderContext,
): Promise<ExploreReport[]> {
  const { path, source, workers, heapMiB } = order;
  const { driver } = module;
  return exploreWithOthers(campaigns, {
    url,
    path,
    file: source,
    driver: driver.name,
    scenarios: scenariosOf(module),
    workers,
    heapMiB,
    signal: context.signal,
    ...progressOf(context),
  });
}

const progressOf = ({ tell }: OrderContext) => ({
  onProgress: ({ schedules }: ExploreProgress): void =>
    tell({ kind: "progress", done: schedules, what: "the scenarios" }),
});

function noteAll(book: FindingBook, reports: readonly ExploreReport[]): void {
  for (const report of reports) {
    note(book, report);
  }
}

function note(book: FindingBook, report: ExploreReport): void {
  const { scenario, nondeterminism } = report;
  if (nondeterminism !== undefined) {
    throw notDetermined(scenario, nondeterminism.text);
  }
  book.noteExplored(report);
}

export async function replayOne(
  token: string,
  module: DriverModule,
  book: FindingBook,
  { tell }: OrderContext,
): Promise<void> {
  tell({ kind: "stage", stage: "explore", total: 0 });
  tell({ kind: "progress", done: 0, what: "a replay" });
  const report = await replay(scenariosOf(module), token, { checker: createChecker });
  if (report.nondeterminism !== undefined) {
    throw notDetermined(report.scenario, report.nondeterminism.text);
  }
  book.noteReplay(report, token);
}

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
