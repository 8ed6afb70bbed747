/** Mutants of bytes: what the CPU, an engine and a device see of one buffer. */
import { PAGE_BYTES, PhysicalRanges, SoftwareFence, stubFence } from "@peerbuf/core";
import { afterwards } from "../good/copy-engine.ts";
import { pagesExporter } from "../good/pages.ts";
import { readRanges, writeRanges } from "../good/range-bytes.ts";
import { pagesMutant } from "./family.ts";

export const losesTheCopyBack = pagesMutant({
  rules: ["EXP-030"],
  by: "contract",
  mistake: "copy knows one way only: what the device wrote never comes home",
  driver: pagesExporter("loses-the-copy-back", (good, { engine }) => ({
    copy: (target, way) =>
      way === "out" ? good.copy(target, way) : stubFence(engine.timeline.context.domain),
  })),
});

export const copiesTheWrongWay = pagesMutant({
  rules: ["EXP-030"],
  by: "contract",
  mistake: "out and back are mixed up",
  driver: pagesExporter("copies-the-wrong-way", (good) => ({
    copy: (target, way) => good.copy(target, way === "out" ? "back" : "out"),
  })),
});

export const copySignalsTooEarly = pagesMutant({
  rules: ["EXP-030"],
  by: "contract",
  mistake: "the fence of a copy signals when the job is queued, the bytes come later",
  driver: pagesExporter("copy-signals-too-early", (good, { engine }) => ({
    copy(target, way) {
      good.copy(target, way);
      return stubFence(engine.timeline.context.domain);
    },
  })),
});

export const copyNeverSignals = pagesMutant({
  rules: ["SYN-002"],
  by: "contract",
  mistake: "the engine's interrupt is not enabled: the bytes arrive, the fence never signals",
  driver: pagesExporter("copy-never-signals", (good, { engine }) => {
    const context = engine.timeline.context.domain.createContext({
      driverName: "copy-never-signals",
      timelineName: "interrupts",
    });
    let seqno = 0;
    return {
      copy(target, way) {
        good.copy(target, way);
        seqno++;
        return new SoftwareFence(context, seqno);
      },
    };
  }),
});

export const copiesOnePageLess = pagesMutant({
  rules: ["EXP-030"],
  by: "contract",
  mistake: "off by one: the last page is not copied",
  driver: pagesExporter("copies-one-page-less", (_good, { engine, ranges, sizeBytes }) => ({
    copy(target, way) {
      const lengthBytes = sizeBytes - PAGE_BYTES;
      if (lengthBytes === 0) {
        return stubFence(engine.timeline.context.domain);
      }
      const ours = firstBytes(ranges, lengthBytes);
      const theirs = firstBytes(target, lengthBytes);
      return way === "out" ? engine.copy(ours, theirs) : engine.copy(theirs, ours);
    },
  })),
});

function firstBytes(ranges: PhysicalRanges, lengthBytes: number): PhysicalRanges {
  const rows: number[] = [];
  let left = lengthBytes;
  for (let index = 0; index < ranges.count && left > 0; index++) {
    const part = Math.min(left, ranges.lengthBytes(index));
    rows.push(ranges.start(index), part);
    left -= part;
  }
  return new PhysicalRanges(Float64Array.from(rows));
}

export const countsBackwards = pagesMutant({
  rules: ["SYN-005"],
  by: "contract",
  mistake: "seqnos are places in the ring, filled from its end: later work has smaller numbers",
  driver: pagesExporter("counts-backwards", (good, { engine }) => {
    const context = engine.timeline.context.domain.createContext({
      driverName: "counts-backwards",
      timelineName: "ring",
    });
    let place = 256;
    return {
      copy(target, way) {
        place--;
        const fence = new SoftwareFence(context, place);
        afterwards(good.copy(target, way), () => void fence.signal());
        return fence;
      },
    };
  }),
});

export const keepsWritesInACache = pagesMutant({
  rules: ["EXP-029"],
  by: "contract",
  mistake: "what the CPU writes stays in a cache that nobody cleans: devices read old bytes",
  driver: pagesExporter("keeps-writes-in-a-cache", (good, { sizeBytes }) => {
    const cache = new Map<number, number>();
    return {
      async write(offset, source) {
        source.forEach((byte, index) => void cache.set(offset + index, byte));
      },
      async read(offset, target) {
        await good.read(offset, target);
        for (let index = 0; index < target.length && offset + index < sizeBytes; index++) {
          target[index] = cache.get(offset + index) ?? (target[index] as number);
        }
      },
    };
  }),
});

export const readsFromAStaleCache = pagesMutant({
  rules: ["EXP-029"],
  by: "contract",
  mistake: "begin does not invalidate: the CPU sees what was there at its first look",
  driver: pagesExporter("reads-from-a-stale-cache", (good, { memory, ranges, sizeBytes }) => {
    const cache = new Uint8Array(sizeBytes);
    let isFilled = false;
    return {
      async read(offset, target) {
        if (!isFilled) {
          isFilled = true;
          readRanges(memory, ranges, 0, cache);
        }
        target.set(cache.subarray(offset, offset + target.length));
      },
      async write(offset, source) {
        await good.write(offset, source);
        cache.set(source, offset);
      },
    };
  }),
});

export const flushesAtReleaseOnly = pagesMutant({
  rules: ["EXP-029"],
  by: "contract",
  mistake: "dirty lines are written back at release instead of at the end of the bracket",
  driver: pagesExporter("flushes-at-release-only", (good, { memory, ranges, sizeBytes }) => {
    const cache = new Uint8Array(sizeBytes);
    let isDirty = false;
    return {
      async read(offset, target) {
        if (!isDirty) {
          readRanges(memory, ranges, 0, cache);
        }
        target.set(cache.subarray(offset, offset + target.length));
      },
      async write(offset, source) {
        if (!isDirty) {
          readRanges(memory, ranges, 0, cache);
        }
        isDirty = true;
        cache.set(source, offset);
      },
      release() {
        if (isDirty) {
          writeRanges(memory, ranges, 0, cache);
        }
        good.release();
      },
    };
  }),
});

export const wrapsAtAPage = pagesMutant({
  rules: ["EXP-028"],
  by: "contract",
  mistake: "offsets are taken modulo a page: the second page shows the first",
  driver: pagesExporter("wraps-at-a-page", (good) => ({
    read: (offset, target) => good.read(offset % PAGE_BYTES, target),
  })),
});

export const forgetsTheLastByte = pagesMutant({
  rules: ["EXP-028"],
  by: "contract",
  mistake: "a length is taken for a last index: the last byte of every write is lost",
  driver: pagesExporter("forgets-the-last-byte", (good) => ({
    write: (offset, source) =>
      source.length > 1 ? good.write(offset, source.subarray(0, -1)) : Promise.resolve(),
  })),
});

export const breaksNestedBrackets = pagesMutant({
  rules: ["EXP-040"],
  by: "contract",
  mistake: "one flag for all brackets: the second end of two nested ones fails",
  driver: pagesExporter("breaks-nested-brackets", () => {
    let isOpen = false;
    return {
      async beginCpuAccess() {
        isOpen = true;
      },
      async endCpuAccess() {
        if (!isOpen) {
          throw new RangeError("no bracket is open");
        }
        isOpen = false;
      },
    };
  }),
});

export const failsAtRelease = pagesMutant({
  rules: ["EXP-023"],
  by: "contract",
  mistake: "release throws where it finds no user of a statistics entry: release cannot fail",
  driver: pagesExporter("fails-at-release", (good) => ({
    release() {
      good.release();
      throw new RangeError("no statistics entry");
    },
  })),
});

export const pinsWithoutUnpin = pagesMutant({
  rules: ["EXP-016"],
  by: "contract",
  mistake: "has pin and no unpin: what is pinned stays pinned",
  driver: pagesExporter("pins-without-unpin", (good) => ({
    pin: (request) => good.place(request),
  })),
});
