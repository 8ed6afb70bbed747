/**
 * errno: what the kernel answered, as a typed error.
 *
 * Numbers are those of include/uapi/asm-generic/errno*.h (x86-64, arm64); the name is what a person can
 * look up, so every error carries it, and one without a name here keeps its number.
 */
import { constants } from "node:os";
import { PeerbufError, type PeerbufErrorCode } from "@peerbuf/core";
import { lastErrno } from "./libc.ts";

const NAMES: ReadonlyMap<number, string> = new Map([
  ...Object.entries(constants.errno).map(([name, number]): [number, string] => [number, name]),
  // What Node's table lacks, and two names of one number that are better known by the other.
  [11, "EAGAIN"],
  [77, "EBADFD"],
  [95, "EOPNOTSUPP"],
  [109, "ETOOMANYREFS"],
  [121, "EREMOTEIO"],
  [512, "ERESTARTSYS"],
]);

/** `ENOTTY` for 25; `errno-N` where the number has no name. */
export const errnoName = (errno: number): string => NAMES.get(errno) ?? `errno-${errno}`;

export const EINTR = 4;
export const EAGAIN = 11;

/** A call is tried so often when the kernel says "try again": a signal storm must not hold us for ever. */
const TRIES_MAX = 1000;

/**
 * The answer of `call`, which is repeated while it is interrupted. Throws what the kernel refused, as
 * `code` with its errno; `what` says who wanted what.
 */
export function checked(
  call: () => number,
  what: () => string,
  code: PeerbufErrorCode = "SYSCALL_FAILED",
): number {
  for (let tries = 0; ; tries++) {
    const answer = call();
    if (answer >= 0) {
      return answer;
    }
    const errno = lastErrno();
    if (errno !== EINTR || tries === TRIES_MAX) {
      throw failure(errno, what(), code);
    }
  }
}

export function failure(
  errno: number,
  what: string,
  code: PeerbufErrorCode = "SYSCALL_FAILED",
): PeerbufError {
  const name = errnoName(errno);
  return new PeerbufError(code, `${what}: ${name}`, { errno: name });
}
