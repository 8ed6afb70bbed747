/** Mutants of VRAM at work: copies that end badly, brackets, and resets. */
import { FenceError, LockOwner, type PhysicalRanges, type SoftwareFence } from "@peerbuf/core";
import { type Move, TRIES_MAX, VramBuffer } from "../good/vram.ts";
import { RESET, VramCard } from "../good/vram-card.ts";
import { vramMutant } from "./vram-family.ts";

export const losesTheErrorOfAMove = vramMutant(
  "loses-the-error-of-a-move",
  "SYN-021",
  "a copy that failed signals as one that went well: importers read what never arrived",
  {
    Buffer: class extends VramBuffer {
      override ended(_ok: boolean, move: Move, fence: SoftwareFence): void {
        this.left(move);
        fence.signal();
      }
    },
  },
);

export const losesTheErrorOfACopy = vramMutant(
  "loses-the-error-of-a-copy",
  "SYN-021",
  "a copy to an importer's memory that failed signals as one that went well",
  {
    Buffer: class extends VramBuffer {
      override carried(
        _ok: boolean,
        _target: PhysicalRanges,
        _way: "out" | "back",
        fence: SoftwareFence,
      ): void {
        fence.signal();
      }
    },
  },
);

export const triesAgainBackwards = vramMutant(
  "tries-again-backwards",
  "EXP-031",
  "the second try of a copy has source and target the wrong way round",
  {
    Buffer: class extends VramBuffer {
      override ended(ok: boolean, move: Move, fence: SoftwareFence, tries: number): void {
        if (ok || tries === TRIES_MAX) {
          super.ended(ok, move, fence, tries);
          return;
        }
        this.card.engine.copy(move.to.ranges, move.from.ranges, (again) =>
          super.ended(again, move, fence, tries + 1),
        );
      }
    },
  },
);

export const forgetsAFailedCopy = vramMutant(
  "forgets-a-failed-copy",
  "SYN-002",
  "the handler returns early on an error: the fence of the failed copy never signals",
  {
    Buffer: class extends VramBuffer {
      override ended(ok: boolean, move: Move, fence: SoftwareFence): void {
        if (ok) {
          this.left(move);
          fence.signal();
        }
      }
    },
  },
);

export const signalsForEachTry = vramMutant(
  "signals-for-each-try",
  "SYN-001",
  "a copy that was tried more than once signals its fence once more at the end",
  {
    Buffer: class extends VramBuffer {
      override ended(ok: boolean, move: Move, fence: SoftwareFence, tries: number): void {
        super.ended(ok, move, fence, tries);
        if (fence.isSignaled && tries > 1) {
          fence.signal();
        }
      }
    },
  },
);

export const namesTheErrorTooLate = vramMutant(
  "names-the-error-too-late",
  "SYN-012",
  "the error is set after the signal, when nobody looks any more",
  {
    Buffer: class extends VramBuffer {
      override ended(ok: boolean, move: Move, fence: SoftwareFence, tries: number): void {
        if (ok || tries < TRIES_MAX) {
          super.ended(ok, move, fence, tries);
          return;
        }
        this.left(move);
        fence.signal();
        fence.setError(new FenceError("EIO", "the copy failed"));
      }
    },
  },
);

export const waitsForANeighbour = vramMutant(
  "waits-for-a-neighbour",
  "SYN-003",
  "a completion waits until other buffers of the card are quiet before it signals",
  {
    Buffer: class extends VramBuffer {
      override ended(_ok: boolean, move: Move, fence: SoftwareFence): void {
        const others = this.card.buffers.filter((each) => each !== this);
        const running = others.flatMap(({ control }) => control.reservation.getFences("kernel"));
        void Promise.all(running.map((each) => each.signaled())).then(() => {
          this.left(move);
          fence.signal();
        });
      }
    },
  },
);

export const locksBeforeItSignals = vramMutant(
  "locks-before-it-signals",
  "SYN-004",
  "a completion takes the reservation's lock to tidy up, and only then signals",
  {
    Buffer: class extends VramBuffer {
      override ended(_ok: boolean, move: Move, fence: SoftwareFence): void {
        const { reservation } = this.control;
        const owner = new LockOwner("completion");
        void reservation.lock(owner).then(() => {
          this.left(move);
          fence.signal();
          reservation.unlock(owner);
        });
      }
    },
  },
);

export const copiesBeforeTheBytesArrive = vramMutant(
  "copies-before-the-bytes-arrive",
  "EXP-030",
  "a copy to an importer's memory does not wait for a move that has begun",
  {
    Buffer: class extends VramBuffer {
      readonly #own = this.card.timeline("copies for importers");
      #ownSeqno = 0;

      override copy(target: PhysicalRanges, way: "out" | "back"): SoftwareFence {
        const Fence = this.nextFence().constructor as typeof SoftwareFence;
        const fence = new Fence(this.#own, ++this.#ownSeqno);
        this.carry(target, way, fence);
        return fence;
      }
    },
  },
);

export const copiesBackToTheOldPlace = vramMutant(
  "copies-back-to-the-old-place",
  "EXP-030",
  "the place of the copy out is kept for the copy back, though the buffer may have moved meanwhile",
  {
    Buffer: class extends VramBuffer {
      #copiedFrom = this.home;

      override carry(...copy: Parameters<VramBuffer["carry"]>): void {
        const { home } = this;
        if (copy[1] === "out") {
          this.#copiedFrom = home;
        }
        this.home = this.#copiedFrom;
        super.carry(...copy);
        this.home = home;
      }
    },
  },
);

export const writesUnderTheCopy = vramMutant(
  "writes-under-the-copy",
  "EXP-029",
  "a bracket neither keeps the buffer in place nor waits for a move: the copy overwrites what the CPU wrote",
  {
    Buffer: class extends VramBuffer {
      override async beginCpuAccess(): Promise<void> {}
      override async endCpuAccess(): Promise<void> {}
    },
  },
);

export const countsReadersForEver = vramMutant(
  "counts-readers-for-ever",
  "EXP-045",
  "the end of a bracket for reading is a no-op: what the CPU has read once never moves again",
  {
    Buffer: class extends VramBuffer {
      override async endCpuAccess(use: string): Promise<void> {
        if (use !== "read") {
          this.brackets--;
        }
      }
    },
  },
);

export const revokesTheFirstOnly = vramMutant(
  "revokes-the-first-only",
  "EXP-034",
  "a reset returns from the loop after the first buffer",
  {
    Card: class extends VramCard {
      override async reset(): Promise<void> {
        await this.buffers[0]?.control.revoke(RESET);
      }
    },
  },
);

export const revokesWhatRests = vramMutant(
  "revokes-what-rests",
  "EXP-034",
  "a reset passes over buffers that are on the move: they are thought to be safe",
  {
    Card: class extends VramCard {
      override async reset(): Promise<void> {
        const resting = this.buffers.filter(({ isCopying }) => !isCopying);
        await Promise.all(resting.map(({ control }) => control.revoke(RESET)));
      }
    },
  },
);

export const losesPatienceWithImporters = vramMutant(
  "loses-patience-with-importers",
  "EXP-034",
  "a reset gives importers a nanosecond, and goes on when they have not let go",
  {
    Card: class extends VramCard {
      override async reset(): Promise<void> {
        const limit = { timeoutNs: 1 };
        await Promise.allSettled(this.buffers.map(({ control }) => control.revoke(RESET, limit)));
      }
    },
  },
);

export const freesBeforeTheyLetGo = vramMutant(
  "frees-before-they-let-go",
  "EXP-020",
  "a reset gives host pages back as soon as importers were told, not when they have let go",
  {
    Card: class extends VramCard {
      override async reset(): Promise<void> {
        const revoked = this.buffers.map(({ control }) => control.revoke(RESET));
        for (const buffer of this.buffers.filter(({ isOnCard }) => !isOnCard)) {
          this.give(buffer.home);
          buffer.home = this.takeHost(buffer.sizeBytes) ?? buffer.home;
        }
        await Promise.all(revoked);
      }
    },
  },
);
