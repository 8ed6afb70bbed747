/**
 * Kit device: the kit's own hardware for slots of a machine that have no model: memory behind each BAR, and a DMA engine.
 *
 * Does what the kit's partners tell it, one piece of work after the other, with addresses as they were when the work began:
 * what was unmapped meanwhile is met by the bytes as they arrive. A reset fails what it was at.
 */
import {
  type Bar,
  type DmaRefusal,
  PeerbufError,
  type PhysicalRanges,
  type SegmentList,
} from "@peerbuf/core";
import {
  type BarModel,
  type BarShape,
  type DeviceModel,
  type DevicePort,
  SparseMemory,
} from "@peerbuf/machine";
import { type DmaEngine, partsOf } from "../ground/dma-engine.ts";
import { POISON } from "../ground/ground-memory.ts";

/** What the platform gives to whoever drives the device; fetched when it first copies. */
export interface KitServices {
  /** Both ways; an answer instead of segments: it cannot. */
  readonly dma: {
    map(ranges: PhysicalRanges): SegmentList | DmaRefusal;
    unmap(segments: SegmentList): void;
  };
  readonly bars: readonly Bar[];
}

/** `run(false)`: the device lost it. */
interface Work {
  readonly kind: "read" | "write";
  readonly runs: readonly number[];
  run(isLost: boolean): void;
}

/** Work waiting or running. */
const WORK_MAX = 256;

export class KitDevice implements DeviceModel, DmaEngine {
  readonly name = "kit-device";
  readonly #services: () => KitServices;
  readonly #workOn: (segments: SegmentList) => { end(): void } | undefined;
  readonly #works: Work[] = [];
  #port: DevicePort | undefined;
  /** By the index of its BAR. */
  readonly #memories = new Map<number, SparseMemory>();

  /** `workOn` is told of work on mappings. */
  constructor(
    services: () => KitServices,
    workOn: (segments: SegmentList) => { end(): void } | undefined,
  ) {
    this.#services = services;
    this.#workOn = workOn;
  }

  connect(port: DevicePort, bars: readonly BarShape[]): ReadonlyMap<number, BarModel> {
    this.#port = port;
    const models = new Map<number, BarModel>();
    for (const { index, sizeBytes } of bars) {
      const memory = new SparseMemory(sizeBytes);
      this.#memories.set(index, memory);
      models.set(index, { kind: "memory", memory, base: 0 });
    }
    return models;
  }

  reset(): void {
    for (const memory of this.#memories.values()) {
      memory.clear();
    }
    const port = this.#connected();
    for (const work of this.#works.splice(0)) {
      port.clock.schedule(0, () => work.run(true));
    }
  }

  start(
    segments: SegmentList,
    offset: number,
    lengthBytes: number,
    kind: "read" | "write",
    local: Uint8Array,
    done: (ok: boolean) => void,
  ): void {
    this.#requireRoom();
    const runs = partsOf(segments, offset, lengthBytes);
    const work = this.#workOn(segments);
    this.#enqueue({
      kind,
      runs,
      run: (isLost) => {
        const isWhole = !isLost && this.#access(runs, kind, local);
        if (!isWhole && kind === "read") {
          local.fill(POISON);
        }
        work?.end();
        done(isWhole);
      },
    });
  }

  copy(from: PhysicalRanges, to: PhysicalRanges, done: (ok: boolean) => void): void {
    this.#requireRoom();
    const source = this.#place(from);
    const target = this.#place(to);
    const end = (ok: boolean): void => {
      source.end();
      target.end();
      done(ok);
    };
    const runs = [...source.runs, ...target.runs];
    const kind = source.runs.length > 0 ? "read" : "write";
    this.#enqueue({
      kind,
      runs,
      run: (isLost) => {
        const bytes = new Uint8Array(from.sizeBytes);
        end(!isLost && source.access("read", bytes) && target.access("write", bytes));
      },
    });
  }

  /** Before anything is taken for it. */
  #requireRoom(): void {
    if (this.#works.length === WORK_MAX) {
      throw new PeerbufError("MEMORY_EXHAUSTED", `${WORK_MAX} pieces of work are waiting`);
    }
  }

  #enqueue(work: Work): void {
    this.#works.push(work);
    if (this.#works.length === 1) {
      this.#begin(work);
    }
  }

  #begin(work: Work): void {
    const { kind, runs } = work;
    this.#connected().transfer({ legs: [{ kind, runs }] }, () => {
      if (this.#works[0] !== work) {
        return; // Lost in a reset.
      }
      this.#works.shift();
      work.run(false);
      const [next] = this.#works;
      if (next !== undefined) {
        this.#begin(next);
      }
    });
  }

  #access(runs: readonly number[], kind: "read" | "write", bytes: Uint8Array): boolean {
    const port = this.#connected();
    let isWhole = true;
    for (let index = 0, at = 0; index < runs.length; index += 2) {
      const length = runs[index + 1] as number;
      isWhole = port[kind](runs[index] as number, bytes, at, length).ok && isWhole;
      at += length;
    }
    return isWhole;
  }

  /** Memory of its own behind the BAR, or host pages, which it maps for as long as it needs them. */
  #place(ranges: PhysicalRanges): CopyPlace {
    const { dma, bars } = this.#services();
    const first = ranges.start(0);
    const bar = bars.find(({ start, sizeBytes }) => first >= start && first < start + sizeBytes);
    const memory = bar === undefined ? undefined : this.#memories.get(bar.index);
    if (bar !== undefined && memory !== undefined) {
      return ownPlace(memory, bar.start, ranges);
    }
    const segments = dma.map(ranges);
    return "answer" in segments
      ? UNREACHABLE
      : {
          runs: partsOf(segments, 0, ranges.sizeBytes),
          access: (kind, bytes) => this.#access(partsOf(segments, 0, bytes.length), kind, bytes),
          end: () => dma.unmap(segments),
        };
  }

  #connected(): DevicePort {
    if (this.#port === undefined) {
      throw new PeerbufError("WRONG_ORDER", "this device is not placed yet");
    }
    return this.#port;
  }
}

/** One end of a copy. */
interface CopyPlace {
  /** What it takes of the links. */
  readonly runs: readonly number[];
  access(kind: "read" | "write", bytes: Uint8Array): boolean;
  end(): void;
}

function ownPlace(memory: SparseMemory, start: number, ranges: PhysicalRanges): CopyPlace {
  return {
    runs: [],
    access(kind, bytes) {
      for (let index = 0, at = 0; index < ranges.count; index++) {
        const part = bytes.subarray(at, at + ranges.lengthBytes(index));
        memory[kind](ranges.start(index) - start, part);
        at += part.length;
      }
      return true;
    },
    end() {},
  };
}

const UNREACHABLE: CopyPlace = {
  runs: [],
  access: () => false,
  end() {},
};
