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
export type { Judge, PathReason, PathType, PathVerdict } from "./verdict.ts";
