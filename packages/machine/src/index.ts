/** The public surface of `@peerbuf/machine`. Everything not named here is private. */
export { EVENTS_PER_DRAIN_MAX, VirtualClock } from "./clock.ts";
export type { CommandBits } from "./command-register.ts";
export type { ConfigSpace } from "./config-space.ts";
export { FAILURES_KEPT_MAX, type Failure, type FailureLog } from "./containment/failure-log.ts";
export type {
  BarModel,
  BarShape,
  Completion,
  DeviceModel,
  DevicePort,
} from "./device-model.ts";
export { type AcceleratorOptions, createAccelerator } from "./devices/accelerator.ts";
export { type BarMemory, createBarMemory } from "./devices/bar-memory.ts";
export type { BulkDevice } from "./devices/bulk-engine/bulk-device.ts";
export { PrivateLink } from "./devices/bulk-engine/private-link.ts";
export { createGpu, type Gpu, type GpuOptions } from "./devices/gpu/gpu.ts";
export {
  createNvmeController,
  type NvmeController,
  type NvmeControllerOptions,
} from "./devices/nvme/controller.ts";
export type { NamespaceFile } from "./devices/nvme/file-media.ts";
export { walkPrps } from "./devices/nvme/prp.ts";
export { walkSgl } from "./devices/nvme/sgl.ts";
export { createPlatformBlock, type PlatformBlockOptions } from "./devices/platform-block.ts";
export { createRdmaNic, type RdmaNic, type RdmaNicOptions } from "./devices/rdma-nic/rdma-nic.ts";
export { RdmaWire } from "./devices/rdma-nic/wire.ts";
export { createUsbDrive, type UsbDrive, type UsbDriveOptions } from "./devices/usb-drive.ts";
export type { DmaPlatform, DmaPlatformOptions, SwiotlbOptions } from "./dma-platforms.ts";
export type { FunctionErrors, UncorrectableError } from "./error-registers.ts";
export { FAULTS_KEPT_MAX, type Fault } from "./fault-log.ts";
export {
  ANSWERS_KEPT_MAX,
  type Choice,
  type ChoiceSource,
  RecordedChoices,
  ReplayedChoices,
  SeededChoices,
} from "./faults/choice-source.ts";
export {
  FAULT_RULES_MAX,
  type FaultInjector,
  type FaultOptions,
  injectFaults,
} from "./faults/fault-injector.ts";
export { FAULT_KINDS, type FaultKind, type FaultRule } from "./faults/fault-rule.ts";
export { INJECTED_KEPT_MAX, type InjectedFault } from "./faults/injected-fault.ts";
export { type SeededFaultOptions, seededFaults } from "./faults/seeded-faults.ts";
export type { HandleCounts } from "./handle-ledger.ts";
export type { CarveOut, ModelledHostMemory, PagePlacement } from "./host-memory.ts";
export type { BarPlace, Inspect, Trace, TraceHop, UnreachableBar } from "./inspect.ts";
export type { FlushQueueOptions } from "./iommu/flush-queue.ts";
export type { IommuFault } from "./iommu/iommu.ts";
export type { LinkOptions, LinkSpeed } from "./links/link-options.ts";
export type { LinkUsage, MachineLinks, TransferTimes } from "./links/machine-links.ts";
export type { DeviceLimit, TransferLeg, TransferPlan } from "./links/transfer-plan.ts";
export { createMachine, type Machine, type MachineOptions, type PortWrapper } from "./machine.ts";
export type { LaneClock, MachineClock } from "./machine-clock.ts";
export type { NonPciDeviceOptions } from "./non-pci-device.ts";
export { createModelledPlatform, type ModelledPlatform, type PlatformOptions } from "./platform.ts";
export type { RequestAttributes } from "./requester.ts";
export type { AccessKind, RootComplexProfile } from "./root-complex.ts";
export type { HopEvent, LossReason } from "./route.ts";
export { CHUNK_BYTES, SparseMemory } from "./sparse-memory.ts";
export type { MemoryTraffic, TrafficCounters } from "./traffic.ts";
