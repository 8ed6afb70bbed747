/**
 * my-driver: an exporter. Its buffers are ordinary host pages that never move.
 *
 * Every device can reach them, so it has nothing to say about attach, pin or moves: an ability it lacks is
 * an operation it leaves out. Add yours one at a time, and let `npm test` tell what it owes for each.
 */
import {
  DMA,
  defineExporter,
  type ExporterDriver,
  HOST_MEMORY,
  PeerbufError,
  PHYSICAL,
  type PhysicalAddress,
  type PhysicalRanges,
} from "@peerbuf/core";

const driver: ExporterDriver = defineExporter({
  name: "my-driver",
  needsDevice: false,

  open(services) {
    const memory = services.get(HOST_MEMORY);

    return {
      api: {},
      allocate(sizeBytes, wishes) {
        refuseUnknown(wishes);
        const pages = memory.allocate(sizeBytes);

        return {
          types: [{ type: DMA }, { type: PHYSICAL }],
          place: () => ({ target: "system", ranges: pages.ranges }),
          async read(offset, target) {
            eachPart(pages.ranges, offset, target.length, (address, at, lengthBytes) =>
              memory.read(address, target.subarray(at, at + lengthBytes)),
            );
          },
          async write(offset, source) {
            eachPart(pages.ranges, offset, source.length, (address, at, lengthBytes) =>
              memory.write(address, source.subarray(at, at + lengthBytes)),
            );
          },
          // After the last detach: no device can still see the pages.
          release: () => memory.free(pages),
        };
      },
    };
  },
});

export default driver;

/** A wish that nobody knows is a typing error: refused by name, not ignored. */
function refuseUnknown(wishes: object): void {
  const [unknown] = Object.keys(wishes);
  if (unknown !== undefined) {
    throw new PeerbufError("ARGUMENT_INVALID", `my-driver knows no option "${unknown}"`);
  }
}

/** The pages need not be contiguous: calls for each piece of `lengthBytes` from `offset` on. */
function eachPart(
  ranges: PhysicalRanges,
  offset: number,
  lengthBytes: number,
  visit: (address: PhysicalAddress, at: number, lengthBytes: number) => void,
): void {
  let begin = 0;
  for (let index = 0; index < ranges.count; index++) {
    const end = begin + ranges.lengthBytes(index);
    const from = Math.max(begin, offset);
    const to = Math.min(end, offset + lengthBytes);
    if (from < to) {
      visit((ranges.start(index) + from - begin) as PhysicalAddress, from - offset, to - from);
    }
    begin = end;
  }
}
