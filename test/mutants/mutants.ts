/** Mutants: all of them, by the names under which their modules export them, and the good drivers of each family. */
import * as bytes from "./exporters/bytes.ts";
import { cardCheck } from "./exporters/family.ts";
import * as memory from "./exporters/memory.ts";
import * as motion from "./exporters/motion.ts";
import * as again from "./exporters/pages-again.ts";
import * as placement from "./exporters/placement.ts";
import { vramCheck } from "./exporters/vram-family.ts";
import * as vramMotion from "./exporters/vram-motion.ts";
import * as vramPlaces from "./exporters/vram-places.ts";
import * as vramWork from "./exporters/vram-work.ts";
import { goodCard } from "./good/card.ts";
import { goodPages } from "./good/pages.ts";
import { goodMovable, goodPinned, goodRevocable } from "./good/reader.ts";
import { UNUSUAL_EXPORTERS } from "./good/unusual-exporters.ts";
import { UNUSUAL_IMPORTERS } from "./good/unusual-importers.ts";
import { goodVram } from "./good/vram.ts";
import * as addressing from "./importers/addressing.ts";
import * as bouncers from "./importers/bouncers.ts";
import { readerCheck } from "./importers/family.ts";
import * as fences from "./importers/fences.ts";
import * as keepers from "./importers/keepers.ts";
import * as lifetime from "./importers/lifetime.ts";
import * as lists from "./importers/lists.ts";
import * as locking from "./importers/locking.ts";
import * as refusals from "./importers/refusals.ts";
import * as waiting from "./importers/waiting.ts";
import type { Mutant } from "./mutant.ts";

export const MUTANTS: Readonly<Record<string, Mutant>> = {
  ...memory,
  ...placement,
  ...motion,
  ...bytes,
  ...again,
  ...vramMotion,
  ...vramWork,
  ...vramPlaces,
  ...lifetime,
  ...addressing,
  ...waiting,
  ...locking,
  ...fences,
  ...lists,
  ...keepers,
  ...bouncers,
  ...refusals,
};

/** Nothing may be found in these. */
export const GOOD_DRIVERS: readonly Pick<Mutant, "driver" | "check">[] = [
  { driver: goodPages },
  { driver: goodCard, check: cardCheck },
  { driver: goodVram, check: vramCheck },
  ...UNUSUAL_EXPORTERS,
  { driver: goodMovable, check: readerCheck },
  { driver: goodRevocable, check: readerCheck },
  { driver: goodPinned, check: readerCheck },
  ...UNUSUAL_IMPORTERS,
];
