/** Printed: what a driver prints is for its author; without end it is for nobody. */
import type { ChildProcess } from "node:child_process";
import type { Io } from "../io.ts";

const PRINTED_BYTES_MAX = 64 * 1024;

export function forwardPrinted({ stdout, stderr }: ChildProcess, io: Io): void {
  let leftBytes = PRINTED_BYTES_MAX;
  const forward = (bytes: Buffer): void => {
    const part = bytes.subarray(0, leftBytes);
    leftBytes -= part.length;
    if (part.length > 0) {
      io.stderr.write(part.toString()).catch(() => undefined); // Whoever does not listen misses nothing else.
    }
  };
  stdout?.on("data", forward);
  stderr?.on("data", forward);
}
