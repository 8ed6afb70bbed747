/** Mutants of pages that are right once: nested brackets, other directions, unused buffers. */
import { PeerbufError, PhysicalRanges } from "@peerbuf/core";
import { type PagesMistake, type PagesParts, pagesExporter } from "../good/pages.ts";
import { readRanges, writeRanges } from "../good/range-bytes.ts";
import type { Mutant } from "../mutant.ts";

const exact = (
  name: string,
  rule: Mutant["rules"][0],
  mistake: string,
  wrong: PagesMistake,
): Mutant => ({
  rules: [rule],
  by: "contract",
  isExact: true,
  mistake,
  driver: pagesExporter(name, wrong),
});

/** A cache of the CPU, filled at begin; `flushes` says which ends write it back. */
function cached(
  { memory, ranges, sizeBytes }: PagesParts,
  flushes: (use: string, bracketsLeft: number) => boolean,
): ReturnType<PagesMistake> {
  const cache = new Uint8Array(Math.min(sizeBytes, 2 ** 24));
  let brackets = 0;
  return {
    beginCpuAccess: async () => {
      brackets++;
      readRanges(memory, ranges, 0, cache);
    },
    endCpuAccess: async (use) => {
      brackets--;
      if (flushes(use, brackets)) {
        writeRanges(memory, ranges, 0, cache);
      }
    },
    read: async (offset, target) => target.set(cache.subarray(offset, offset + target.length)),
    write: async (offset, source) => cache.set(source, offset),
  };
}

export const flushesAfterReading = exact(
  "flushes-after-reading",
  "EXP-029",
  "the end of a bracket for reading writes the cache back, over what a device wrote meanwhile",
  (_good, parts) => cached(parts, () => true),
);

export const flushesPlainWritesOnly = exact(
  "flushes-plain-writes-only",
  "EXP-029",
  "a bracket for reading and writing is taken for one for reading: nothing is written back",
  (_good, parts) => cached(parts, (use) => use === "write"),
);

export const flushesAtTheOutermostEnd = exact(
  "flushes-at-the-outermost-end",
  "EXP-029",
  "brackets are counted, and only the last end writes back: devices miss what inner ones wrote",
  (_good, parts) => cached(parts, (use, left) => use !== "read" && left === 0),
);

export const mergesWhatIsApart = exact(
  "merges-what-is-apart",
  "EXP-015",
  "the list has one range from the first page on, though the pages are in two places",
  (_good, { ranges, sizeBytes }) => ({
    place: () => ({ target: "system", ranges: PhysicalRanges.of(ranges.start(0), sizeBytes) }),
  }),
);

export const turnsTheListForReaders = exact(
  "turns-the-list-for-readers",
  "EXP-018",
  "the list for a device that only reads has its ranges in reverse order",
  (good, { ranges }) => ({
    place: (request) => {
      const parts = Array.from({ length: ranges.count }, (_each, at) => [
        ranges.start(at),
        ranges.lengthBytes(at),
      ]);
      const turned = Float64Array.from(parts.reverse().flat());
      return request.direction === "to-device"
        ? { target: "system", ranges: new PhysicalRanges(turned) }
        : good.place(request);
    },
  }),
);

export const startsOverWhenUnused = exact(
  "starts-over-when-unused",
  "EXP-043",
  "with the last importer the bytes go as well: who comes next finds zeros",
  (good, { memory, ranges, sizeBytes }) => {
    let users = 0;
    return {
      place: good.place,
      attach: () => {
        users++;
        return { answer: "accept" };
      },
      detach: () => {
        if (--users === 0) {
          writeRanges(memory, ranges, 0, new Uint8Array(sizeBytes));
        }
      },
    };
  },
);

export const throwsWhenMappedTwice = exact(
  "throws-when-mapped-twice",
  "EXP-003",
  "the second mapping of a buffer runs past a table and throws what nobody expects",
  () => {
    const table: string[] = ["free"];
    let mappings = 0;
    return {
      mapped: () => void (table[mappings++] as string).length,
      unmapped: () => void mappings--,
    };
  },
);

export const snapshotsForTheSecond = exact(
  "snapshots-for-the-second",
  "EXP-018",
  "every second attachment is given a copy of the bytes: what others write it never sees",
  (good, { memory, ranges, sizeBytes }) => {
    let attached = 0;
    const copy = memory.allocate(sizeBytes);
    return {
      attach: () => {
        attached++;
        return { answer: "accept" };
      },
      place: (request) => {
        if (attached % 2 === 1) {
          return good.place(request);
        }
        const bytes = new Uint8Array(sizeBytes);
        readRanges(memory, ranges, 0, bytes);
        writeRanges(memory, copy.ranges, 0, bytes);
        return { target: "system", ranges: copy.ranges };
      },
      release: () => {
        memory.free(copy);
        good.release();
      },
    };
  },
);

export const failsWhileAnotherIsOpen = exact(
  "fails-while-another-is-open",
  "EXP-040",
  "the end of a bracket fails when another one is open, for the driver knows one at a time",
  () => {
    let brackets = 0;
    return {
      beginCpuAccess: async () => void brackets++,
      endCpuAccess: async () => {
        if (brackets-- > 1) {
          throw new PeerbufError("WRONG_ORDER", "another bracket is open");
        }
      },
    };
  },
);
