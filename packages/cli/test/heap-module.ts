/** Heap module: the text of a driver's module that keeps the rules, and what makes it break them. */
export const heapWith = (operations: string, open = ""): string => `
import { DMA, defineExporter, HOST_MEMORY } from "@peerbuf/core";

export default defineExporter({
  name: "heap",
  needsDevice: false,
  open(services) {
    ${open}
    const memory = services.get(HOST_MEMORY);
    return {
      api: {},
      allocate(sizeBytes: number, wishes: object) {
        if (Object.keys(wishes).length > 0) throw new PeerbufError("ARGUMENT_INVALID", "no such option");
        const pages = memory.allocate(sizeBytes);
        return {
          types: [{ type: DMA }],
          place: () => ({ target: "system", ranges: pages.ranges }),
          release: () => memory.free(pages),
          ${operations}
        };
      },
    };
  },
});
import { PeerbufError } from "@peerbuf/core";
`;
