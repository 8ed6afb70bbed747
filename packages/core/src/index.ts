/** The public surface of `@peerbuf/core`. Everything not named here is private. */
export {
  ADDRESS_MAX,
  type BusAddress,
  busAddress,
  type DmaAddress,
  dmaAddress,
  PAGE_BYTES,
  type PhysicalAddress,
  physicalAddress,
} from "./address.ts";
export { allOrNone } from "./all-or-none.ts";
export type { Attachment } from "./attachment.ts";
export type { AttachmentView, BufferControl, Lifetime } from "./buffer-control.ts";
export type { CopyPolicy } from "./copy-policy.ts";
export type { CpuAccess, CpuUse } from "./cpu-access.ts";
export {
  type Decision,
  type Decline,
  decline,
  describeDecision,
  type Party,
  type Reason,
  reason,
  type Stage,
  type Verdict,
} from "./decision.ts";
export type { Device } from "./device.ts";
export { type Direction, deviceReads, deviceWrites } from "./direction.ts";
export type { DmaBuf } from "./dma-buf.ts";
export { type DmaLimits, limitsProblem, UNLIMITED } from "./dma-limits.ts";
export { defineExporter, defineImporter } from "./driver.ts";
export { assert, ERROR_CODES, PeerbufError, type PeerbufErrorCode } from "./error.ts";
export type { FrameworkEvent } from "./events.ts";
export {
  ACCEPT,
  type AllocateOptions,
  type AttachAnswer,
  type AttachRequest,
  type Exporter,
  type ExporterDriver,
  narrow,
  type Placement,
  type PlacementRequest,
  redirect,
  type Storage,
} from "./exporter.ts";
export type {
  Framework,
  FrameworkOptions,
  HandleCounts,
  Opened,
  OpenedExporter,
} from "./framework.ts";
export {
  askSystem,
  type BufferFacts,
  type Importer,
  type ImporterDriver,
  type Offer,
  type OpenedImporter,
  type Proposal,
  substitute,
  TAKE,
  type TakeAnswer,
} from "./importer.ts";
export { InputError, type InputProblem } from "./input-error.ts";
export { createFramework } from "./live/live-framework.ts";
export type { Mapping } from "./mapping.ts";
export {
  DMA,
  defineMappingType,
  interconnect,
  type KeptPair,
  type MappingOffer,
  type MappingType,
  P2P,
  PHYSICAL,
} from "./mapping-type.ts";
export { NEGOTIATION_ROUNDS_MAX } from "./negotiation/rounds.ts";
export { NegotiationError } from "./negotiation/talk.ts";
export { type Place, type RankedPlace, rankPlaces } from "./place-choice.ts";
export type { DmaLayer, DmaRefusal, DmaRequest, DmaRoute, Platform, Route } from "./platform.ts";
export { PhysicalRanges } from "./ranges.ts";
export { SegmentList, type SegmentRefusal, segmentsAtOffset } from "./segments.ts";
export {
  BARS,
  type Bar,
  type Bars,
  CLOCK,
  type CoherentMemory,
  DEVICE,
  DEVICE_DMA,
  type DeviceDma,
  FENCES,
  HOST_MEMORY,
  type HostMemory,
  type HostPages,
  INTERRUPTS,
  type Interrupts,
  type ServiceRegistry,
  type Services,
  servicesFrom,
} from "./services.ts";
export { type Lockable, type LockGuard, lockAll } from "./sync/acquire.ts";
export type { Clock, ScheduledEvent } from "./sync/clock.ts";
export {
  type Fence,
  type FenceCallback,
  isLater,
  isLaterOrSame,
  laterOf,
  type Waiter,
} from "./sync/fence.ts";
export { FenceArray, type FenceArrayOptions } from "./sync/fence-array.ts";
export { chainLinks, containedFence, FenceChain, findSeqno } from "./sync/fence-chain.ts";
export {
  FenceContext,
  type FenceContextOptions,
  FenceDomain,
  type FenceOperations,
} from "./sync/fence-context.ts";
export { type FenceErrno, FenceError } from "./sync/fence-error.ts";
export { mergeFences, unwrapFence } from "./sync/fence-merge.ts";
export { waitForAll, waitForAny, waitForFence } from "./sync/fence-wait.ts";
export { type LockConflict, LockError } from "./sync/lock-error.ts";
export { AcquireContext, type HeldLock, type LockHolder, LockOwner } from "./sync/lock-owner.ts";
export { Reservation } from "./sync/reservation.ts";
export type { ReservationCursor } from "./sync/reservation-cursor.ts";
export {
  type ReservationAccess,
  type ReservationUsage,
  usageBefore,
} from "./sync/reservation-usage.ts";
export { SignallingAnnotation, type SignallingSection } from "./sync/signalling.ts";
export { SoftwareFence, stubFence } from "./sync/software-fence.ts";
export { type SyncFenceInfo, SyncFile, type SyncFileInfo } from "./sync/sync-file.ts";
export { exportSyncFile, importSyncFile } from "./sync/sync-file-exchange.ts";
export type { ObservedReservation, SyncObserver } from "./sync/sync-observer.ts";
export { Timeline, type TimelineOptions } from "./sync/timeline.ts";
export type { WaitOptions } from "./sync/wait.ts";
export { FenceWatchdog, type LateFence, type WatchdogOptions } from "./sync/watchdog.ts";
export type { Judge, PathReason, PathType, PathVerdict } from "./verdict.ts";
