/** Mutants of lifetime: mappings, pins and attachments that end too early, too late or twice. */
import { GOOD, letGo, over, readerImporter } from "../good/reader.ts";
import { readerMutant } from "./family.ts";

export const usesAfterUnmap = readerMutant({
  rules: ["IMP-028", "IMP-016"],
  by: "contract",
  mistake: "unmaps as soon as the engine has begun: the device writes through a dead mapping",
  driver: readerImporter("uses-after-unmap", "movable", {
    async run(use, mapping, fence) {
      const work = GOOD.run(use, mapping, fence);
      letGo(use);
      await work;
    },
  }),
});

export const unmapsTwice = readerMutant({
  rules: ["IMP-011"],
  by: "contract",
  mistake: "the mapping is unmapped when the work is over, and again on the way out",
  driver: readerImporter("unmaps-twice", "pinned", {
    async run(use, mapping, fence) {
      await GOOD.run(use, mapping, fence);
      mapping.unmap();
    },
  }),
});

export const unmapsTwiceAfterAFailure = readerMutant({
  rules: ["IMP-011"],
  by: "explorer",
  mistake: "only the error path unmaps by itself, and then the common end does it again",
  driver: readerImporter("unmaps-twice-after-a-failure", "movable", {
    async run(use, mapping, fence) {
      try {
        await GOOD.run(use, mapping, fence);
      } catch (error) {
        mapping.unmap();
        throw error;
      }
    },
  }),
});

export const leaksTheMapping = readerMutant({
  rules: ["IMP-025", "IMP-010"],
  by: "contract",
  mistake: "nothing is unmapped, nothing detached: the buffer can never be closed",
  driver: readerImporter("leaks-the-mapping", "pinned", { finish() {} }),
});

export const leaksAfterARefusal = readerMutant({
  rules: ["IMP-032", "IMP-033", "IMP-025"],
  by: "contract",
  mistake: "when no mapping came of it the attachment is forgotten",
  driver: readerImporter("leaks-after-a-refusal", "pinned", {
    finish(use) {
      if (use.mapping !== undefined) {
        GOOD.finish(use);
      }
    },
  }),
});

export const detachesWhileMapped = readerMutant({
  rules: ["IMP-010"],
  by: "contract",
  mistake: "lets go in the order of taking, not in reverse: detach, then unmap",
  driver: readerImporter("detaches-while-mapped", "pinned", {
    finish(use) {
      try {
        use.attachment.detach();
      } finally {
        letGo(use);
      }
    },
  }),
});

export const unpinsTwice = readerMutant({
  rules: ["IMP-015"],
  by: "contract",
  mistake: "one pin, two unpins: the second one is somebody else's",
  driver: readerImporter("unpins-twice", "movable", {
    async run(use, mapping, fence) {
      use.attachment.pin();
      try {
        await GOOD.run(use, mapping, fence);
      } finally {
        use.attachment.unpin();
        use.attachment.unpin();
      }
    },
  }),
});

export const forgetsThePin = readerMutant({
  rules: ["IMP-010", "IMP-025"],
  by: "contract",
  mistake: "pins for the time of the work and never unpins: the buffer can never move again",
  driver: readerImporter("forgets-the-pin", "movable", {
    async run(use, mapping, fence) {
      use.attachment.pin();
      await GOOD.run(use, mapping, fence);
    },
  }),
});

export const looksUpSegmentsAfterUnmap = readerMutant({
  rules: ["IMP-013"],
  by: "contract",
  mistake: "counts the segments for its statistics after it has given the mapping back",
  driver: readerImporter("looks-up-segments-after-unmap", "pinned", {
    finish(use) {
      const { mapping } = use;
      GOOD.finish(use);
      if (mapping !== undefined && mapping.segments.count > 1) {
        throw new RangeError("more than one segment");
      }
    },
  }),
});

export const mapsAfterDetach = readerMutant({
  rules: ["IMP-012"],
  by: "contract",
  mistake: "a late retry maps through the attachment that is gone already",
  driver: readerImporter("maps-after-detach", "pinned", {
    finish(use) {
      GOOD.finish(use);
      use.attachment.map(use.direction);
    },
  }),
});

export const freesBehindTheDevice = readerMutant({
  rules: ["IMP-028", "IMP-016"],
  by: "explorer",
  mistake: "waits for the engine only so long, and then unmaps under it",
  driver: readerImporter("frees-behind-the-device", "pinned", {
    async run(use, mapping, fence) {
      const work = GOOD.run(use, mapping, fence);
      work.catch(() => {});
      const late = await fence.signaled({ timeoutNs: 10_000 }).catch(() => "late" as const);
      if (late !== "late") {
        await over(use, fence);
      }
    },
  }),
});
