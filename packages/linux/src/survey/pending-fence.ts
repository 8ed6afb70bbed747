/**
 * Pending fence: a fence on a buffer that is not signaled yet, as one line of bufinfo (`dma_resv_describe`
 * and `dma_fence_describe`; 5.18 to 6.16: "driver timeline seq N", since 6.17: "context:N timeline driver").
 */

/** What the fence's work does with the bytes, as the reservation keeps it. */
export type FenceUse = "kernel" | "write" | "read" | "bookkeep";

export interface PendingFence {
  readonly use: FenceUse;
  readonly driver: string;
  readonly timeline: string;
  /** Its number on the timeline. Above 2^53 it is rounded. */
  readonly sequence: number;
}

const BY_NAME = /^\t(kernel|write|read|bookkeep) fence:(?:\d+ )?(\S+) (.+) seq (\d+) unsignalled$/;
const BY_CONTEXT = /^\t(kernel|write|read|bookkeep) fence:\d+:(\d+) (.+) (\S+) unsignalled$/;

/** Undefined for a signaled one and for any other line. */
export function parsePendingFence(line: string): PendingFence | undefined {
  const named = BY_NAME.exec(line);
  if (named !== null) {
    const [, use, driver = "", timeline = "", sequence] = named;
    return { use: use as FenceUse, driver, timeline, sequence: Number(sequence) };
  }
  const [, use, sequence, timeline = "", driver = ""] = BY_CONTEXT.exec(line) ?? [];
  return use === undefined
    ? undefined
    : { use: use as FenceUse, driver, timeline, sequence: Number(sequence) };
}
