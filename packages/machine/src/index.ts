/** The public surface of `@peerbuf/machine`. Everything not named here is private. */
export { EVENTS_PER_DRAIN_MAX, VirtualClock } from "./clock.ts";
export type {
  BarModel,
  BarShape,
  Completion,
  DeviceModel,
  DevicePort,
} from "./device-model.ts";
export { FAULTS_KEPT_MAX, type Fault } from "./fault-log.ts";
export type { HandleCounts } from "./handle-ledger.ts";
export type { CarveOut, ModelledHostMemory, PagePlacement } from "./host-memory.ts";
export type { Inspect, Trace, TraceHop, UnreachableBar } from "./inspect.ts";
export { createMachine, type Machine, type MachineOptions, type PortWrapper } from "./machine.ts";
export { createModelledPlatform, type ModelledPlatform, type PlatformOptions } from "./platform.ts";
export type { AccessKind, RootComplexProfile } from "./root-complex.ts";
export type { HopEvent, LossReason } from "./route.ts";
export { CHUNK_BYTES, SparseMemory } from "./sparse-memory.ts";
export type { TrafficCounters } from "./traffic.ts";
