/**
 * NVMe import: one buffer in the drive's reach, for the time of one transfer.
 *
 * Attaches, maps, and follows the buffer when it moves: then no new command starts, those on their
 * way end, and the rest of the transfer goes on at the new place. Everything is given back in
 * reverse order on every path.
 */
import {
  type Attachment,
  type Device,
  type Direction,
  type DmaBuf,
  type DmaLimits,
  decline,
  type FenceDomain,
  type HostMemory,
  type HostPages,
  type Importer,
  type Mapping,
  PAGE_BYTES,
  PeerbufError,
  SoftwareFence,
} from "@peerbuf/core";
import { type Negotiated, negotiatedOf } from "../negotiated.ts";
import { lookAt, offerFor, type PeerOptions } from "../peer-policy.ts";
import type { DataPointers } from "./list-pool.ts";
import { isPageShaped } from "./page-shape.ts";

export interface NvmeOptions extends PeerOptions {
  /** `true`: works on system memory of its own; the exporter's engine copies. Default `false`. */
  readonly bounce?: boolean;
  /**
   * What tells the drive where the data is. `auto` (default): PRPs, and SGLs for what PRPs cannot tell;
   * `prp`: a buffer that is no whole pages is refused; `sgl`: a drive without SGLs is refused.
   */
  readonly dataPointers?: DataPointers;
}

/** Moves on one mapping until the work is done (`true`) or the mapping is stale (`false`). */
export type WorkOnMapping = (mapping: Mapping) => Promise<boolean>;

export interface ImportParts {
  readonly device: Device;
  readonly memory: HostMemory;
  readonly fences: FenceDomain;
  readonly options: NvmeOptions;
  /** Data may be told by SGLs: buffers of any shape will do. */
  readonly usesSgls: boolean;
}

/** Runs `work` on mapping after mapping, until it is done. Says how the last one was negotiated. */
export async function withImport(
  parts: ImportParts,
  buffer: DmaBuf,
  direction: Direction,
  work: WorkOnMapping,
): Promise<Negotiated> {
  const own = parts.options.bounce === true ? parts.memory.allocate(buffer.sizeBytes) : undefined;
  try {
    using attachment = buffer.attach(importerFor(parts, own));
    // `return await`: without it the buffer is detached while the drive still works.
    return await untilDone(parts, attachment, direction, work);
  } finally {
    if (own !== undefined) {
      parts.memory.free(own);
    }
  }
}

function importerFor(
  { device, options, usesSgls }: ImportParts,
  own: HostPages | undefined,
): Importer {
  const limits = usesSgls ? device.limits : wholePages(device.limits);
  return {
    name: "nvme",
    device,
    offer: () => offerFor(options, limits, own?.ranges),
    take: (proposal) =>
      usesSgls || isPageShaped(proposal.segments) ? lookAt(options, proposal) : NOT_PAGES,
    // Nothing to do at once: the transfer looks at `isStale` before each command, and its fence
    // tells the exporter when those on their way are over.
    invalidateMappings: () => undefined,
  };
}

const NOT_PAGES = decline(
  "NOT_WHOLE_PAGES",
  "segments that begin or end inside a page, which PRPs cannot tell",
);

/** PRPs name pages. */
function wholePages(limits: DmaLimits): DmaLimits {
  return { ...limits, alignmentBytes: Math.max(limits.alignmentBytes, PAGE_BYTES) };
}

async function untilDone(
  { fences }: ImportParts,
  attachment: Attachment,
  direction: Direction,
  work: WorkOnMapping,
): Promise<Negotiated> {
  const timelineName = `nvme ${attachment.client.id} on "${attachment.buffer.name}"`;
  const timeline = fences.createContext({ driverName: "nvme", timelineName });
  for (let mapsMade = 1; ; mapsMade++) {
    const mapping = attachment.map(direction);
    const negotiated = negotiatedOf(attachment, mapping);
    let done: boolean;
    try {
      using working = new SoftwareFence(timeline, mapsMade);
      done = await guarded(working, attachment, mapping, work);
    } finally {
      await copiedHome(mapping);
    }
    if (done) {
      return { ...negotiated, decisions: [...attachment.decisions] };
    }
  }
}

/** Whoever moves or releases the bytes can see that the drive is at work on them. */
async function guarded(
  working: SoftwareFence,
  { buffer }: Attachment,
  mapping: Mapping,
  work: WorkOnMapping,
): Promise<boolean> {
  buffer.addFence(working, mapping.direction === "to-device" ? "read" : "write");
  try {
    const error = await mapping.ready?.signaled();
    if (error !== undefined) {
      const what = `the bytes of "${buffer.name}" did not arrive: ${error.message}`;
      throw new PeerbufError("DEVICE_FAILED", what, { cause: error });
    }
    return await work(mapping);
  } finally {
    working.signal();
  }
}

/** Unmaps; own memory is free again only when its bytes are back in the buffer. */
async function copiedHome(mapping: Mapping): Promise<void> {
  const error = await mapping.unmap()?.signaled();
  if (error !== undefined) {
    throw new PeerbufError("DEVICE_FAILED", `the copy back failed: ${error.message}`, {
      cause: error,
    });
  }
}
