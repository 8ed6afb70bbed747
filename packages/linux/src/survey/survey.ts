/**
 * Survey: every dma-buf that can be seen on this machine, and who holds it.
 *
 * Put together from three sides that each see a part: descriptors and mappings of processes (/proc), the
 * kernel's own list with attached devices and fences (debugfs), and its statistics where compiled in. They
 * are read one after the other while the machine goes on, so a buffer may show on one side only. What is
 * not known is undefined, and `blindSpots` says why.
 */
import { existsSync, readFileSync } from "node:fs";
import { PeerbufError } from "@peerbuf/core";
import { type BlindSpot, type BufferInfoText, blindSpots } from "./blind-spot.ts";
import { parseBufferInfo } from "./buffer-info.ts";
import { readBufferStats } from "./buffer-stats.ts";
import { type Holder, readProcesses } from "./holders.ts";
import { look } from "./look.ts";
import type { PendingFence } from "./pending-fence.ts";
import { SightedBuffers } from "./sighted-buffers.ts";
import { type ExporterTotal, type ProcessTotal, totalsOf } from "./totals.ts";

/** A dma-buf of this machine. */
export interface SurveyedBuffer {
  /** The kernel's number for it, unique since boot; `identity.inode` of a `LinuxBuffer`. */
  readonly inode: number;
  /** Bytes; undefined for one that is only mapped, seen without root. */
  readonly sizeBytes: number | undefined;
  /** Who made it, as the kernel says; undefined for one that is only mapped, seen without debugfs. */
  readonly exporter: string | undefined;
  /** Empty when it has none. */
  readonly name: string;
  /** By process number. */
  readonly holders: readonly Holder[];
  /** The kernel's names of the devices that are attached; undefined without debugfs. */
  readonly devices: readonly string[] | undefined;
  /** Fences that are not signaled; undefined without debugfs. */
  readonly fences: readonly PendingFence[] | undefined;
  /** References to it, whoever holds them. */
  readonly referenceCount: number | undefined;
  /**
   * References that are no descriptor or mapping of `holders`: those of kernel drivers (a GPU that
   * imported it), of messages underway, and of processes that cannot be seen here.
   */
  readonly otherReferenceCount: number | undefined;
}

export interface Survey {
  /** Largest first; those of unknown size last. */
  readonly buffers: readonly SurveyedBuffer[];
  /** Bytes of all buffers whose size is known, each counted once. */
  readonly totalBytes: number;
  readonly processes: readonly ProcessTotal[];
  readonly exporters: readonly ExporterTotal[];
  readonly blindSpots: readonly BlindSpot[];
}

export interface SurveyOptions {
  /** Where the machine's /proc and /sys are, e.g. `/host` in a container that has them there. */
  readonly root?: string;
}

/**
 * Looks once, without opening any buffer. `PLATFORM_MISSING` where there is no /proc of Linux. Reading
 * bufinfo takes the lock of each buffer's reservation: a driver that sits on one holds this up.
 */
export function surveyBuffers({ root = "" }: SurveyOptions = {}): Survey {
  if (!existsSync(`${root}/proc/self`)) {
    const message = `${root}/proc shows no processes: dma-bufs are looked for on Linux, with /proc mounted`;
    throw new PeerbufError("PLATFORM_MISSING", message);
  }
  const table = readProcesses(root);
  const bufferInfo = readBufferInfo(root);
  const sighted = new SightedBuffers();
  for (const stats of readBufferStats(root) ?? []) {
    sighted.addStats(stats);
  }
  for (const info of bufferInfo instanceof Object ? parseBufferInfo(bufferInfo.text) : []) {
    sighted.addInfo(info);
  }
  for (const holdings of table.holdings) {
    sighted.addHoldings(holdings);
  }
  const buffers = sighted.buffers();
  return {
    buffers,
    ...totalsOf(buffers),
    blindSpots: blindSpots(root, table, bufferInfo),
  };
}

function readBufferInfo(root: string): BufferInfoText {
  let answer: BufferInfoText = "absent";
  const text = look(
    () => readFileSync(`${root}/sys/kernel/debug/dma_buf/bufinfo`, "utf8"),
    () => {
      answer = "denied";
    },
  );
  return text === undefined ? answer : { text };
}
