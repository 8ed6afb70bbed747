/** Mutants of motion: buffers that move or are revoked while others work on them. */
import { stubFence } from "@peerbuf/core";
import {
  type CardBuffer,
  cardExporter,
  EVICTED,
  RESET,
  rangesOf,
  startCopy,
} from "../good/card.ts";
import { writeRanges } from "../good/range-bytes.ts";
import { cardMutant } from "./family.ts";

/** May the buffer be moved there at all? As the good driver asks. */
const mayMove = (buffer: CardBuffer, to: CardBuffer["place"]): boolean =>
  buffer.place !== to &&
  !buffer.control.isPinned &&
  !buffer.isCopying &&
  !buffer.control.reservation.isLocked;

export const movesSilently = cardMutant({
  rules: ["EXP-018"],
  by: "contract",
  mistake: "the bytes go to another place and nobody is told: mappings lead to the old one",
  driver: cardExporter("moves-silently", {
    move(buffer, to) {
      if (mayMove(buffer, to)) {
        startCopy(buffer, to, stubFence(buffer.control.reservation.domain));
      }
      return buffer.place === to;
    },
  }),
});

export const movesPinnedMemory = cardMutant({
  rules: ["EXP-017"],
  by: "contract",
  mistake: "for want of room even pinned memory is moved, behind the framework's back",
  driver: cardExporter("moves-pinned-memory", {
    move(buffer, to) {
      if (buffer.place !== to && !buffer.isCopying) {
        const { control } = buffer;
        if (control.isPinned) {
          startCopy(buffer, to, stubFence(control.reservation.domain));
        } else if (mayMove(buffer, to)) {
          control.move(EVICTED, (after) => startCopy(buffer, to, after));
        }
      }
      return buffer.place === to;
    },
  }),
});

export const copiesTooEarly = cardMutant({
  rules: ["EXP-019"],
  by: "explorer",
  mistake: "the copy does not wait for running work: what a device writes meanwhile is lost",
  driver: cardExporter("copies-too-early", {
    move(buffer, to) {
      if (mayMove(buffer, to)) {
        const now = stubFence(buffer.control.reservation.domain);
        buffer.control.move(EVICTED, () => startCopy(buffer, to, now));
      }
      return buffer.place === to;
    },
  }),
});

export const saysArrivedTooEarly = cardMutant({
  rules: ["EXP-031", "EXP-019"],
  by: "explorer",
  mistake: "the move answers with a signaled fence while the engine still copies",
  driver: cardExporter("says-arrived-too-early", {
    move(buffer, to) {
      if (mayMove(buffer, to)) {
        buffer.control.move(EVICTED, (after) => {
          startCopy(buffer, to, after);
          return stubFence(buffer.control.reservation.domain);
        });
      }
      return buffer.place === to;
    },
  }),
});

export const leavesTheBytes = cardMutant({
  rules: ["EXP-031"],
  by: "contract",
  mistake: "the buffer moves, its bytes do not: the new place shows zeros",
  driver: cardExporter("leaves-the-bytes", {
    move(buffer, to) {
      if (mayMove(buffer, to)) {
        buffer.control.move(EVICTED, (after) => {
          const left = buffer.pages;
          const { memory, engine, home } = buffer;
          buffer.pages = to === "system" ? memory.allocate(home.sizeBytes) : undefined;
          buffer.place = to;
          return engine.run(after, () => left && memory.free(left));
        });
      }
      return buffer.place === to;
    },
  }),
});

export const copiesAllButTheLastPage = cardMutant({
  rules: ["EXP-031"],
  by: "contract",
  mistake: "the copy counts pages from 1: the last one stays behind",
  driver: cardExporter("copies-all-but-the-last-page", {
    move(buffer, to) {
      if (mayMove(buffer, to)) {
        buffer.control.move(EVICTED, (after) => {
          const last = rangesOf(buffer).sizeBytes - 4096;
          const fence = startCopy(buffer, to, after);
          const target = rangesOf(buffer);
          return buffer.engine.run(fence, () =>
            writeRanges(buffer.access, target, last, new Uint8Array(4096)),
          );
        });
      }
      return buffer.place === to;
    },
  }),
});

export const freesTheOldPlaceAtOnce = cardMutant({
  rules: ["PLT-034", "EXP-015", "EXP-031"],
  by: "contract",
  mistake: "the pages that are left are free before the copy has read them",
  driver: cardExporter("frees-the-old-place-at-once", {
    move(buffer, to) {
      if (mayMove(buffer, to)) {
        buffer.control.move(EVICTED, (after) => {
          const { memory, engine, home, pages } = buffer;
          const from = rangesOf(buffer);
          buffer.pages = to === "system" ? memory.allocate(home.sizeBytes) : undefined;
          buffer.place = to;
          if (pages !== undefined) {
            memory.free(pages);
          }
          return engine.copy(from, rangesOf(buffer), after);
        });
      }
      return buffer.place === to;
    },
  }),
});

export const forgetsTheSignal = cardMutant({
  rules: ["SYN-002", "SYN-020"],
  by: "contract",
  mistake: "when the engine is handed its job it returns early, and the copy's fence never signals",
  driver: cardExporter("forgets-the-signal", {
    move(buffer, to) {
      if (mayMove(buffer, to)) {
        buffer.control.move(EVICTED, () => {
          buffer.place = to;
          buffer.pages ??= buffer.memory.allocate(buffer.home.sizeBytes);
          return buffer.engine.timeline.next();
        });
      }
      return buffer.place === to;
    },
  }),
});

export const movesInMapped = cardMutant({
  rules: ["EXP-042", "EXP-041"],
  by: "contract",
  mistake: "mapped evicts the buffer that was mapped just now: nobody ever gets to use it",
  driver: cardExporter("moves-in-mapped", {
    storage: (_good, buffer) => ({
      mapped() {
        const to = buffer.place === "device" ? "system" : "device";
        if (mayMove(buffer, to)) {
          buffer.control.move(EVICTED, (after) => startCopy(buffer, to, after));
        }
      },
    }),
  }),
});

export const revokesWithoutWaiting = cardMutant({
  rules: ["EXP-034"],
  by: "contract",
  mistake: "the reset goes on while importers still hold their mappings",
  driver: cardExporter("revokes-without-waiting", {
    revoke: async ({ control }) => void control.revoke(RESET).catch(() => {}),
  }),
});

export const revokesNothing = cardMutant({
  rules: ["EXP-034"],
  by: "contract",
  mistake: "reset wipes the card and tells nobody: devices read what is no longer theirs",
  driver: cardExporter("revokes-nothing", {
    revoke: async (buffer) =>
      writeRanges(buffer.access, buffer.home, 0, new Uint8Array(buffer.home.sizeBytes)),
    restore: () => {},
  }),
});

export const lendsRevokedMemory = cardMutant({
  rules: ["EXP-034"],
  by: "contract",
  mistake: "the memory is given back to its users before the reset that took it is over",
  driver: cardExporter("lends-revoked-memory", {
    async revoke({ control }) {
      await control.revoke(RESET);
      control.restore();
    },
    restore: () => {},
  }),
});

export const forgetsAWaiter = cardMutant({
  rules: ["EXP-019"],
  by: "explorer",
  mistake: "the copy waits for the first fence on the reservation only, not for all of them",
  driver: cardExporter("forgets-a-waiter", {
    move(buffer, to) {
      if (mayMove(buffer, to)) {
        const { reservation } = buffer.control;
        buffer.control.move(EVICTED, () => {
          const [first] = reservation.getFences("bookkeep");
          return startCopy(buffer, to, first ?? stubFence(reservation.domain));
        });
      }
      return buffer.place === to;
    },
  }),
});
