/** The public surface of `@peerbuf/topology`. Everything not named here is private. */

export { ACS, type AcsBit, acsBits } from "./acs.ts";
export { type Bdf, formatBdf, formatBus, parseBdf } from "./bdf.ts";
export {
  acsOfConfig,
  CAPABILITY_PCI_EXPRESS,
  EXTENDED_ACS,
  EXTENDED_RESIZABLE_BAR,
  EXTENDED_SRIOV,
  findCapability,
  findExtendedCapability,
  linkOfConfig,
  NOT_CAPTURED,
  NOT_PRESENT,
  portTypeOfConfig,
  resizableBarsOfConfig,
  type SriovFacts,
  sriovOfConfig,
} from "./capabilities.ts";
export {
  type CaptureOptions,
  captureMachine,
  type MachineCapture,
} from "./capture/capture-machine.ts";
export { barsOfConfig, knownConfig, windowsOfConfig } from "./config-space.ts";
export {
  FINDING_CODES,
  type Finding,
  type FindingCode,
  PAIRS_LISTED_MAX,
  type PairName,
  type Severity,
} from "./diagnosis/finding.ts";
export type { LinkState } from "./diagnosis/link-state.ts";
export {
  compareKernels,
  diagnoseMachine,
  type MachineDiagnosis,
} from "./diagnosis/machine-diagnosis.ts";
export { type MemoryReach, memoryReachOf, type ReachLimit } from "./diagnosis/memory-reach.ts";
export {
  type Advice,
  type BandwidthBound,
  type DiagnoseOptions,
  type Direction,
  diagnosePair,
  type PairDiagnosis,
} from "./diagnosis/pair-diagnosis.ts";
export { pathClassOf } from "./diagnosis/path-class-of.ts";
export { type Translation, translationOf } from "./diagnosis/translation.ts";
export type { FabricOptions, FabricRole, Id, Span } from "./fabric/fabric-options.ts";
export { FABRIC_ENDPOINTS_MAX, generateFabric, regularFabric } from "./fabric/generate-fabric.ts";
export { type AcsSetting, controlUnder, parseAcsSettings } from "./fixes/acs-parameters.ts";
export { type Complaint, checkCommandLine } from "./fixes/check-command-line.ts";
export { type KernelWord, parseCommandLine } from "./fixes/command-line.ts";
export {
  type DeviceList,
  type DeviceSelector,
  parseDeviceList,
} from "./fixes/device-list.ts";
export type {
  Effect,
  Fix,
  FixCost,
  FixKind,
  FixStep,
  MergedGroup,
  Move,
  PairChange,
} from "./fixes/fix.ts";
export { iommuGroupsOf } from "./fixes/iommu-groups.ts";
export { movedTopology } from "./fixes/move-card.ts";
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
  type ResizableBar,
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
  type Contradiction,
  type CpuFacts,
  factsNamed,
  type IommuGroupType,
  type MachineFacts,
  type NearGroup,
  type NumaNode,
  type PeerLink,
  type TreeCoverage,
} from "./machine-facts.ts";
export { functionsOfMatrix } from "./merge/matrix-functions.ts";
export { MERGE_COUNT_MAX, mergeCaptures } from "./merge/merge-captures.ts";
export { FACT_NAMES, type FactName, type MissingFact, missingFacts } from "./missing-fact.ts";
export { DeviceNames, loadDeviceNames } from "./names/device-names.ts";
export { PciIdList, SYSTEM_PCI_IDS } from "./names/pci-id-list.ts";
export type { PathClass, PathClassTable } from "./path-class.ts";
export { readCapture, readCaptures } from "./readers/capture.ts";
export { PIPE_BYTES_MAX } from "./readers/capture-head.ts";
export { topologyFromLspci } from "./readers/lspci/lspci-topology.ts";
export { TEXT_BYTES_MAX } from "./readers/lspci/text-lines.ts";
export { MemoryTree } from "./readers/memory-tree.ts";
export { liveTree, readLive } from "./readers/sysfs-folder.ts";
export { JSON_BYTES_MAX, treeFromJson } from "./readers/sysfs-json.ts";
export { TAR_BYTES_MAX, TAR_ENTRY_COUNT_MAX, TAR_KEPT_BYTES_MAX } from "./readers/sysfs-tar.ts";
export { topologyFromSysfs } from "./readers/sysfs-topology.ts";
export { type SysfsTree, TREE_FILE_BYTES_MAX } from "./readers/sysfs-tree.ts";
export { ALL_PAIRS_COUNT_MAX, AllPairs, judgeAllPairs } from "./rules/all-pairs.ts";
export { type Explanation, explainPair, type Hop, type HopRole } from "./rules/explain-pair.ts";
export type { Hang, HangFact, HangOutcome } from "./rules/hangs-on.ts";
export { type Answer, cpuAnswer, type HostBridge, hostBridgesOf } from "./rules/host-bridge.ts";
export { createJudge, JUDGE_KEPT_MAX } from "./rules/judge.ts";
export {
  hasEveryBridge,
  judgePair,
  type PairVerdict,
  type PathWalk,
  redirectAnswer,
  walkPair,
} from "./rules/judge-pair.ts";
export {
  type HostBridgeRow,
  KERNEL_DEFAULT,
  KERNEL_VERSIONS,
  type KernelRules,
  rulesForKernel,
} from "./rules/kernel-rules.ts";
export { judgePairByPair } from "./rules/pair-by-pair.ts";
export { REASON_CODES, type ReasonCode, type RuleReason } from "./rules/reason-code.ts";
export { type AcsChange, type Remedy, remediesFor } from "./rules/remedy.ts";
export { type RootBus, Topology } from "./topology.ts";
export { buildTopology, FUNCTION_COUNT_MAX, TopologyBuilder } from "./topology-builder.ts";
export { DEPTH_MAX } from "./tree-check.ts";
