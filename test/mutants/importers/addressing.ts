/** Mutants of addressing: how a device is told where the bytes are. */
import {
  type Direction,
  DMA,
  HOST_MEMORY,
  P2P,
  type PhysicalAddress,
  reason,
  SegmentList,
  UNLIMITED,
} from "@peerbuf/core";
import { engineKind, GOOD, over, readerImporter, type Use } from "../good/reader.ts";
import { ended } from "../good/transfer.ts";
import { readerMutant } from "./family.ts";

const other = (direction: Direction): Direction =>
  direction === "to-device" ? "from-device" : "to-device";

export const mapsTheWrongWay = readerMutant({
  rules: ["IMP-021"],
  by: "contract",
  mistake:
    "takes the device's point of view for the CPU's: maps to-device and lets the device write",
  driver: readerImporter("maps-the-wrong-way", "pinned", {
    async prepare(use, mapping) {
      if (use.direction !== "bidirectional" && use.mapping === mapping) {
        mapping.unmap();
        use.mapping = use.attachment.map(other(use.direction));
      }
      await GOOD.prepare(use, mapping);
    },
    isReady: () => true,
    announce: (use) => GOOD.announce(use),
    run: (use, _mapping, fence) => GOOD.run(use, use.mapping ?? _mapping, fence),
  }),
});

export const takesTheListForOnePiece = readerMutant({
  rules: ["IMP-016"],
  by: "contract",
  mistake: "uses the first address for the whole length, as if memory were always contiguous",
  driver: readerImporter("takes-the-list-for-one-piece", "pinned", {
    async run(use, { segments }, fence) {
      const { sizeBytes } = segments;
      const whole = new SegmentList(Float64Array.of(segments.address(0), sizeBytes, 0), sizeBytes);
      await runOn(use, whole, 0, sizeBytes, fence);
    },
  }),
});

export const readsOneByteTooFar = readerMutant({
  rules: ["IMP-016"],
  by: "contract",
  mistake: "lengths are taken for last addresses: each transfer is a byte too long",
  driver: readerImporter("reads-one-byte-too-far", "pinned", {
    async run(use, { segments }, fence) {
      const table = Float64Array.from(segments.table);
      table[table.length - 2] = (table[table.length - 2] ?? 0) + 1;
      const longer = new SegmentList(table, segments.sizeBytes + 1);
      await runOn(use, longer, 0, segments.sizeBytes + 1, fence);
    },
  }),
});

export const promisesMoreThanTheDevice = readerMutant({
  rules: ["IMP-002"],
  by: "contract",
  mistake: "offers no limits at all, though its engine has a shortest mask and a longest segment",
  driver: readerImporter("promises-more-than-the-device", "pinned", {
    importer: (good) => ({
      offer: (buffer) => {
        const offer = good.offer(buffer);
        return offer.answer === "offer" ? { ...offer, limits: UNLIMITED } : offer;
      },
    }),
  }),
});

export const peeksAtPeerMemory = readerMutant({
  rules: ["IMP-024", "IMP-023"],
  by: "contract",
  mistake: "prints the first bytes of what it maps, by the CPU: there are no pages behind P2P",
  driver: readerImporter("peeks-at-peer-memory", "pinned", {
    async run(use, mapping, fence) {
      const memory = use.parts.services.get(HOST_MEMORY);
      memory.read(mapping.segments.address(0) as number as PhysicalAddress, new Uint8Array(16));
      await GOOD.run(use, mapping, fence);
    },
  }),
});

export const keepsTheListOverAMove = readerMutant({
  rules: ["IMP-014", "IMP-016", "IMP-035"],
  by: "contract",
  mistake:
    "reads the segments when it maps and uses them after waiting: they are stale after a move",
  driver: readerImporter("keeps-the-list-over-a-move", "movable", {
    importer: () => ({ invalidateMappings() {} }),
    isReady: () => true,
    ...cachedList(),
  }),
});

function cachedList() {
  const lists = new WeakMap<Use, SegmentList>();
  return {
    async prepare(use: Use, mapping: Parameters<typeof GOOD.prepare>[1]) {
      lists.set(use, mapping.segments);
      await GOOD.prepare(use, mapping);
    },
    async run(
      use: Use,
      { segments: _unused, ...mapping }: Parameters<typeof GOOD.run>[1],
      fence: Parameters<typeof GOOD.run>[2],
    ) {
      const list = lists.get(use);
      if (list !== undefined && mapping !== undefined) {
        await runOn(use, list, 0, list.sizeBytes, fence);
      }
    },
  };
}

export const offersNothing = readerMutant({
  rules: ["IMP-001"],
  by: "contract",
  mistake: "an offer with an empty list, where it meant to decline with a reason",
  driver: readerImporter("offers-nothing", "pinned", {
    importer: () => ({ offer: () => ({ answer: "offer", types: [] }) }),
  }),
});

export const offersWithAPromise = readerMutant({
  rules: ["IMP-004"],
  by: "contract",
  mistake: "offer is async, because it asks its firmware first",
  driver: readerImporter("offers-with-a-promise", "pinned", {
    importer: (good) => ({
      offer: (async (...asked: Parameters<typeof good.offer>) =>
        good.offer(...asked)) as unknown as typeof good.offer,
    }),
  }),
});

export const bringsTooLittleMemory = readerMutant({
  rules: ["IMP-026"],
  by: "contract",
  mistake: "its own bounce memory is one page, whatever the size of the buffer",
  driver: readerImporter("brings-too-little-memory", "pinned", {
    importer: (_good, use) => ({
      offer: () => ({
        answer: "offer",
        types: [{ type: P2P }, { type: DMA }],
        target: use.parts.services.get(HOST_MEMORY).allocate(1).ranges,
        reason: reason("BOUNCE", "it always goes through a page of its own"),
      }),
    }),
  }),
});

async function runOn(
  use: Use,
  segments: SegmentList,
  offset: number,
  lengthBytes: number,
  fence: Parameters<typeof GOOD.run>[2],
): Promise<void> {
  const local = lengthBytes === use.local.length ? use.local : new Uint8Array(lengthBytes);
  use.parts.engine.start(segments, offset, lengthBytes, engineKind(use), local, (ok) =>
    ended(fence, ok),
  );
  await over(use, fence);
}
