/**
 * CPU copy: moves a buffer's bytes to memory that an importer brought, and back, in this process.
 *
 * What exporters of the kernel's buffers have in place of a copy engine. The buffer's own fences are waited
 * for first, in the event loop; the importer waits for the fence that is given out here.
 */
import { type Fence, type FenceDomain, FenceError, SoftwareFence } from "@peerbuf/core";
import type { MappedBytes } from "./address-book.ts";

/** Starts a copy of whole buffers of one size. Its fence has the error when the copy failed. */
export function startCpuCopy(fences: FenceDomain, source: MappedBytes, target: MappedBytes): Fence {
  const context = fences.createContext({ driverName: "cpu", timelineName: "copies" });
  const fence = new SoftwareFence(context, 1);
  void copy(source, target, fence);
  return fence;
}

async function copy(source: MappedBytes, target: MappedBytes, fence: SoftwareFence): Promise<void> {
  try {
    await source.withBytes("read", (from) =>
      target.withBytes("write", (to) => to.set(from.subarray(0, to.length))),
    );
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    fence.setError(new FenceError("EIO", `the CPU could not copy: ${what}`));
  }
  fence.signal();
}
