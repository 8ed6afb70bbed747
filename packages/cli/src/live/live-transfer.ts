/**
 * Live transfer: how one attempt with real buffers went, for people and for JSON.
 */
import { createHash } from "node:crypto";
import type { Decision, PeerbufError } from "@peerbuf/core";

/**
 * - `arrived`: the other side had exactly the bytes that were put in;
 * - `attached`: a device's kernel driver mapped the buffer, which kept its bytes; the device moved none;
 * - `declined`: the kernel or a driver said no, and the record says why;
 * - `failed`: bytes were lost, or something broke.
 */
export type LiveState = "arrived" | "attached" | "declined" | "failed";

export interface LiveTransfer {
  readonly name: string;
  /** Who has the memory: an exporter of the kernel, a PCI function. */
  readonly provider: string;
  /** Who takes it: a process, a device node. */
  readonly client: string;
  readonly state: LiveState;
  /** Of the mapping; undefined when there was none. */
  readonly target: string | undefined;
  readonly route: string | undefined;
  readonly bytes: number;
  /** SHA-256 of what was put in, and of what was there afterwards; undefined where it did not get that far. */
  readonly source: string | undefined;
  readonly destination: string | undefined;
  /** Devices that the kernel lists as attached meanwhile; undefined where it does not say (no root, no debugfs). */
  readonly attached: readonly string[] | undefined;
  readonly decisions: readonly Decision[];
  readonly error: PeerbufError | undefined;
}

/** What is not there to be used, why, and what would change it. */
export interface Missing {
  readonly what: string;
  readonly cause: string;
  readonly remedy: string;
}

export const sha256 = (bytes: Uint8Array): string =>
  createHash("sha256").update(bytes).digest("hex");
