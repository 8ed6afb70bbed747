/** Mutants of lists: pieces that are not there, bytes that are left out, tables that are written to. */
import { DMA, type Mapping, P2P, PeerbufError, SegmentList } from "@peerbuf/core";
import { engineKind, type GOOD, over, readerImporter, type Use } from "../good/reader.ts";
import { ended } from "../good/transfer.ts";
import { readerMutant } from "./family.ts";

/** The engine is given another list than the mapping's. */
const givenList =
  (listOf: (list: SegmentList, use: Use) => SegmentList): typeof GOOD.run =>
  async (use, mapping, fence) => {
    const list = listOf(mapping.segments, use);
    const done = (ok: boolean): void => ended(fence, ok);
    use.parts.engine.start(list, 0, use.local.length, engineKind(use), use.local, done);
    await over(use, fence);
  };

/** The engine is given some of the bytes. */
const givenBytes =
  (lengthOf: (mapping: Mapping) => number): typeof GOOD.run =>
  async (use, mapping, fence) => {
    const length = lengthOf(mapping);
    const done = (ok: boolean): void => ended(fence, ok);
    const part = use.local.subarray(0, length);
    use.parts.engine.start(mapping.segments, 0, length, engineKind(use), part, done);
    await over(use, fence);
  };

const rowsOf = ({ table }: SegmentList): number[][] =>
  Array.from({ length: table.length / 3 }, (_, at) => [...table.slice(3 * at, 3 * at + 3)]);

const listOf = (rows: number[][], { sizeBytes }: SegmentList): SegmentList =>
  new SegmentList(Float64Array.from(rows.flat()), sizeBytes);

const TYPES = [{ type: P2P }, { type: DMA }];

export const mergesWhatIsNear = readerMutant({
  rules: ["IMP-016"],
  by: "contract",
  isExact: true,
  mistake: "merges pieces that nearly touch, to save descriptors",
  driver: readerImporter("merges-what-is-near", "movable", {
    run: givenList((list) => {
      const rows: number[][] = [];
      for (const [address = 0, length = 0, bus = 0] of rowsOf(list)) {
        const last = rows.at(-1);
        const gap = address - ((last?.[0] ?? 0) + (last?.[1] ?? 0));
        if (last !== undefined && gap >= 0 && gap <= 2 ** 14) {
          last[1] = (last[1] ?? 0) + length;
        } else {
          rows.push([address, length, bus]);
        }
      }
      return listOf(rows, list);
    }),
  }),
});

export const walksBackwards = readerMutant({
  rules: ["IMP-044"],
  by: "contract",
  isExact: true,
  mistake: "builds its descriptors from the end of the list",
  driver: readerImporter("walks-backwards", "movable", {
    run: givenList((list) => listOf(rowsOf(list).reverse(), list)),
  }),
});

export const cutsAddressesToThirtyTwoBits = readerMutant({
  rules: ["IMP-016", "IMP-044"],
  by: "contract",
  isExact: true,
  mistake: "writes the lower half of each address into its descriptor, and nothing into the upper",
  driver: readerImporter("cuts-addresses-to-32-bits", "movable", {
    run: givenList((list) => {
      const rows = rowsOf(list).map(([address = 0, ...rest]) => [address % 2 ** 32, ...rest]);
      return listOf(rows, list);
    }),
  }),
});

export const roundsUpToItsBlock = readerMutant({
  rules: ["IMP-016"],
  by: "contract",
  isExact: true,
  mistake: "its device works in blocks of 64 KiB, so the last piece is made longer",
  driver: readerImporter("rounds-up-to-its-block", "movable", {
    async run(use, mapping, fence) {
      const { segments } = mapping;
      const rows = rowsOf(segments);
      const last = rows.at(-1);
      if (last !== undefined) {
        last[1] = (last[1] ?? 0) + 2 ** 16 - segments.sizeBytes;
      }
      const block = new Uint8Array(2 ** 16);
      const list = new SegmentList(Float64Array.from(rows.flat()), block.length);
      const done = (ok: boolean): void => ended(fence, ok);
      use.parts.engine.start(list, 0, block.length, engineKind(use), block, done);
      await over(use, fence);
    },
  }),
});

export const leavesOutTheLastPiece = readerMutant({
  rules: ["IMP-044"],
  by: "contract",
  isExact: true,
  mistake: "its loop over the pieces ends one too early",
  driver: readerImporter("leaves-out-the-last-piece", "movable", {
    run: givenBytes(({ segments }) => {
      const { count, sizeBytes } = segments;
      return count > 1 ? sizeBytes - segments.lengthBytes(count - 1) : sizeBytes;
    }),
  }),
});

export const leavesOutTheLastByte = readerMutant({
  rules: ["IMP-044"],
  by: "contract",
  isExact: true,
  mistake: "its length field holds the last byte's number, and it takes that for the length",
  driver: readerImporter("leaves-out-the-last-byte", "movable", {
    run: givenBytes(({ segments }) => segments.sizeBytes - 1),
  }),
});

export const movesNothing = readerMutant({
  rules: ["IMP-044"],
  by: "contract",
  isExact: true,
  mistake: "starts a transfer of no bytes, which its device calls a success",
  driver: readerImporter("moves-nothing", "movable", { run: givenBytes(() => 0) }),
});

export const writesIntoTheList = readerMutant({
  rules: ["IMP-045"],
  by: "contract",
  isExact: true,
  mistake: "turns the list into descriptors in place",
  driver: readerImporter("writes-into-the-list", "movable", {
    run: givenList((list) => {
      const own = new SegmentList(list.table.slice(), list.sizeBytes);
      for (let at = 0; at < list.table.length; at += 3) {
        list.table[at] = (list.table[at] ?? 0) + 1;
      }
      return own;
    }),
  }),
});

export const ignoresTheBoundary = readerMutant({
  rules: ["IMP-002"],
  by: "contract",
  isExact: true,
  mistake: "offers limits of its own, and forgets that its device cannot cross a megabyte",
  driver: readerImporter("ignores-the-boundary", "movable", {
    importer: ({ device }, _use) => ({
      offer: () => ({
        answer: "offer",
        types: TYPES,
        limits: { ...device.limits, boundaryBytes: 0 },
      }),
    }),
  }),
});

export const takesTheProposalForTheMapping = readerMutant({
  rules: ["IMP-014", "IMP-016"],
  by: "contract",
  isExact: true,
  mistake: "keeps the list that it was asked about at map, and uses that one",
  driver: readerImporter("takes-the-proposal-for-the-mapping", "movable", {
    importer(_good, use) {
      return {
        invalidateMappings() {},
        take(proposal) {
          proposals.set(use, proposal.segments);
          return { answer: "take" };
        },
      };
    },
    isReady: (use, { ready }) => !use.buffer.reservation.isLocked && ready?.isSignaled !== false,
    async run(use, _mapping, fence) {
      const list = proposals.get(use);
      if (list === undefined) {
        throw new PeerbufError("MAP_DECLINED", "nobody has asked");
      }
      const done = (ok: boolean): void => ended(fence, ok);
      use.parts.engine.start(list, 0, use.local.length, engineKind(use), use.local, done);
      await over(use, fence);
    },
  }),
});

const proposals = new WeakMap<Use, SegmentList>();
