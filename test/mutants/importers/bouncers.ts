/** Mutants that bring memory of their own: of the wrong size, too early gone, twice in use. */
import type { HostPages } from "@peerbuf/core";
import { BOUNCER, type BouncerSteps, bouncerImporter, memoryOf } from "../good/bouncer.ts";
import { GOOD } from "../good/reader.ts";
import type { Mutant } from "../mutant.ts";
import { readerCheck } from "./family.ts";

const bouncerMutant = (
  name: string,
  rules: Mutant["rules"],
  mistake: string,
  steps: Partial<BouncerSteps>,
): Mutant => ({
  rules,
  by: "contract",
  isExact: true,
  mistake,
  driver: bouncerImporter(name, steps),
  check: readerCheck,
});

export const bringsWholeBlocks: Mutant = bouncerMutant(
  "brings-whole-blocks",
  ["IMP-026"],
  "brings 64 KiB for whatever is smaller",
  { take: (use) => memoryOf(use).allocate(2 ** 16) },
);

export const freesBeforeTheCopyBack: Mutant = bouncerMutant(
  "frees-before-the-copy-back",
  ["IMP-026", "IMP-044"],
  "frees its pages after unmap, while the exporter still copies them back",
  { settled: async () => undefined },
);

export const bringsOnePlaceForAll: Mutant = bouncerMutant(
  "brings-one-place-for-all",
  ["IMP-026", "IMP-039"],
  "one bounce area for all uses: two at once meet in it",
  areaOfItsOwn(),
);

export const readsBeforeTheCopy: Mutant = bouncerMutant(
  "reads-before-the-copy",
  ["IMP-022", "IMP-037"],
  "its own pages are mapped at once, so it does not wait for the bytes to be copied there",
  {
    async prepare() {},
    isReady: (use, mapping) => use.mapping === mapping && !mapping.isStale,
  },
);

export const keepsItsPages: Mutant = bouncerMutant(
  "keeps-its-pages",
  ["IMP-025"],
  "never frees what it brought",
  { giveBack() {} },
);

export const freesTwiceAfterACopy: Mutant = bouncerMutant(
  "frees-twice-after-a-copy",
  ["PLT-034"],
  "frees its pages when the copy back is over, and once more on the way out",
  {
    giveBack(use, pages) {
      BOUNCER.giveBack(use, pages);
      BOUNCER.giveBack(use, pages);
    },
  },
);

/** Allocated with the first use, freed at close. */
function areaOfItsOwn(): Partial<BouncerSteps> {
  const areas = new WeakMap<object, { pages: HostPages; free(): void }>();
  return {
    take(use, { sizeBytes }) {
      const known = areas.get(use.parts);
      const memory = memoryOf(use);
      const pages = known?.pages ?? memory.allocate(sizeBytes);
      areas.set(use.parts, { pages, free: () => memory.free(pages) });
      return pages;
    },
    isReady: GOOD.isReady,
    giveBack() {},
    close: (parts) => areas.get(parts)?.free(),
  };
}
