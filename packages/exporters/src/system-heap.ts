/**
 * System heap: buffers made of ordinary host pages.
 *
 * The smallest exporter in the tree. Its pages never move and every device can reach them, so it has
 * nothing to say about attach, pin or moves. Copy this file to start a new exporter.
 */
import { DMA, defineExporter, type ExporterDriver, HOST_MEMORY, PHYSICAL } from "@peerbuf/core";
import { readHost, writeHost } from "./host-bytes.ts";
import { refuseUnknown } from "./wishes.ts";

export const systemHeap: ExporterDriver = defineExporter({
  name: "system-heap",
  needsDevice: false,

  open(services) {
    const memory = services.get(HOST_MEMORY);

    return {
      api: {},
      allocate(sizeBytes, wishes) {
        refuseUnknown(wishes, [], "system-heap");
        const pages = memory.allocate(sizeBytes);

        return {
          types: [{ type: DMA }, { type: PHYSICAL }],
          place: () => ({ target: "system", ranges: pages.ranges }),
          read: async (offset, target) => readHost(memory, pages.ranges, offset, target),
          write: async (offset, source) => writeHost(memory, pages.ranges, offset, source),
          // Core calls this after the last detach, so no device can still see the pages.
          release: () => memory.free(pages),
        };
      },
    };
  },
});
