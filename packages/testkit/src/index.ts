/** The public surface of `@peerbuf/testkit`. Everything not named here is private. */
export { type Checker, type CheckerOptions, createChecker } from "./checker/checker.ts";
export type { DeviceAccess } from "./checker/device-access.ts";
export { POISON_ADDRESS } from "./checker/dma-ledger.ts";
export { describeViolation, VIOLATIONS_KEPT_MAX, type Violation } from "./checker/violation.ts";
export { checkDriver, contractOf } from "./contract/check-driver.ts";
export {
  type CheckOutcome,
  type CheckResult,
  type Contract,
  type ContractCheck,
  type ContractOptions,
  type ContractReport,
  checkContract,
  describeContract,
  type TestRunner,
} from "./contract/contract.ts";
export { type ContractWorld, lightWorld, type OpenWorld } from "./contract/contract-world.ts";
export type { DriverCheck, ExporterCheck, ImporterCheck } from "./contract/driver-check.ts";
export { exporterContract } from "./contract/exporter-contract.ts";
export { importerContract } from "./contract/importer-contract.ts";
export { platformContract } from "./contract/platform-contract.ts";
export type { Decisions } from "./explorer/decisions.ts";
export { scenariosFor } from "./explorer/driver-scenarios.ts";
export { EXAMPLES, exampleSet } from "./explorer/examples.ts";
export {
  type ExploreOptions,
  type ExploreProgress,
  type ExploreReport,
  explore,
} from "./explorer/explore.ts";
export type { Failure } from "./explorer/failure.ts";
export type { Nondeterminism } from "./explorer/nondeterminism.ts";
export { type ReplayReport, replay } from "./explorer/replay.ts";
export type { CheckerMaker, ExplorerChecker } from "./explorer/run-options.ts";
export type { Actor, Play, Scenario, ScenarioWorld } from "./explorer/scenario.ts";
export { promised, type Script, type Step, step, waitFence, waitUntil } from "./explorer/step.ts";
export { STRATEGY_NAMES, type StrategyName } from "./explorer/strategy-names.ts";
export { readToken, type Token, writeToken } from "./explorer/token.ts";
export { DMA_ENGINE, type DmaEngine } from "./ground/dma-engine.ts";
export { DRIVER_STATE, type DriverState, type StatePart } from "./ground/driver-state.ts";
export {
  CALL_FAULTS,
  type CallFault,
  EVENT_FAULTS,
  type EventFault,
  FAULT_KINDS,
  type FaultKind,
} from "./ground/fault-kind.ts";
export { settleWorld } from "./ground/settle.ts";
export { TRANSITIONS, type Transition, TransitionCounts } from "./ground/transition.ts";
export { createWorld, type World } from "./ground/world.ts";
export type { RunChecker, StoryLine, WorldOptions } from "./ground/world-options.ts";
export { machineContractWorld } from "./machine/machine-contract-world.ts";
export { MachineGround, type MachineGroundOptions, type Models } from "./machine/machine-ground.ts";
export { type MachineScenario, machineScenario, onMachine } from "./machine/machine-scenario.ts";
export { Client, type ClientOptions } from "./partners/client.ts";
export { type MovingExporterApi, movingExporter } from "./partners/moving-exporter.ts";
export { rulesAsMarkdown } from "./rules/page.ts";
export { RULES, ruleOf } from "./rules/registry.ts";
export type { Rule, RuleFinder, RuleGroup, RuleId } from "./rules/rule.ts";
export {
  type Campaign,
  mergeShares,
  runShare,
  type ScenarioSet,
  type ScenarioSource,
  type Share,
  type ShareOptions,
  type ShareReport,
  sharesOf,
} from "./workers/campaign.ts";
export {
  exploreAllInWorkers,
  exploreInWorkers,
  type WorkersOptions,
} from "./workers/explore-in-workers.ts";
export { HandLost, Hands, type HandsOptions } from "./workers/hands.ts";
export {
  SHARE_TRIES_MAX,
  ShareBook,
  shareSizeFor,
  tooOften,
  type Work,
} from "./workers/share-book.ts";
