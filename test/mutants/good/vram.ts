/**
 * VRAM: a good exporter in full: an allocator, an engine that may fail, moves to and fro, CPU brackets, resets.
 *
 * Mutants of its family are subclasses that get one step wrong. Buffers begin on the card; who cannot reach that
 * drags them to host pages, an eviction moves each to where it is not.
 */
import {
  type BufferControl,
  type Decline,
  DMA,
  decline,
  defineExporter,
  type ExporterDriver,
  type Fence,
  type FenceContext,
  FenceError,
  type KeptPair,
  P2P,
  PeerbufError,
  type PhysicalRanges,
  type Placement,
  type PlacementRequest,
  reason,
  SoftwareFence,
  type Storage,
} from "@peerbuf/core";
import { afterwards } from "./copy-engine.ts";
import { readRanges, writeRanges } from "./range-bytes.ts";
import { type Home, VramCard } from "./vram-card.ts";
import { refuseWishes } from "./wishes.ts";

export const EVICTED = reason("EVICTED", "the card needs the room");
const ELSEWHERE = reason("MOVED", "the bytes lie in host memory for now");
/** Tries of one copy. */
export const TRIES_MAX = 4;

/** What its users, and a kit, may do at any time. */
export interface VramApi {
  evict(): void;
  reset(): Promise<void>;
  restart(): void;
}

/** One move under way. */
export interface Move {
  readonly from: Home;
  readonly to: Home;
}

export class VramBuffer implements Storage {
  readonly types: Storage["types"] = [{ type: P2P }, { type: DMA }];
  readonly card: VramCard;
  readonly control: BufferControl;
  readonly sizeBytes: number;
  readonly line: FenceContext;
  /** Where the bytes are, or will be when the copy is over. */
  home: Home;
  isCopying = false;
  brackets = 0;
  moves = 0;
  #seqno = 0;

  constructor(card: VramCard, control: BufferControl, home: Home) {
    this.card = card;
    this.control = control;
    this.home = home;
    this.sizeBytes = home.ranges.sizeBytes;
    this.line = card.timeline(`copies of ${control.reservation.label}`);
  }

  place(request: PlacementRequest): Placement | Decline {
    const { memory } = request.pair.type;
    if (memory === "system" && this.isOnCard && !this.move()) {
      return decline("NEEDED_ON_CARD", "somebody needs it on the card, or it is on its way");
    }
    if (memory === "device" && request.pair.require && !this.isOnCard) {
      return decline(ELSEWHERE.code, ELSEWHERE.text);
    }
    return this.here(request.pair);
  }

  pin(request: PlacementRequest): Placement | Decline {
    return this.place(request);
  }

  unpin(): void {}

  copy(target: PhysicalRanges, way: "out" | "back"): Fence {
    const fence = this.nextFence();
    afterwards(this.control.reservation.getSingleton("kernel"), () =>
      this.carry(target, way, fence),
    );
    return fence;
  }

  async beginCpuAccess(): Promise<void> {
    this.brackets++;
  }

  async endCpuAccess(_use: string): Promise<void> {
    this.brackets--;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    readRanges(this.card.access, this.home.ranges, offset, target);
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    writeRanges(this.card.access, this.home.ranges, offset, source);
  }

  release(): void {
    this.card.buffers.splice(this.card.buffers.indexOf(this), 1);
    this.card.give(this.home);
  }

  get isOnCard(): boolean {
    return this.home.offset !== undefined;
  }

  here({ type }: KeptPair): Placement {
    const { ranges } = this.home;
    if (this.isOnCard) {
      return { target: "device", provider: this.card.device, ranges };
    }
    const isElsewhere = type.memory === "device";
    return { target: "system", ranges, ...(isElsewhere ? { reason: ELSEWHERE } : {}) };
  }

  evict(): void {
    this.move();
  }

  /** Pinned, on its way already, or in use by the CPU: it stays. */
  mayMove(): boolean {
    return !this.control.isPinned && !this.isCopying && this.brackets === 0;
  }

  /** To where it is not. False: it stays. */
  move(): boolean {
    const { card, sizeBytes, home: from } = this;
    const to = this.mayMove()
      ? this.isOnCard
        ? card.takeHost(sizeBytes)
        : card.take(sizeBytes)
      : undefined;
    return to !== undefined && this.moveTo({ from, to });
  }

  moveTo(move: Move): boolean {
    try {
      this.control.move(EVICTED, (after) => this.begin(move, after));
      return true;
    } catch (error) {
      this.card.give(move.to);
      if (error instanceof PeerbufError && error.code !== "DRIVER_BROKEN") {
        return false; // Locked, revoked or pinned: another time.
      }
      throw error;
    }
  }

  begin(move: Move, after: Fence): Fence {
    this.home = move.to;
    this.isCopying = true;
    this.moves++;
    const fence = this.nextFence();
    afterwards(after, () => this.run(move, fence));
    return fence;
  }

  /** Hands the copy to the engine. */
  run(move: Move, fence: SoftwareFence, tries = 1): void {
    this.card.engine.copy(move.from.ranges, move.to.ranges, (ok) =>
      this.ended(ok, move, fence, tries),
    );
  }

  ended(ok: boolean, move: Move, fence: SoftwareFence, tries: number): void {
    if (!ok && tries < TRIES_MAX) {
      this.run(move, fence, tries + 1);
      return;
    }
    if (!ok) {
      fence.setError(new FenceError("EIO", "the copy failed"));
    }
    this.left(move);
    fence.signal();
  }

  /** The old place is nobody's any more. */
  left({ from }: Move): void {
    this.isCopying = false;
    this.card.give(from);
  }

  /** To memory that an importer brought, or back from it. */
  carry(target: PhysicalRanges, way: "out" | "back", fence: SoftwareFence, tries = 1): void {
    const { ranges } = this.home;
    const [from, to] = way === "out" ? [ranges, target] : [target, ranges];
    this.card.engine.copy(from, to, (ok) => this.carried(ok, target, way, fence, tries));
  }

  carried(
    ok: boolean,
    target: PhysicalRanges,
    way: "out" | "back",
    fence: SoftwareFence,
    tries: number,
  ): void {
    if (!ok && tries < TRIES_MAX) {
      this.carry(target, way, fence, tries + 1);
      return;
    }
    if (!ok) {
      fence.setError(new FenceError("EIO", "the copy failed"));
    }
    fence.signal();
  }

  nextFence(): SoftwareFence {
    return new SoftwareFence(this.line, ++this.#seqno);
  }
}

/** The good parts, unless a mutant brings its own. */
export interface VramParts {
  readonly Card?: typeof VramCard;
  readonly Buffer?: typeof VramBuffer;
}

export function vramExporter(
  name: string,
  { Card = VramCard, Buffer = VramBuffer }: VramParts = {},
): ExporterDriver<undefined, VramApi> {
  return defineExporter<undefined, VramApi>({
    name,
    needsDevice: true,
    open(services) {
      const card = new Card(services);
      return {
        api: {
          evict: () => card.evict(),
          reset: () => card.reset(),
          restart: () => card.restart(),
        },
        allocate(sizeBytes, wishes, control) {
          refuseWishes(name, wishes);
          const home = card.take(sizeBytes);
          if (home === undefined) {
            throw new PeerbufError(
              "MEMORY_EXHAUSTED",
              `no ${sizeBytes} bytes are free on the card`,
            );
          }
          const buffer = new Buffer(card, control, home);
          card.buffers.push(buffer);
          return buffer;
        },
      };
    },
  });
}

export const goodVram: ExporterDriver<undefined, VramApi> = vramExporter("good-vram");
