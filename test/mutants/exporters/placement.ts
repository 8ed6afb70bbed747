/** Mutants of placement: where the bytes are said to be, and for whom. */
import {
  ACCEPT,
  BARS,
  DMA,
  decline,
  P2P,
  PAGE_BYTES,
  PeerbufError,
  type PhysicalAddress,
  PhysicalRanges,
} from "@peerbuf/core";
import { cardExporter, placementOf } from "../good/card.ts";
import { pagesExporter } from "../good/pages.ts";
import { readRanges, writeRanges } from "../good/range-bytes.ts";
import { cardMutant, pagesMutant } from "./family.ts";

export const claimsPeersUnasked = cardMutant({
  rules: ["EXP-009"],
  by: "contract",
  mistake: "place answers the card's own memory whatever it is asked for: P2P without asking",
  driver: cardExporter("claims-peers-unasked", {
    storage: (_good, buffer) => ({ place: () => placementOf(buffer) }),
  }),
});

export const pinsForPeersOnly = cardMutant({
  rules: ["EXP-009"],
  by: "contract",
  mistake: "pin freezes the bytes on the card, though the importer asked for system memory",
  driver: cardExporter("pins-for-peers-only", {
    storage: (_good, buffer) => ({ pin: () => placementOf(buffer) }),
  }),
});

export const namesNoProvider = cardMutant({
  rules: ["EXP-007"],
  by: "contract",
  mistake: "device memory without the function whose BAR it is: nobody can judge the path",
  driver: cardExporter("names-no-provider", {
    storage: (good) => ({
      place(request) {
        const placement = good.place(request);
        if ("answer" in placement || placement.target !== "device") {
          return placement;
        }
        return { target: "device", ranges: placement.ranges };
      },
      pin: (request) => good.pin(request),
    }),
  }),
});

export const passesBarOffAsHostMemory = cardMutant({
  rules: ["EXP-014"],
  by: "contract",
  mistake: "the BAR is called system memory, as a driver does that knows only one kind of address",
  driver: cardExporter("passes-bar-off", {
    storage: (_good, { home }) => {
      const placement = { target: "system", ranges: home } as const;
      return { place: () => placement, pin: () => placement };
    },
  }),
});

export const placesBeyondBar = cardMutant({
  rules: ["EXP-008"],
  by: "contract",
  mistake: "an offset on the card is added to the end of the BAR, not to its start",
  driver: beyondBar(),
});

function beyondBar() {
  let barBytes = 0;
  const good = cardExporter("places-beyond-bar", {
    storage: (operations, { home, provider }) => {
      const start = (home.start(0) + barBytes) as PhysicalAddress;
      const ranges = PhysicalRanges.of(start, home.sizeBytes);
      const placement = { target: "device", provider, ranges } as const;
      return {
        place: (request) => (request.pair.type === P2P ? placement : operations.place(request)),
        pin: (request) => (request.pair.type === P2P ? placement : operations.pin(request)),
      };
    },
  });
  return {
    ...good,
    open: (...parts: Parameters<typeof good.open>) => {
      barBytes = parts[0].get(BARS).memory[0]?.sizeBytes ?? 0;
      return good.open(...parts);
    },
  };
}

export const halfAPage = pagesMutant({
  rules: ["EXP-011"],
  by: "contract",
  mistake: "the memory is carved out of a pool at any offset: ranges begin in the middle of pages",
  driver: pagesExporter("half-a-page", (_good, { ranges, sizeBytes }) => {
    const half = PAGE_BYTES / 2;
    const pieces = [ranges.start(0), half, ranges.start(0) + half, sizeBytes - half];
    const carved = new PhysicalRanges(Float64Array.from(pieces));
    return { place: () => ({ target: "system", ranges: carved }) };
  }),
});

export const samePageTwice = pagesMutant({
  rules: ["EXP-012"],
  by: "contract",
  mistake: "the loop that fills the list forgets to step on: each range is the first page again",
  driver: pagesExporter("same-page-twice", (_good, { ranges, sizeBytes }) => {
    const rows = Array.from({ length: sizeBytes / PAGE_BYTES }, () => [
      ranges.start(0),
      PAGE_BYTES,
    ]);
    const repeated = new PhysicalRanges(Float64Array.from(rows.flat()));
    return { place: () => ({ target: "system", ranges: repeated }) };
  }),
});

export const redirectsSilently = cardMutant({
  rules: ["EXP-027"],
  by: "contract",
  mistake: "host memory in place of the card's, and not a word why: the silent fall-back",
  driver: cardExporter("redirects-silently", {
    move: () => false,
    storage: (_good, buffer) => {
      const pages = buffer.memory.allocate(buffer.home.sizeBytes);
      const placement = { target: "system", ranges: pages.ranges } as const;
      const { memory } = buffer;
      return {
        place: () => placement,
        pin: () => placement,
        read: async (offset, target) => readRanges(memory, pages.ranges, offset, target),
        write: async (offset, source) => writeRanges(memory, pages.ranges, offset, source),
        release: () => memory.free(pages),
      };
    },
  }),
});

export const refusesWithoutReason = cardMutant({
  rules: ["EXP-026"],
  by: "contract",
  mistake: "a decline with an empty code and no sentence: the record says nothing",
  driver: cardExporter("refuses-without-reason", {
    storage: () => ({ attach: () => decline("", "") }),
  }),
});

export const changesItsTypes = pagesMutant({
  rules: ["EXP-002"],
  by: "contract",
  mistake: "the list of types depends on who is attached: a choice made before is no longer on it",
  driver: pagesExporter("changes-its-types", () => {
    let isAttached = false;
    return {
      attach: () => {
        isAttached = true;
        return ACCEPT;
      },
      get types() {
        return isAttached ? [{ type: DMA }] : [{ type: P2P }, { type: DMA }];
      },
    };
  }),
});

export const placesWithAPromise = pagesMutant({
  rules: ["EXP-024"],
  by: "contract",
  mistake: "place is async, as the rest of the driver's code: a promise is no placement",
  driver: pagesExporter("places-with-a-promise", (good) => ({
    place: (async (request: Parameters<typeof good.place>[0]) =>
      good.place(request)) as unknown as typeof good.place,
  })),
});

export const oneMappingOnly = pagesMutant({
  rules: ["EXP-041"],
  by: "contract",
  mistake: "mapped keeps one slot for the whole buffer and breaks when a second importer maps",
  driver: pagesExporter("one-mapping-only", () => {
    let isMapped = false;
    return {
      mapped() {
        if (isMapped) {
          throw new PeerbufError("BUFFER_BUSY", "the mapping slot is taken");
        }
        isMapped = true;
      },
      unmapped() {
        isMapped = false;
      },
    };
  }),
});
