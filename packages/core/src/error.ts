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
  BUFFER_BUSY: "EBUSY",
  BUFFER_CLOSED: "EBADF",
  BUFFER_PINNED: "EBUSY",
  CLOCK_RUNAWAY: "ELOOP",
  DEVICE_FAILED: "EIO",
  DEVICE_GONE: "ENODEV",
  DEVICE_UNKNOWN: "ENODEV",
  DRIVER_BROKEN: "EINVAL",
  FENCE_CALLBACK_FAILED: "EIO",
  FENCE_FAILED: "EIO",
  FENCE_IS_CONTAINER: "EINVAL",
  FENCE_SIGNALED: "EINVAL",
  FRAMEWORK_CLOSED: "ESHUTDOWN",
  HANDLE_CLOSED: "EBADF",
  HANDLE_LEAKED: "EBUSY",
  LOCK_BACK_OFF: "EDEADLK",
  LOCK_DEADLOCK: "EDEADLK",
  LOCK_HELD_ALREADY: "EALREADY",
  LOCK_NOT_HELD: "EPERM",
  MAPPING_STALE: "ESTALE",
  MAP_DECLINED: "EBUSY",
  MEMORY_EXHAUSTED: "ENOMEM",
  MESSAGE_INVALID: "EBADMSG",
  NEGOTIATION_ENDLESS: "ELOOP",
  NOT_A_BUFFER: "EINVAL",
  NO_COMMON_TYPE: "EOPNOTSUPP",
  PEER_GONE: "EPIPE",
  PIN_DECLINED: "EBUSY",
  PLATFORM_MISSING: "ENOSYS",
  SERVICE_MISSING: "ENODEV",
  SIZE_INVALID: "EINVAL",
  SLOT_NOT_RESERVED: "ENOSPC",
  SYSCALL_FAILED: "EIO",
  WAIT_INTERRUPTED: "EINTR",
  WAIT_IN_SIGNALLING: "EDEADLK",
  WAIT_TIMED_OUT: "ETIME",
  WRONG_ORDER: "EBUSY",
} as const;

export type PeerbufErrorCode = keyof typeof ERRNO_BY_CODE;

/** The caller asked for something that cannot be done. `docs/errors.md` has a line for each code. */
export class PeerbufError extends Error {
  override readonly name = "PeerbufError";
  readonly code: PeerbufErrorCode;
  /** The symbolic errno, e.g. `EREMOTEIO`. */
  readonly errno: string;

  /** `options.errno` where a platform or driver said exactly which; else the code's usual one. */
  constructor(
    code: PeerbufErrorCode,
    message: string,
    options?: ErrorOptions & { errno?: string },
  ) {
    super(message, options);
    this.code = code;
    this.errno = options?.errno ?? ERRNO_BY_CODE[code];
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
