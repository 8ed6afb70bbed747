/** Mutants that keep buffers: mappings, lists and attachments that outlive what they are good for. */
import { type Mapping, PeerbufError, type SegmentList } from "@peerbuf/core";
import {
  drop,
  dropAll,
  KEEPER,
  type KeeperSteps,
  type Kept,
  keeperCheck,
  keeperImporter,
} from "../good/keeper.ts";
import type { Mutant } from "../mutant.ts";

const keeperMutant = (
  name: string,
  rules: Mutant["rules"],
  mistake: string,
  steps: Partial<KeeperSteps>,
): Mutant => ({
  rules,
  by: "contract",
  isExact: true,
  mistake,
  driver: keeperImporter(name, steps),
  check: keeperCheck,
});

export const usesWhatItKept: Mutant = keeperMutant(
  "uses-what-it-kept",
  ["IMP-014"],
  "takes the mapping of the last use, wherever the buffer is by now",
  { told() {}, mayBegin: () => true },
);

export const letsGoAtTheNextUse: Mutant = keeperMutant(
  "lets-go-at-the-next-use",
  ["IMP-017"],
  "told of a move it only remembers: the stale mapping stays until somebody uses the buffer again",
  { told() {}, worked() {} },
);

export const forgetsWhatRan: Mutant = keeperMutant(
  "forgets-what-ran",
  ["IMP-017"],
  "a mapping that was at work when the buffer moved is not unmapped afterwards",
  { worked() {} },
);

export const letsGoOfOneDirection: Mutant = keeperMutant(
  "lets-go-of-one-direction",
  ["IMP-017"],
  "has a mapping for each direction, and unmaps one of them when the buffer moves",
  {
    told(kept) {
      const mapping = kept.mappings.get("to-device");
      if (mapping !== undefined && !kept.running.has(mapping)) {
        drop(kept, mapping);
      }
    },
  },
);

export const unmapsUnderItsEngine: Mutant = keeperMutant(
  "unmaps-under-its-engine",
  ["IMP-028"],
  "lets go of everything at once when it is told, at work or not",
  { told: dropAll },
);

export const losesItsMappings: Mutant = keeperMutant(
  "loses-its-mappings",
  ["IMP-017", "IMP-010"],
  "told of a move it clears its table, and nothing is unmapped",
  { told: ({ mappings }) => mappings.clear() },
);

export const takesOneBufferForAll: Mutant = keeperMutant(
  "takes-one-buffer-for-all",
  ["IMP-039", "IMP-044"],
  "keeps what it maps under the size of the buffer: another of the same size gets the first one's bytes",
  { keyOf: ({ sizeBytes }) => sizeBytes },
);

export const keepsTheFirstDirection: Mutant = keeperMutant(
  "keeps-the-first-direction",
  ["IMP-021"],
  "one mapping for all uses, in the direction of the first",
  {
    mapped(kept, direction) {
      const [known] = kept.mappings.values();
      return known ?? KEEPER.mapped(kept, direction);
    },
    mayBegin: (_kept, { isStale, ready }) => !isStale && ready?.isSignaled !== false,
  },
);

export const staysAttached: Mutant = keeperMutant(
  "stays-attached",
  ["IMP-025", "IMP-036"],
  "lets go of the mappings of a buffer, and not of the attachment",
  {
    async end(kept) {
      await kept.last;
      dropAll(kept);
    },
  },
);

export const leavesInTheMiddle: Mutant = keeperMutant(
  "leaves-in-the-middle",
  ["IMP-012", "IMP-028", "IMP-010"],
  "does not wait for the use that runs when its user lets go of the buffer",
  {
    async end(kept) {
      dropAll(kept);
      kept.attachment.detach();
    },
  },
);

export const unmapsWhatIsNotStale: Mutant = keeperMutant(
  "unmaps-what-is-not-stale",
  ["IMP-017", "IMP-010"],
  "at the end it unmaps what still holds, and thinks that the framework has ended the rest",
  {
    told() {},
    worked() {},
    async end(kept) {
      await kept.last;
      for (const mapping of kept.mappings.values()) {
        endIfValid(mapping);
      }
      kept.attachment.detach();
    },
  },
);

export const waitsForAnotherMove: Mutant = keeperMutant(
  "waits-for-another-move",
  ["SYN-020", "IMP-036"],
  "a use that was refused waits until it is told of a move: after a revocation nobody moves",
  {
    mapped(kept, direction) {
      try {
        return KEEPER.mapped(kept, direction);
      } catch (error) {
        if (error instanceof PeerbufError && error.code === "DEVICE_GONE") {
          return waiting(kept);
        }
        throw error;
      }
    },
  },
);

const endIfValid = (mapping: Mapping): void => {
  if (!mapping.isStale) {
    mapping.unmap();
  }
};

/** Stands for a mapping that will come. */
const waiting = ({ attachment }: Kept): Mapping =>
  ({
    ...attachment,
    isStale: false,
    ready: { signaled: () => new Promise<undefined>(() => undefined) },
    segments: undefined as unknown as SegmentList,
  }) as unknown as Mapping;
