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
export { assert, ERROR_CODES, PeerbufError, type PeerbufErrorCode } from "./error.ts";
export { InputError, type InputProblem } from "./input-error.ts";
export type { Clock, ScheduledEvent } from "./sync/clock.ts";
export {
  type Fence,
  type FenceCallback,
  isLater,
  isLaterOrSame,
  laterOf,
  type Waiter,
} from "./sync/fence.ts";
export {
  FenceContext,
  type FenceContextOptions,
  FenceDomain,
  type FenceOperations,
} from "./sync/fence-context.ts";
export { type FenceErrno, FenceError } from "./sync/fence-error.ts";
export { waitForAll, waitForAny, waitForFence } from "./sync/fence-wait.ts";
export { SignallingAnnotation, type SignallingSection } from "./sync/signalling.ts";
export { SoftwareFence, stubFence } from "./sync/software-fence.ts";
export type { WaitOptions } from "./sync/wait.ts";
export type { Judge, PathReason, PathType, PathVerdict } from "./verdict.ts";
