/**
 * Look: reads of /proc and /sys that may find nothing.
 *
 * Processes end while they are looked at, and most belong to somebody else. Neither is an error; only
 * "may not" is told, because a person can change that.
 */
import { PeerbufError } from "@peerbuf/core";

const GONE: readonly string[] = ["ENOENT", "ESRCH", "ENOTDIR", "EINVAL"];
const DENIED: readonly string[] = ["EACCES", "EPERM"];

/** Undefined when it is not there (any more), or may not be read, of which `onDenied` is told. */
export function look<T>(read: () => T, onDenied?: () => void): T | undefined {
  try {
    return read();
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    if (DENIED.includes(code)) {
      onDenied?.();
      return undefined;
    }
    if (GONE.includes(code)) {
      return undefined;
    }
    throw new PeerbufError("SYSCALL_FAILED", message, { errno: code, cause: error });
  }
}
