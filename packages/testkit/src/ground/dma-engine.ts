/**
 * DMA engine: the device behind an importer or exporter of the light world.
 *
 * Moves real bytes, later: at an event whose place among all others is decided by the explorer. What a
 * device was given when the work began is what it uses, so an address that died meanwhile is hit, and
 * reported. Work of one device ends in the order in which it began.
 */
import type { Device, DmaAddress, PhysicalRanges, SegmentList } from "@peerbuf/core";
import { Token } from "typedi";
import type { Lane } from "./ground-clock.ts";
import { eachPart, type GroundDma } from "./ground-dma.ts";
import { type GroundMemory, POISON } from "./ground-memory.ts";
import { giveBytes, takeBytes } from "./spare-bytes.ts";

/** A driver of the light world gets its device's engine here. */
export const DMA_ENGINE: Token<DmaEngine> = new Token<DmaEngine>("DMA engine");

export interface DmaEngine {
  /**
   * Moves `lengthBytes` between `local`, memory inside the device, and the mapped bytes from `offset` on: `read` fills
   * `local`, `write` empties it. `done(false)`: the device met an error, and what it read is poison. `done` is called exactly
   * once, never inside this call, and may be called late; it is where a driver signals its fence.
   */
  start(
    segments: SegmentList,
    offset: number,
    lengthBytes: number,
    kind: "read" | "write",
    local: Uint8Array,
    done: (ok: boolean) => void,
  ): void;
  /** Copies between two places of equal size that the device owns itself: no mapping is asked. As an exporter's copy engine. */
  copy(from: PhysicalRanges, to: PhysicalRanges, done: (ok: boolean) => void): void;
}

/** What the engine has to ask of its world. */
export interface EngineHost {
  readonly memory: GroundMemory;
  readonly dma: GroundDma;
  /** A device access that no live mapping allows. */
  trap(
    client: Device,
    address: number,
    lengthBytes: number,
    kind: "read" | "write",
    why: string,
  ): void;
  /** Asks the checker, if there is one, whether this access is allowed. */
  mayAccess(client: Device, address: number, lengthBytes: number, kind: "read" | "write"): boolean;
  /** Tells the checker, if there is one, that a device works on a mapping until the end of it. */
  workOn(segments: SegmentList): { end(): void } | undefined;
  fault(kind: "iommu-fault" | "partial-copy" | "late-fence" | "lost-fence", at: string): boolean;
  isGone(device: Device): boolean;
  /** A device looks for what is mapped for it. */
  accessing(client: Device): void;
  /** A fence may be signaled now. */
  completing(device: Device, what: string): void;
  /** Runs when the faults are over. */
  park(run: () => void): void;
}

const WORK_NS = 1_000;
const LATE_NS = 1_000_000;

export class GroundEngine implements DmaEngine {
  readonly #device: Device;
  readonly #lane: Lane;
  readonly #host: EngineHost;

  constructor(device: Device, lane: Lane, host: EngineHost) {
    this.#device = device;
    this.#lane = lane;
    this.#host = host;
  }

  start(
    segments: SegmentList,
    offset: number,
    lengthBytes: number,
    kind: "read" | "write",
    local: Uint8Array,
    done: (ok: boolean) => void,
  ): void {
    const parts = partsOf(segments, offset, lengthBytes);
    const work = this.#host.workOn(segments);
    const ended = (ok: boolean): void => {
      work?.end();
      done(ok);
    };
    this.#later(ended, () => this.#move(parts, kind, local));
  }

  copy(from: PhysicalRanges, to: PhysicalRanges, done: (ok: boolean) => void): void {
    this.#later(done, () => this.#copy(from, to));
  }

  #later(done: (ok: boolean) => void, work: () => boolean): void {
    const { id } = this.#device;
    const finish = (ok: boolean): void => {
      this.#host.completing(this.#device, ok ? "is done" : "has failed");
      done(ok);
    };
    if (this.#host.fault("lost-fence", id)) {
      this.#host.park(() => finish(false));
      return;
    }
    const delayNs = this.#host.fault("late-fence", id) ? LATE_NS : WORK_NS;
    this.#lane.schedule(delayNs, () => finish(this.#tried(work)));
  }

  #tried(work: () => boolean): boolean {
    return !this.#host.isGone(this.#device) && work();
  }

  #move(parts: readonly number[], kind: "read" | "write", local: Uint8Array): boolean {
    if (this.#host.fault("iommu-fault", this.#device.id)) {
      return this.#failed(kind, local);
    }
    let at = 0;
    for (let index = 0; index < parts.length; index += 2) {
      const length = parts[index + 1] as number;
      const bytes = partOf(local, at, length);
      if (!this.#access(parts[index] as DmaAddress, bytes, kind)) {
        return this.#failed(kind, local);
      }
      at += length;
    }
    return true;
  }

  #failed(kind: "read" | "write", local: Uint8Array): boolean {
    if (kind === "read") {
      local.fill(POISON);
    }
    return false;
  }

  #access(address: DmaAddress, bytes: Uint8Array, kind: "read" | "write"): boolean {
    const { memory, dma } = this.#host;
    this.#host.accessing(this.#device);
    const allowed = this.#host.mayAccess(this.#device, address, bytes.length, kind);
    const hit = dma.look(this.#device, address, bytes.length, kind);
    if (hit.found !== "memory") {
      if (allowed) {
        this.#host.trap(this.#device, address, bytes.length, kind, WHY[hit.found]);
      }
      return false;
    }
    return eachPart(hit.window, address, bytes.length, (physical, at, length) => {
      const part = partOf(bytes, at, length);
      return kind === "read" ? memory.read(physical, part) : memory.write(physical, part);
    });
  }

  #copy(from: PhysicalRanges, to: PhysicalRanges): boolean {
    const { memory } = this.#host;
    const isPartial = this.#host.fault("partial-copy", this.#device.id);
    const bytes = takeBytes(from.sizeBytes);
    let isWhole = this.#walk(from, bytes, (at, part) => memory.read(at, part));
    const carried = isPartial ? bytes.subarray(0, bytes.length >> 1) : bytes;
    isWhole = this.#walk(to, carried, (at, part) => memory.write(at, part)) && isWhole;
    giveBytes(bytes, bytes.length);
    return isWhole && !isPartial;
  }

  #walk(
    ranges: PhysicalRanges,
    bytes: Uint8Array,
    step: (address: number, part: Uint8Array) => boolean,
  ): boolean {
    let isWhole = true;
    for (let index = 0, at = 0; index < ranges.count && at < bytes.length; index++) {
      const part = partOf(bytes, at, ranges.lengthBytes(index));
      isWhole = step(ranges.start(index), part) && isWhole;
      at += part.length;
    }
    return isWhole;
  }
}

const WHY = {
  nothing: "nothing is mapped there",
  dead: "the mapping is gone",
  direction: "the mapping is for the other direction",
} as const;

/** A view costs more than a short transfer: the whole is itself. */
const partOf = (bytes: Uint8Array, at: number, lengthBytes: number): Uint8Array =>
  at === 0 && lengthBytes === bytes.length ? bytes : bytes.subarray(at, at + lengthBytes);

/** [address, length, ...] of a part of a list: what a descriptor would hold. */
export function partsOf(segments: SegmentList, offset: number, lengthBytes: number): number[] {
  const parts: number[] = [];
  let before = 0;
  for (let index = 0; index < segments.count; index++) {
    const length = segments.lengthBytes(index);
    const from = Math.max(offset - before, 0);
    const to = Math.min(offset + lengthBytes - before, length);
    if (to > from) {
      parts.push(segments.address(index) + from, to - from);
    }
    before += length;
  }
  return parts;
}
