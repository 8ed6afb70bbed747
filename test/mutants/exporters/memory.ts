/** Mutants of memory: who owns the pages, for how long, and how many they are. */
import { PAGE_BYTES, type PhysicalAddress, PhysicalRanges } from "@peerbuf/core";
import { cardExporter } from "../good/card.ts";
import { pagesExporter } from "../good/pages.ts";
import { cardMutant, pagesMutant } from "./family.ts";

export const freesTwice = pagesMutant({
  rules: ["EXP-022"],
  by: "contract",
  mistake: "release gives the pages back twice: somebody else's are gone",
  driver: pagesExporter("frees-twice", (good, { memory, pages }) => ({
    release() {
      good.release();
      memory.free(pages);
    },
  })),
});

export const leaksPages = pagesMutant({
  rules: ["EXP-021"],
  by: "contract",
  mistake: "release forgets the pages",
  driver: pagesExporter("leaks-pages", () => ({ release() {} })),
});

export const freesAtDetach = pagesMutant({
  rules: ["EXP-015"],
  by: "contract",
  mistake:
    "the pages go with the last importer, though the buffer lives on and the CPU writes to it",
  driver: pagesExporter("frees-at-detach", (good) => {
    let clients = 0;
    let isFreed = false;
    const free = () => {
      if (!isFreed) {
        isFreed = true;
        good.release();
      }
    };
    return {
      attach: () => {
        clients++;
        return { answer: "accept" };
      },
      detach: () => {
        clients--;
        if (clients === 0) {
          free();
        }
      },
      release: free,
    };
  }),
});

export const placesShort = pagesMutant({
  rules: ["EXP-006"],
  by: "contract",
  mistake: "place answers all pages but the last",
  driver: pagesExporter("places-short", (_good, { ranges, sizeBytes }) => ({
    place: () => ({
      target: "system",
      ranges: PhysicalRanges.of(ranges.start(0), Math.max(1, sizeBytes - PAGE_BYTES)),
    }),
  })),
});

export const placesRoundedUp = pagesMutant({
  rules: ["EXP-006"],
  by: "contract",
  mistake: "place answers what the allocator took, rounded up to a power of two, not the buffer",
  driver: pagesExporter("places-rounded-up", (_good, { ranges, sizeBytes }) => ({
    place: () => ({
      target: "system",
      ranges: PhysicalRanges.of(ranges.start(0), 2 ** Math.ceil(Math.log2(sizeBytes + 1))),
    }),
  })),
});

export const overlapsNeighbour = cardMutant({
  rules: ["EXP-013"],
  by: "contract",
  mistake: "off by one: a place begins on the last page of the buffer before",
  driver: cardExporter("overlaps-neighbour", {
    storage: (good, { home, barStart }) => {
      const early = home.start(0) - (home.start(0) === barStart ? 0 : PAGE_BYTES);
      const ranges = PhysicalRanges.of(early as PhysicalAddress, home.sizeBytes);
      const shifted: typeof good.place = (request) => {
        const placement = good.place(request);
        return "answer" in placement || placement.target !== "device"
          ? placement
          : { ...placement, ranges };
      };
      return { place: shifted, pin: shifted };
    },
  }),
});

export const keepsRoom = cardMutant({
  rules: ["EXP-037"],
  by: "contract",
  mistake: "release forgets the room on the card: it is full after some allocations",
  driver: cardExporter("keeps-room", { storage: () => ({ release() {} }) }),
});

export const showsOldBytes = cardMutant({
  rules: ["EXP-005"],
  by: "contract",
  mistake: "a new buffer shows the bytes of the one that was there before",
  driver: cardExporter("shows-old-bytes", {
    storage: (_good, { access, home }) => {
      // What clearing would have removed, as the last owner left it.
      access.write(home.start(0), new Uint8Array(64).fill(0xa5));
      return {};
    },
  }),
});

export const takesAnyWish = pagesMutant({
  rules: ["EXP-004"],
  by: "contract",
  mistake: "an option that nobody knows is taken silently: a typing error goes unnoticed",
  driver: ignoringWishes(),
});

function ignoringWishes() {
  const good = pagesExporter("takes-any-wish");
  return {
    ...good,
    open: (...parts: Parameters<typeof good.open>) => {
      const opened = good.open(...parts);
      const { allocate } = opened;
      return {
        ...opened,
        allocate: (...[sizeBytes, , control]: Parameters<typeof allocate>) =>
          allocate(sizeBytes, {}, control),
      };
    },
  };
}

export const throwsPlainError = pagesMutant({
  rules: ["EXP-035"],
  by: "contract",
  mistake: "no memory is an Error with a text, not MEMORY_EXHAUSTED: nobody can tell it from a bug",
  driver: throwingPlainly(),
});

function throwingPlainly() {
  const good = pagesExporter("throws-plain-error");
  return {
    ...good,
    open: (...parts: Parameters<typeof good.open>) => {
      const opened = good.open(...parts);
      return {
        ...opened,
        allocate: (...asked: Parameters<typeof opened.allocate>) => {
          try {
            return opened.allocate(...asked);
          } catch {
            throw new Error("out of memory");
          }
        },
      };
    },
  };
}
