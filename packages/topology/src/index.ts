/** The public surface of `@peerbuf/topology`. Everything not named here is private. */
export { type Bdf, formatBdf, formatBus, parseBdf } from "./bdf.ts";
export {
  type AcsRecord,
  type BarKind,
  type BarRecord,
  type FunctionRecord,
  ID_UNKNOWN,
  type LinkRecord,
  PORT_TYPE,
  PORT_TYPE_NONE,
  PORT_TYPE_UNKNOWN,
  type WindowKind,
  type WindowRecord,
} from "./function-record.ts";
export {
  ACS_ABSENT,
  ACS_PRESENT,
  ACS_UNKNOWN,
  BAR_EXISTS,
  BAR_IO,
  BAR_PREFETCHABLE,
  BAR_ROM,
  BAR_SLOTS,
  BAR_UNASSIGNED,
  BAR_WIDE,
  type FunctionTable,
  WINDOW_IO,
  WINDOW_MEMORY,
  WINDOW_PREFETCHABLE,
  WINDOW_SLOTS,
} from "./function-table.ts";
export {
  type CpuFacts,
  factsNamed,
  type IommuGroupType,
  type MachineFacts,
  type NumaNode,
} from "./machine-facts.ts";
export { type RootBus, Topology } from "./topology.ts";
export { buildTopology, FUNCTION_COUNT_MAX, TopologyBuilder } from "./topology-builder.ts";
