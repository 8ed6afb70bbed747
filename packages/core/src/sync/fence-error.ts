/**
 * Fence error: why device work failed, as it travels with its fence.
 *
 * Carries any Linux errno, because a sync_file of a real kernel can hold any. Numbers are those of
 * include/uapi/asm-generic/errno*.h (x86-64, arm64), on every platform.
 */
import { PeerbufError } from "../error.ts";

/** What DRM, V4L2 and sync drivers are known to put on a fence; others keep their number. */
const NUMBER_BY_ERRNO = {
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EAGAIN: 11,
  ENOMEM: 12,
  EFAULT: 14,
  EBUSY: 16,
  ENODEV: 19,
  EINVAL: 22,
  ENOSPC: 28,
  EDEADLK: 35,
  ENODATA: 61,
  ETIME: 62,
  EPROTO: 71,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
  ECONNRESET: 104,
  ESHUTDOWN: 108,
  ETIMEDOUT: 110,
  ESTALE: 116,
  EREMOTEIO: 121,
  ECANCELED: 125,
  EOWNERDEAD: 130,
  ENOTRECOVERABLE: 131,
  EHWPOISON: 133,
} as const;

export type FenceErrno = keyof typeof NUMBER_BY_ERRNO;

/** The kernel's MAX_ERRNO: errors lie within -4095..-1. */
const ERRNO_MAX = 4095;

export class FenceError extends PeerbufError {
  /** The negative number that a fence's `status` shows. `errno` is its name, `errno-N` without one. */
  readonly status: number;

  constructor(errno: FenceErrno | number, message: string, options?: ErrorOptions) {
    const number = typeof errno === "number" ? errno : NUMBER_BY_ERRNO[errno];
    if (!Number.isInteger(number) || number < 1 || number > ERRNO_MAX) {
      throw new PeerbufError("ARGUMENT_INVALID", `${number} is not an errno: 1 to ${ERRNO_MAX}`);
    }
    super("FENCE_FAILED", message, { ...options, errno: errnoName(number) });
    this.status = -number;
  }
}

function errnoName(number: number): string {
  for (const [name, value] of Object.entries(NUMBER_BY_ERRNO)) {
    if (value === number) {
      return name;
    }
  }
  return `errno-${number}`;
}
