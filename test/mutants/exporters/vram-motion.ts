/** Mutants of VRAM in motion: moves that nearly keep their order. */
import { type Fence, FenceDomain, type PlacementRequest, SoftwareFence } from "@peerbuf/core";
import { afterwards } from "../good/copy-engine.ts";
import { EVICTED, type Move, VramBuffer } from "../good/vram.ts";
import { VramCard } from "../good/vram-card.ts";
import { vramMutant } from "./vram-family.ts";

export const copiesAtOnceTheSecondTime = vramMutant(
  "copies-at-once-the-second-time",
  "EXP-019",
  "only the first move waits for running work; the way back is thought to be idle",
  {
    Buffer: class extends VramBuffer {
      override begin(move: Move, after: Fence): Fence {
        const idle = this.card.domain.stubContext;
        const now = new SoftwareFence(idle, 0);
        now.signal();
        return super.begin(move, this.moves === 0 ? after : now);
      }
    },
  },
);

export const waitsForWritersOnly = vramMutant(
  "waits-for-writers-only",
  "EXP-019",
  "a move waits as a reader would: for writers, not for those who still read the old place",
  {
    Buffer: class extends VramBuffer {
      override begin(move: Move, after: Fence): Fence {
        return super.begin(move, this.control.reservation.getSingleton("write") ?? done(after));
      }
    },
  },
);

export const looksForWorkTooEarly = vramMutant(
  "looks-for-work-too-early",
  "EXP-019",
  "what to wait for is looked up before importers are told: work that they name then is missed",
  {
    Buffer: class extends VramBuffer {
      override moveTo(move: Move): boolean {
        const before = this.control.reservation.getSingleton("bookkeep");
        this.control.move(EVICTED, (after) => this.begin(move, before ?? done(after)));
        return true;
      }
    },
  },
);

export const handsOnTheOldFence = vramMutant(
  "hands-on-the-old-fence",
  "EXP-019",
  "the move answers with the fence it was to wait for: the copy is covered by nothing",
  {
    Buffer: class extends VramBuffer {
      override begin(move: Move, after: Fence): Fence {
        super.begin(move, after);
        return after;
      }
    },
  },
);

export const givesUpAfterAFailedReader = vramMutant(
  "gives-up-after-a-failed-reader",
  "EXP-031",
  "when the last work on the old place failed, the bytes are thought to be lost and are not copied",
  {
    Buffer: class extends VramBuffer {
      override begin(move: Move, after: Fence): Fence {
        this.home = move.to;
        const fence = this.nextFence();
        afterwards(after, () => {
          if (after.error === undefined) {
            this.run(move, fence);
          } else {
            this.left(move);
            fence.signal();
          }
        });
        return fence;
      }
    },
  },
);

export const keepsTheRoomItLeft = vramMutant(
  "keeps-the-room-it-left",
  "EXP-037",
  "a buffer that moves out leaves its room on the card taken",
  {
    Buffer: class extends VramBuffer {
      override left(move: Move): void {
        this.isCopying = false;
        if (move.from.pages !== undefined) {
          this.card.give(move.from);
        }
      }
    },
  },
);

export const leavesItsRoomEarly = vramMutant(
  "leaves-its-room-early",
  "EXP-038",
  "the room on the card is free when the move begins, while devices still read there",
  {
    Buffer: class extends VramBuffer {
      override begin(move: Move, after: Fence): Fence {
        if (move.from.pages === undefined) {
          this.card.give(move.from);
        }
        return super.begin(move, after);
      }

      override left(move: Move): void {
        this.isCopying = false;
        if (move.from.pages !== undefined) {
          this.card.give(move.from);
        }
      }
    },
  },
);

export const dropsTheThirdCopy = vramMutant(
  "drops-the-third-copy",
  "SYN-002",
  "the queue holds two copies that wait; a third one is dropped without a word",
  {
    Buffer: class extends VramBuffer {
      override begin(move: Move, after: Fence): Fence {
        if (this.card.buffers.filter(({ isCopying }) => isCopying).length < 2) {
          return super.begin(move, after);
        }
        this.home = move.to;
        return this.nextFence();
      }
    },
  },
);

export const looksOnceWhetherItMayBegin = vramMutant(
  "looks-once-whether-it-may-begin",
  "SYN-002",
  "the fence to wait for is polled once, and looked at again only when the next eviction comes",
  {
    Buffer: class extends VramBuffer {
      #waiting: (() => void) | undefined;

      override begin(move: Move, after: Fence): Fence {
        this.home = move.to;
        this.isCopying = true;
        const fence = this.nextFence();
        this.#waiting = () => this.run(move, fence);
        this.evict(after);
        return fence;
      }

      override evict(after?: Fence): void {
        if (this.#waiting === undefined) {
          this.move();
        } else if (after?.poll() !== false) {
          this.#waiting();
          this.#waiting = undefined;
        }
      }
    },
  },
);

export const oneTimelineForAll = vramMutant(
  "one-timeline-for-all",
  "SYN-005",
  "all copies of the card are on one timeline, though each begins when its own buffer allows",
  {
    Card: class extends VramCard {
      readonly #line = super.timeline("all copies");
      #seqno = 0;

      override timeline(): ReturnType<VramCard["timeline"]> {
        return this.#line;
      }

      next(): number {
        return ++this.#seqno;
      }
    },
    Buffer: class extends VramBuffer {
      override nextFence(): SoftwareFence {
        return new SoftwareFence(this.line, (this.card as VramCard & { next(): number }).next());
      }
    },
  },
);

export const countsDown = vramMutant(
  "counts-down",
  "SYN-005",
  "seqnos count down from a large number: each copy claims to be older than the one before",
  {
    Buffer: class extends VramBuffer {
      #left = 1000;

      override nextFence(): SoftwareFence {
        return new SoftwareFence(this.line, this.#left--);
      }
    },
  },
);

export const fencesOfItsOwn = vramMutant(
  "fences-of-its-own",
  "EXP-039",
  "the driver makes a fence domain of its own: its contexts compare with nobody else's",
  {
    Card: class extends VramCard {
      override timeline(name: string): ReturnType<VramCard["timeline"]> {
        const domain = new FenceDomain(this.domain.clock);
        return domain.createContext({ driverName: "vram", timelineName: name });
      }
    },
  },
);

export const losesPagesOfARefusedMove = vramMutant(
  "loses-pages-of-a-refused-move",
  "EXP-021",
  "the new place is not given back when the buffer turns out to be locked",
  {
    Buffer: class extends VramBuffer {
      override moveTo(move: Move): boolean {
        try {
          this.control.move(EVICTED, (after) => this.begin(move, after));
          return true;
        } catch {
          return false;
        }
      }
    },
  },
);

export const goesHomeWhenUnpinned = vramMutant(
  "goes-home-when-unpinned",
  "EXP-017",
  "the first unpin of two brings the bytes to the other place, behind everyone's back",
  {
    Buffer: class extends VramBuffer {
      override unpin(): void {
        const to = this.isOnCard ? this.card.takeHost(this.sizeBytes) : undefined;
        if (to !== undefined) {
          const bytes = new Uint8Array(this.sizeBytes);
          void this.read(0, bytes);
          this.card.give(this.home);
          this.home = to;
          void this.write(0, bytes);
        }
      }
    },
  },
);

export const countsRefusedPins = vramMutant(
  "counts-refused-pins",
  "EXP-045",
  "a pin is counted before it is known whether it can be had: after a refusal the buffer never moves again",
  {
    Buffer: class extends VramBuffer {
      #pins = 0;

      override pin(request: PlacementRequest): ReturnType<VramBuffer["place"]> {
        const answer = this.place(request);
        this.#pins++;
        return answer;
      }

      override unpin(): void {
        this.#pins--;
      }

      override mayMove(): boolean {
        return super.mayMove() && this.#pins === 0;
      }
    },
  },
);

/** Nothing runs: as a fence. */
function done(after: Fence): Fence {
  const fence = new SoftwareFence(after.context.domain.stubContext, 0);
  fence.signal();
  return fence;
}
