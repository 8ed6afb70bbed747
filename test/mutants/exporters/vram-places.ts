/** Mutants of VRAM's places: right for the first importer, the usual size, the usual direction. */
import {
  ACCEPT,
  type AttachAnswer,
  type AttachRequest,
  type Device,
  decline,
  P2P,
  PAGE_BYTES,
  PhysicalRanges,
  type Placement,
  type PlacementRequest,
} from "@peerbuf/core";
import { VramBuffer } from "../good/vram.ts";
import { type Home, VramCard } from "../good/vram-card.ts";
import { vramMutant } from "./vram-family.ts";

type Placed = ReturnType<VramBuffer["place"]>;

export const keepsTheFirstAnswer = vramMutant(
  "keeps-the-first-answer",
  "EXP-009",
  "the answer to the first importer is kept for all: the next one cannot reach the card",
  {
    Buffer: class extends VramBuffer {
      #answer: Placed | undefined;

      override place(request: PlacementRequest): Placed {
        this.#answer ??= super.place(request);
        return this.#answer;
      }
    },
  },
);

export const sparesReadersTheMove = vramMutant(
  "spares-readers-the-move",
  "EXP-009",
  "who only reads is sent to the card's memory even if it cannot reach it",
  {
    Buffer: class extends VramBuffer {
      override place(request: PlacementRequest): Placed {
        const isReader = request.direction === "to-device" && this.isOnCard;
        return isReader ? this.here(request.pair) : super.place(request);
      }
    },
  },
);

export const offersWhatWillNotDo = vramMutant(
  "offers-what-will-not-do",
  "EXP-010",
  "a buffer in host pages is offered, with a reason, to who takes nothing but the card's memory",
  {
    Buffer: class extends VramBuffer {
      override place(request: PlacementRequest): Placed {
        return request.pair.type === P2P ? this.here(request.pair) : super.place(request);
      }
    },
  },
);

export const redirectsPinsSilently = vramMutant(
  "redirects-pins-silently",
  "EXP-027",
  "pin answers host pages for the card's memory and gives no reason; place does",
  {
    Buffer: class extends VramBuffer {
      override pin(request: PlacementRequest): Placed {
        const { reason: _why, ...answer } = super.place(request) as Placement;
        return "answer" in answer ? (super.place(request) as Placed) : answer;
      }
    },
  },
);

export const isOnePageShort = vramMutant(
  "is-one-page-short",
  "EXP-006",
  "pages are counted in pairs: of an odd number the last one is missing in the list",
  {
    Buffer: class extends VramBuffer {
      override here(pair: PlacementRequest["pair"]): Placement {
        const good = super.here(pair);
        const pairs = Math.floor(this.sizeBytes / (2 * PAGE_BYTES));
        return this.isOnCard && pairs > 0
          ? { ...good, ranges: PhysicalRanges.of(good.ranges.start(0), pairs * 2 * PAGE_BYTES) }
          : good;
      }
    },
  },
);

export const namesTheClientAsProvider = vramMutant(
  "names-the-client-as-provider",
  "EXP-008",
  "the device that asks is named as the one whose BAR holds the bytes",
  {
    Buffer: class extends VramBuffer {
      override place(request: PlacementRequest): Placed {
        const answer = super.place(request);
        return "answer" in answer || answer.target !== "device"
          ? answer
          : { ...answer, provider: request.client };
      }
    },
  },
);

export const takesRoomInPairs = vramMutant(
  "takes-room-in-pairs",
  "EXP-013",
  "the allocator counts in units of two pages and rounds down: odd buffers overlap the next one",
  {
    Card: class extends VramCard {
      override pagesFor(sizeBytes: number): number {
        return Math.max(1, Math.floor(sizeBytes / (2 * PAGE_BYTES)) * 2);
      }
    },
  },
);

export const clearsWholePairs = vramMutant(
  "clears-whole-pairs",
  "EXP-005",
  "new memory is cleared two pages at a time: the last of an odd number shows old bytes",
  {
    Card: class extends VramCard {
      override clear(offset: number, sizeBytes: number): void {
        const pairs = Math.floor(sizeBytes / (2 * PAGE_BYTES));
        super.clear(offset, pairs * 2 * PAGE_BYTES);
      }
    },
  },
);

export const clearsTheFirstOnly = vramMutant(
  "clears-the-first-only",
  "EXP-005",
  "only room at the start of the card is cleared: the rest is thought to be new",
  {
    Card: class extends VramCard {
      override clear(offset: number, sizeBytes: number): void {
        if (offset === 0) {
          super.clear(offset, sizeBytes);
        }
      }
    },
  },
);

export const forgetsByDevice = vramMutant(
  "forgets-by-device",
  "EXP-044",
  "attachments are kept by device: the end of one ends another of the same device",
  {
    Buffer: class extends VramBuffer {
      readonly #clients = new Set<Device>();

      attach({ client }: AttachRequest): AttachAnswer {
        this.#clients.add(client);
        return ACCEPT;
      }

      detach(client: Device): void {
        this.#clients.delete(client);
      }

      override place(request: PlacementRequest): Placed {
        return this.#clients.has(request.client)
          ? super.place(request)
          : decline("NOT_ATTACHED", "it is not attached");
      }
    },
  },
);

export const keepsSlotsOfTheRefused = vramMutant(
  "keeps-slots-of-the-refused",
  "EXP-025",
  "a slot is taken before an importer is judged, and not given back when it is refused",
  {
    Buffer: class extends VramBuffer {
      #slots = 0;

      attach({ offers }: AttachRequest): AttachAnswer {
        if (++this.#slots > 32) {
          return decline("TOO_MANY", "no slot is left");
        }
        return offers.some(({ type }) => type === P2P)
          ? ACCEPT
          : decline("PEERS_ONLY", "this card serves peers");
      }

      detach(): void {
        this.#slots--;
      }
    },
  },
);

export const losesTheRoomOfAFailure = vramMutant(
  "loses-the-room-of-a-failure",
  "EXP-036",
  "when the host has no page for the table, the room on the card stays taken",
  {
    Card: class extends VramCard {
      override take(sizeBytes: number): Home | undefined {
        const home = super.take(sizeBytes);
        this.memory.free(this.memory.allocate(PAGE_BYTES));
        return home;
      }
    },
  },
);
