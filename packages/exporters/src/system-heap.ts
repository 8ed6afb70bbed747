/**
 * System heap: buffers made of ordinary host pages.
 *
 * The smallest exporter in the tree. Its pages never move and every device can reach them, so it has
 * nothing to say about attach, pin or moves. It copies to an importer's own memory where the platform's CPU
 * does that. Copy this file to start a new exporter.
 */
import {
  DMA,
  defineExporter,
  type ExporterDriver,
  FENCES,
  HOST_MEMORY,
  PHYSICAL,
  type Storage,
} from "@peerbuf/core";
import { readHost, writeHost } from "./host-bytes.ts";
import { refuseUnknown } from "./wishes.ts";

export const systemHeap: ExporterDriver = defineExporter({
  name: "system-heap",
  needsDevice: false,

  open(services) {
    const memory = services.get(HOST_MEMORY);
    const fences = services.get(FENCES);

    return {
      api: {},
      allocate(sizeBytes, wishes) {
        refuseUnknown(wishes, [], "system-heap");
        const pages = memory.allocate(sizeBytes);

        const storage: Storage = {
          types: [{ type: DMA }, { type: PHYSICAL }],
          place: () => ({ target: "system", ranges: pages.ranges }),
          read: async (offset, target) => readHost(memory, pages.ranges, offset, target),
          write: async (offset, source) => writeHost(memory, pages.ranges, offset, source),
          // Core calls this after the last detach, so no device can still see the pages.
          release: () => memory.free(pages),
        };
        if (memory.copy === undefined) {
          return storage;
        }
        const copy = memory.copy.bind(memory);
        return {
          ...storage,
          copy: (target, way) =>
            way === "out" ? copy(pages.ranges, target, fences) : copy(target, pages.ranges, fences),
        };
      },
    };
  },
});
