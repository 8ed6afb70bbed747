/** The public surface of the `peerbuf` package: the command as a function, and the shapes of its JSON. */
export { bufsShape } from "./bufs/bufs-shape.ts";
export { doctorShape, explainShape } from "./diagnosis-shapes.ts";
export { type DriverModule, loadDriver } from "./driver-kit/driver-module.ts";
export { driverReportShape, helpReportShape } from "./driver-kit/kit-shapes.ts";
export type { ExitCode } from "./exit-code.ts";
export { EXIT } from "./exit-code.ts";
export { type Io, type Output, PipeClosed } from "./io.ts";
export { liveRunShape } from "./live/live-shape.ts";
export { main } from "./program.ts";
export {
  benchShape,
  captureShape,
  comparisonShape,
  fleetShape,
  matrixShape,
  topoShape,
} from "./shapes.ts";
export type { Outcome } from "./transfer/outcome.ts";
export type { Replacements } from "./transfer/replacements.ts";
export { runShape } from "./transfer/run-shape.ts";
export { openScenario, type ScenarioOptions, type ScenarioRun } from "./transfer/scenario-run.ts";
