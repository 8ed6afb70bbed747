/**
 * GPU storage: one buffer, in VRAM or moved to system pages.
 *
 * Starts in VRAM. The first mapping that needs system memory, or another buffer that needs the VRAM,
 * moves it out for good: importers that follow moves are told, a pin refuses the move. Jobs of the copy
 * engine run in order, so each sees what those before it left.
 */
import {
  ACCEPT,
  type AttachAnswer,
  type BufferControl,
  type Decline,
  DMA,
  decline,
  type Fence,
  type FenceError,
  type HostPages,
  type MappingOffer,
  mergeFences,
  P2P,
  PeerbufError,
  PhysicalRanges,
  type Place,
  type Placement,
  type PlacementRequest,
  type Reason,
  rankPlaces,
  reason,
  type SegmentList,
  type Storage,
  stubFence,
} from "@peerbuf/core";
import { readHost, writeHost } from "../host-bytes.ts";
import { whenOver } from "./afterwards.ts";
import { type CommandTable, copyCommands, fillCommands, slice } from "./commands.ts";
import type { GpuParts } from "./gpu-parts.ts";
import { copyPages } from "./page-copy.ts";
import type { Resident } from "./residents.ts";
import { type GpuWishes, hiddenPart, judgePeer } from "./sharing.ts";
import { readStaged, STAGING_BYTES, writeStaged } from "./staging.ts";
import type { VramRange } from "./vram-allocator.ts";

/** Peers in VRAM are preferred; system memory will do. */
const TYPES: readonly MappingOffer[] = [{ type: P2P }, { type: DMA }];
const IN_SYSTEM: Place = { name: "system", memory: "system" };
const PLACES: readonly Place[] = [{ name: "vram", memory: "device" }, IN_SYSTEM];

export class GpuStorage implements Storage, Resident {
  readonly types: readonly MappingOffer[] = TYPES;
  readonly #parts: GpuParts;
  readonly #wishes: GpuWishes;
  readonly #control: BufferControl;
  /** Its place in VRAM, for as long as it lives there. */
  readonly vram: readonly VramRange[];
  /** Where the bytes live or, while `#arriving` runs, will live. `undefined`: in VRAM. */
  #pages: HostPages | undefined;
  #placement: Placement;
  /** What brings the bytes to where they live: the first fill, then the move. */
  #arriving: Fence;
  /** The last work of the engine on this buffer's memory. */
  #lastWork: Fence;
  #pins = 0;

  /** Takes VRAM, from others if it must, and starts to fill it. `MEMORY_EXHAUSTED` when there is not enough. */
  constructor(parts: GpuParts, sizeBytes: number, wishes: GpuWishes, control: BufferControl) {
    this.#parts = parts;
    this.#wishes = wishes;
    this.#control = control;
    const { vram, before } = parts.residents.take(sizeBytes, wishes.place);
    this.vram = vram;
    try {
      this.#arriving = fillAfter(parts, before, fillCommands(vram, wishes.fill));
    } catch (error) {
      parts.residents.giveUp(this);
      throw error;
    }
    parts.residents.touch(this);
    this.#lastWork = this.#arriving;
    const ranges = behindBar(this.vram, parts.window.start);
    this.#placement = { target: "device", ranges, provider: parts.device };
  }

  attach(): AttachAnswer {
    return this.#pages === undefined
      ? judgePeer(this.#wishes, this.vram, this.#parts.vram.visibleBytes)
      : ACCEPT; // Out of VRAM already: `place` says so.
  }

  place({ pair }: PlacementRequest): Placement | Decline {
    if (this.#pages === undefined) {
      this.#parts.residents.touch(this);
    }
    if (this.#pages !== undefined && pair.require && pair.type.memory === "device") {
      return decline(LIVES_IN_SYSTEM.code, LIVES_IN_SYSTEM.text);
    }
    if (this.#pages !== undefined) {
      return this.#placed(pair.type.memory === "device" ? LIVES_IN_SYSTEM : undefined);
    }
    if (pair.type.memory === "device") {
      return this.#placed();
    }
    return this.#moveOut(NEEDS_SYSTEM) ?? this.#placed();
  }

  /** Chooses a place that all who are attached can reach (amdgpu since 6.15: VRAM only if all are peers). */
  pin(request: PlacementRequest): Placement | Decline {
    const { pair } = request;
    const answer =
      this.#pages === undefined && !pair.require && this.#othersNeedSystem()
        ? (this.#moveOut(SHARED_WITH_SYSTEM) ?? this.#placed(SHARED_WITH_SYSTEM))
        : this.place(request);
    if (!("answer" in answer)) {
      this.#pins++;
    }
    return answer;
  }

  unpin(): void {
    this.#pins--;
  }

  /** Another buffer needs the place. */
  leave(why: Reason): boolean {
    return !this.#control.isPinned && this.#moveOut(why) === undefined;
  }

  copy(target: PhysicalRanges, way: "out" | "back"): Fence {
    const { afterwards } = this.#parts;
    const after = this.#pages === undefined ? undefined : this.#arriving;
    return this.#working(afterwards.begin(after, () => this.#copyNow(target, way)));
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    await this.#inPieces(target, async (done, piece) => {
      if (this.#pages !== undefined) {
        readHost(this.#parts.memory, this.#pages.ranges, offset + done, piece);
      } else if (this.#isVisible) {
        this.#eachInWindow(offset + done, piece, (at, part) => this.#parts.window.read(at, part));
      } else {
        await readStaged(this.#parts, slice(this.vram, offset + done, piece.length), piece);
      }
    });
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    await this.#inPieces(source, async (done, piece) => {
      if (this.#pages !== undefined) {
        writeHost(this.#parts.memory, this.#pages.ranges, offset + done, piece);
      } else if (this.#isVisible) {
        this.#eachInWindow(offset + done, piece, (at, part) => this.#parts.window.write(at, part));
      } else {
        await writeStaged(this.#parts, slice(this.vram, offset + done, piece.length), piece);
      }
    });
  }

  release(): void {
    const pages = this.#pages;
    if (pages === undefined) {
      // At once, or somebody who needs its place would make a buffer leave that nobody has any more.
      this.#parts.residents.giveUpAfter(this, this.#lastWork);
    } else {
      whenOver(this.#lastWork, () => this.#parts.memory.free(pages));
    }
  }

  get #isVisible(): boolean {
    return hiddenPart(this.vram, this.#parts.vram.visibleBytes) === 0;
  }

  #placed(why?: Reason): Placement | Decline {
    if (this.#arriving.error !== undefined) {
      return decline("CONTENT_LOST", `the bytes did not arrive: ${this.#arriving.error.message}`);
    }
    const placement = why === undefined ? this.#placement : { ...this.#placement, reason: why };
    return this.#arriving.isSignaled ? placement : { ...placement, ready: this.#arriving };
  }

  #othersNeedSystem(): boolean {
    const [best] = rankPlaces(PLACES, this.#control.attachments);
    return best?.place === IN_SYSTEM;
  }

  /** Starts the move to system pages, or says why not and takes nothing. */
  #moveOut(why: Reason): Decline | undefined {
    if (this.#pins > 0) {
      const text = `it is pinned in VRAM, ${this.#pins} times, and cannot move to system memory`;
      return decline("PINNED_IN_VRAM", text, { pins: this.#pins });
    }
    const { memory, dma } = this.#parts;
    let pages: HostPages | undefined;
    let segments: SegmentList | undefined;
    try {
      pages = memory.allocate(this.#placement.ranges.sizeBytes);
      const mapped = dma.map(pages.ranges, "from-device");
      if ("answer" in mapped) {
        memory.free(pages);
        return decline(mapped.code, `the copy engine cannot reach system memory: ${mapped.text}`);
      }
      segments = mapped;
      this.#settleIn(pages, this.#startMove(why, segments));
      return undefined;
    } catch (error) {
      if (segments !== undefined) {
        dma.unmap(segments, "from-device");
      }
      if (pages !== undefined) {
        memory.free(pages);
      }
      return declineFor(error);
    }
  }

  /** The copy begins when work on the old place is over; what it needed is given back when it is done. */
  #startMove(why: Reason, segments: SegmentList): Fence {
    const { engine, afterwards, dma, residents } = this.#parts;
    const commands = copyCommands(this.vram, segments, "out");
    const moved = this.#control.move(why, (after) =>
      afterwards.begin(after, () => engine.submit(commands)),
    );
    whenOver(moved, () => dma.unmap(segments, "from-device"));
    residents.giveUpAfter(this, moved);
    return moved;
  }

  #settleIn(pages: HostPages, moved: Fence): void {
    this.#pages = pages;
    this.#placement = { target: "system", ranges: pages.ranges };
    this.#arriving = this.#working(moved);
  }

  #copyNow(target: PhysicalRanges, way: "out" | "back"): Fence {
    const { memory, fences } = this.#parts;
    if (this.#pages === undefined) {
      return this.#engineCopy(target, way);
    }
    const [from, to] = way === "out" ? [this.#pages.ranges, target] : [target, this.#pages.ranges];
    copyPages(memory, from, to);
    return stubFence(fences);
  }

  #engineCopy(target: PhysicalRanges, way: "out" | "back"): Fence {
    const { dma, engine, label } = this.#parts;
    const direction = way === "out" ? "from-device" : "to-device";
    const segments = dma.map(target, direction);
    if ("answer" in segments) {
      const what = `${label} cannot reach the importer's memory: ${segments.text}`;
      throw new PeerbufError("DEVICE_FAILED", what, { errno: segments.errno });
    }
    const copied = engine.submit(copyCommands(this.vram, segments, way));
    whenOver(copied, () => dma.unmap(segments, direction));
    return copied;
  }

  #working(fence: Fence): Fence {
    this.#lastWork = fence;
    return fence;
  }

  /** Looks anew before each piece where the bytes are: the buffer may move in between. */
  async #inPieces(
    bytes: Uint8Array,
    work: (done: number, piece: Uint8Array) => Promise<void>,
  ): Promise<void> {
    for (let done = 0; done < bytes.length; done += STAGING_BYTES) {
      let arriving: Fence;
      let error: FenceError | undefined;
      do {
        arriving = this.#arriving;
        error = await arriving.signaled();
      } while (arriving !== this.#arriving); // It began to move meanwhile.
      if (error !== undefined) {
        throw new PeerbufError("DEVICE_FAILED", `the bytes did not arrive: ${error.message}`, {
          cause: error,
        });
      }
      await work(done, bytes.subarray(done, done + STAGING_BYTES));
    }
  }

  #eachInWindow(
    offset: number,
    bytes: Uint8Array,
    visit: (windowOffset: number, part: Uint8Array) => void,
  ): void {
    let done = 0;
    for (const range of slice(this.vram, offset, bytes.length)) {
      visit(range.offset, bytes.subarray(done, done + range.lengthBytes));
      done += range.lengthBytes;
    }
    // A card that was pulled out reads as all ones, and nobody else would say so.
    this.#parts.requireAnswer();
  }
}

/** The first fill begins when whoever was there before has left. */
function fillAfter(
  { engine, afterwards, fences }: GpuParts,
  before: readonly Fence[],
  commands: CommandTable,
): Fence {
  return before.length === 0
    ? engine.submit(commands)
    : afterwards.begin(mergeFences(fences, before), () => engine.submit(commands));
}

/** Where the CPU, and so everybody's bookkeeping, sees the ranges. */
function behindBar(ranges: readonly VramRange[], windowStart: number): PhysicalRanges {
  return new PhysicalRanges(
    Float64Array.from(
      ranges.flatMap(({ offset, lengthBytes }) => [windowStart + offset, lengthBytes]),
    ),
  );
}

/** A refusal of ours becomes the exporter's "no"; anything else is a fault and goes on. */
function declineFor(error: unknown): Decline {
  if (error instanceof PeerbufError) {
    return decline(error.code, error.message);
  }
  throw error;
}

const LIVES_IN_SYSTEM = reason("LIVES_IN_SYSTEM", "it was moved to system memory before");
const NEEDS_SYSTEM = reason("NEEDS_SYSTEM", "a mapping needs it in system memory");
const SHARED_WITH_SYSTEM = reason(
  "SHARED_WITH_SYSTEM",
  "somebody attached can only reach system memory",
);
