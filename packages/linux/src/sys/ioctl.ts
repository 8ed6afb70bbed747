/**
 * ioctl: requests by number, with structures as bytes.
 *
 * Numbers are composed as on x86, arm, arm64 and riscv: direction, size, type letter, number. They are
 * checked against the kernel's headers by a test.
 */
import type { PeerbufErrorCode } from "@peerbuf/core";
import type { Descriptor } from "./descriptor.ts";
import { EAGAIN, EINTR, failure } from "./errno.ts";
import { lastErrno, libc, type Memory } from "./libc.ts";

/** Who is told something: the kernel, the caller, or both. */
const DIRECTION = { none: 0, write: 1, read: 2, both: 3 } as const;

/** `request("write", "b", 0, 8)` is 0x40086200. */
export const request = (
  direction: keyof typeof DIRECTION,
  type: string,
  number: number,
  sizeBytes: number,
): number =>
  ((DIRECTION[direction] << 30) | (sizeBytes << 16) | (type.charCodeAt(0) << 8) | number) >>> 0;

/** How often "try again" is obeyed before it is taken for a no. */
const TRIES_MAX = 1000;

/**
 * The answer, 0 or more. Repeated on EINTR, and on EAGAIN for requests that are documented so.
 * Throws `code` with the kernel's errno; `what` says who wanted what.
 */
export function ioctl(
  descriptor: Descriptor,
  number: number,
  argument: Memory,
  what: string,
  code: PeerbufErrorCode = "SYSCALL_FAILED",
): number {
  for (let tries = 0; ; tries++) {
    const answer = libc().ioctl(descriptor.number, number, argument);
    if (answer >= 0) {
      return answer;
    }
    const errno = lastErrno();
    if ((errno !== EINTR && errno !== EAGAIN) || tries === TRIES_MAX) {
      throw failure(errno, `${what} (${descriptor.what})`, code);
    }
  }
}
