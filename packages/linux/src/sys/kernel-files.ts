/**
 * Kernel files: names and texts that the kernel shows in /dev, /proc and /sys, with typed errors: a process that
 * may open no more descriptors (EMFILE) cannot read these either, and is told so like everywhere else.
 */
import { readdirSync, readFileSync } from "node:fs";
import { PeerbufError } from "@peerbuf/core";

/** Names in a folder, sorted; empty where it is not there. `SYSCALL_FAILED` with the kernel's errno. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") {
      return [];
    }
    throw asTyped(error);
  }
}

/** The text of a file. `SYSCALL_FAILED` with the kernel's errno. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw asTyped(error);
  }
}

function asTyped(error: unknown): PeerbufError {
  const { code = "EIO", message } = error as NodeJS.ErrnoException;
  return new PeerbufError("SYSCALL_FAILED", message, { errno: code, cause: error });
}
