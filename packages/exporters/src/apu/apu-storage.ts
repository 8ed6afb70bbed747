/**
 * APU storage: one buffer, in the carve-out or moved to ordinary pages of the host.
 *
 * Starts in the carve-out. The first mapping that needs pages moves it there for good: importers
 * that follow moves are told, a pin refuses the move. The copy engine's jobs run in order, so the
 * move sees what the first fill left.
 */
import {
  type BufferControl,
  type Decline,
  DMA,
  decline,
  type Fence,
  type FenceError,
  type HostPages,
  type MappingOffer,
  P2P,
  PeerbufError,
  PhysicalRanges,
  type Placement,
  type PlacementRequest,
  type Reason,
  reason,
  type Storage,
  stubFence,
} from "@peerbuf/core";
import { whenOver } from "../gpu/afterwards.ts";
import { copyCommands, fillCommands } from "../gpu/commands.ts";
import type { GpuParts } from "../gpu/gpu-parts.ts";
import { copyPages } from "../gpu/page-copy.ts";
import type { VramRange } from "../gpu/vram-allocator.ts";
import { readHost, writeHost } from "../host-bytes.ts";

/** Whoever can do without pages is served where the bytes are. */
const TYPES: readonly MappingOffer[] = [{ type: P2P }, { type: DMA }];

export class ApuStorage implements Storage {
  readonly types: readonly MappingOffer[] = TYPES;
  readonly #parts: GpuParts;
  readonly #control: BufferControl;
  readonly #vram: readonly VramRange[];
  readonly #inCarveOut: Placement;
  /** Where the bytes live or, while `#arriving` runs, will live. `undefined`: in the carve-out. */
  #pages: HostPages | undefined;
  #arriving: Fence;
  /** The last work of the engine on this buffer's memory. */
  #lastWork: Fence;
  #pins = 0;

  /** Takes a part of the carve-out and starts to clear it. `MEMORY_EXHAUSTED` when too little is free. */
  constructor(parts: GpuParts, carveOutStart: number, sizeBytes: number, control: BufferControl) {
    this.#parts = parts;
    this.#control = control;
    this.#vram = parts.vram.allocate(sizeBytes, "any");
    try {
      this.#arriving = parts.engine.submit(fillCommands(this.#vram, 0));
    } catch (error) {
      parts.vram.free(this.#vram);
      throw error;
    }
    this.#lastWork = this.#arriving;
    const ranges = inHost(this.#vram, carveOutStart);
    this.#inCarveOut = { target: "carve-out", ranges, reason: carveOutReason(ranges) };
  }

  place({ pair }: PlacementRequest): Placement | Decline {
    const wantsDevice = pair.type.memory === "device";
    if (wantsDevice && pair.require) {
      return decline(
        "DEVICE_MEMORY_REQUIRED",
        "an APU's memory is the host's: nothing is behind its BAR",
      );
    }
    const refused = wantsDevice || this.#pages !== undefined ? undefined : this.#moveOut(NO_PAGES);
    return refused ?? this.#placed(wantsDevice);
  }

  /** Chooses a place that all who are attached can reach. */
  pin(request: PlacementRequest): Placement | Decline {
    if (this.#pages === undefined && !request.pair.require && this.#othersNeedPages()) {
      this.#moveOut(SHARED_WITH_OTHERS); // If it cannot, `place` says what it can.
    }
    const answer = this.place(request);
    if (!("answer" in answer)) {
      this.#pins++;
    }
    return answer;
  }

  unpin(): void {
    this.#pins--;
  }

  copy(target: PhysicalRanges, way: "out" | "back"): Fence {
    const { afterwards } = this.#parts;
    const after = this.#pages === undefined ? undefined : this.#arriving;
    this.#lastWork = afterwards.begin(after, () => this.#copyNow(target, way));
    return this.#lastWork;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    await this.#whereItArrived((ranges) => readHost(this.#parts.memory, ranges, offset, target));
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    await this.#whereItArrived((ranges) => writeHost(this.#parts.memory, ranges, offset, source));
  }

  release(): void {
    whenOver(this.#lastWork, () => {
      if (this.#pages === undefined) {
        this.#parts.vram.free(this.#vram);
      } else {
        this.#parts.memory.free(this.#pages);
      }
    });
  }

  /** Either way it is host memory, which the CPU reads and writes as it lies. */
  get #ranges(): PhysicalRanges {
    return this.#pages?.ranges ?? this.#inCarveOut.ranges;
  }

  #placed(wantsDevice: boolean): Placement | Decline {
    if (this.#arriving.error !== undefined) {
      return decline("CONTENT_LOST", `the bytes did not arrive: ${this.#arriving.error.message}`);
    }
    const placement =
      this.#pages === undefined ? this.#inCarveOut : inPages(this.#pages, wantsDevice);
    return this.#arriving.isSignaled ? placement : { ...placement, ready: this.#arriving };
  }

  /** During the wait it may have begun to move: then there is another arrival to wait for. */
  async #whereItArrived(work: (ranges: PhysicalRanges) => void): Promise<void> {
    let arriving: Fence;
    let error: FenceError | undefined;
    do {
      arriving = this.#arriving;
      error = await arriving.signaled();
    } while (arriving !== this.#arriving);
    if (error !== undefined) {
      throw new PeerbufError("DEVICE_FAILED", `the bytes did not arrive: ${error.message}`, {
        cause: error,
      });
    }
    work(this.#ranges);
  }

  #othersNeedPages(): boolean {
    return this.#control.attachments.some(({ kept }) => kept.every(({ type }) => type !== P2P));
  }

  /** Starts the move, or says why not and takes nothing. */
  #moveOut(why: Reason): Decline | undefined {
    if (this.#pins > 0) {
      const text = `it is pinned in the carve-out, ${this.#pins} times, and cannot move`;
      return decline("PINNED_IN_CARVE_OUT", text, { pins: this.#pins });
    }
    const { memory } = this.#parts;
    let pages: HostPages | undefined;
    try {
      pages = memory.allocate(this.#inCarveOut.ranges.sizeBytes);
      this.#arriving = this.#moveTo(pages, why);
      this.#lastWork = this.#arriving;
      this.#pages = pages;
      return undefined;
    } catch (error) {
      if (pages !== undefined) {
        memory.free(pages);
      }
      if (error instanceof PeerbufError) {
        return decline(error.code, error.message);
      }
      throw error;
    }
  }

  /** The copy begins when work on the old place is over; what it needed is given back when it is done. */
  #moveTo(pages: HostPages, why: Reason): Fence {
    const { engine, afterwards, vram, dma } = this.#parts;
    const segments = dma.map(pages.ranges, "from-device");
    if ("answer" in segments) {
      throw new PeerbufError("DEVICE_FAILED", `the copy engine cannot reach it: ${segments.text}`);
    }
    try {
      const commands = copyCommands(this.#vram, segments, "out");
      const moved = this.#control.move(why, (after) =>
        afterwards.begin(after, () => engine.submit(commands)),
      );
      whenOver(moved, () => {
        dma.unmap(segments, "from-device");
        vram.free(this.#vram);
      });
      return moved;
    } catch (error) {
      dma.unmap(segments, "from-device");
      throw error;
    }
  }

  #copyNow(target: PhysicalRanges, way: "out" | "back"): Fence {
    const { memory, fences, dma, engine } = this.#parts;
    if (this.#pages !== undefined) {
      const [from, to] = way === "out" ? [this.#ranges, target] : [target, this.#ranges];
      copyPages(memory, from, to);
      return stubFence(fences);
    }
    const direction = way === "out" ? "from-device" : "to-device";
    const segments = dma.map(target, direction);
    if ("answer" in segments) {
      const what = `the copy engine cannot reach the importer's memory: ${segments.text}`;
      throw new PeerbufError("DEVICE_FAILED", what, { errno: segments.errno });
    }
    const copied = engine.submit(copyCommands(this.#vram, segments, way));
    whenOver(copied, () => dma.unmap(segments, direction));
    return copied;
  }
}

const inPages = ({ ranges }: HostPages, wantsDevice: boolean): Placement => ({
  target: "system",
  ranges,
  reason: wantsDevice ? LIVES_IN_PAGES : NO_PAGES,
});

function inHost(vram: readonly VramRange[], start: number): PhysicalRanges {
  const rows = vram.flatMap(({ offset, lengthBytes }) => [start + offset, lengthBytes]);
  return new PhysicalRanges(Float64Array.from(rows));
}

function carveOutReason(ranges: PhysicalRanges): Reason {
  const start = ranges.start(0);
  const text = `its BAR leads nowhere: its memory is a carve-out of the host's, and these bytes are at 0x${start.toString(16)}`;
  return reason("APU_CARVE_OUT", text, { start });
}

const NO_PAGES = reason(
  "APU_CARVE_OUT",
  "its memory is a carve-out without pages: the bytes go to ordinary pages for whoever needs those",
);
const LIVES_IN_PAGES = reason("LIVES_IN_SYSTEM", "it was moved to ordinary pages before");
const SHARED_WITH_OTHERS = reason(
  "SHARED_WITH_SYSTEM",
  "somebody attached can only reach ordinary pages",
);
