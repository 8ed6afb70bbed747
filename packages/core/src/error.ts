/**
 * Errors: every refusal the framework can give.
 *
 * A request that cannot be met is a `PeerbufError` with a code and the errno that a Linux caller
 * would have seen, so that the modelled machine and a real kernel answer alike. A message names
 * who, what and the limit. A broken invariant of ours is an `assert` and stops.
 */

/** The errno a Linux caller would see for each code (reference: include/linux/dma-buf.h and drivers, 6.12 to 7.1). */
const ERRNO_BY_CODE = {
  ACCESS_FAULT: "EFAULT",
  ADDRESS_INVALID: "EINVAL",
  ARGUMENT_INVALID: "EINVAL",
  BUFFER_CLOSED: "EBADF",
  BUFFER_BUSY: "EBUSY",
  DEVICE_FAILED: "EIO",
  DEVICE_GONE: "ENODEV",
  DEVICE_UNKNOWN: "ENODEV",
  DRIVER_BROKEN: "EINVAL",
  DRIVER_UNKNOWN: "ENOENT",
  FRAMEWORK_CLOSED: "ESHUTDOWN",
  HANDLE_CLOSED: "EBADF",
  HANDLE_LEAKED: "EBUSY",
  MAP_DECLINED: "EREMOTEIO",
  MEMORY_EXHAUSTED: "ENOMEM",
  NEGOTIATION_ENDLESS: "ELOOP",
  NO_COMMON_TYPE: "EOPNOTSUPP",
  SERVICE_MISSING: "ENODEV",
  SIZE_INVALID: "EINVAL",
  WRONG_ORDER: "EBUSY",
} as const;

export type PeerbufErrorCode = keyof typeof ERRNO_BY_CODE;

/** The caller asked for something that cannot be done. `docs/errors.md` has a line for each code. */
export class PeerbufError extends Error {
  override readonly name = "PeerbufError";
  readonly code: PeerbufErrorCode;
  /** The symbolic errno, e.g. `EREMOTEIO`. */
  readonly errno: string;

  constructor(code: PeerbufErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.errno = ERRNO_BY_CODE[code];
  }
}

/** Every code with its errno, for documentation and tests. */
export const ERROR_CODES: Readonly<Record<PeerbufErrorCode, string>> = ERRNO_BY_CODE;

/** An invariant of our own. Stays on: a broken one is a bug here, not a wrong request. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) {
    throw new Error(`peerbuf invariant broken: ${message}`);
  }
}
