/**
 * Unusual exporters: good drivers that do little, late or differently, and must not be accused of it.
 */
import {
  ACCEPT,
  type BufferControl,
  CLOCK,
  DMA,
  decline,
  defineExporter,
  type ExporterDriver,
  HOST_MEMORY,
  type HostMemory,
  type HostPages,
  PeerbufError,
  PhysicalRanges,
  type PlacementRequest,
  reason,
} from "@peerbuf/core";
import { vramCheck } from "../exporters/vram-family.ts";
import type { Mutant } from "../mutant.ts";
import { afterwards } from "./copy-engine.ts";
import { pagesExporter } from "./pages.ts";
import { readRanges, writeRanges } from "./range-bytes.ts";
import { VramBuffer, vramExporter } from "./vram.ts";
import { refuseWishes } from "./wishes.ts";

const CHUNK_BYTES = 2 ** 16;
const QUOTA = 3;

/** A firmware image, say: for reading, by devices and by the CPU. */
const readOnly = defineExporter({
  name: "read-only",
  needsDevice: false,
  open(services) {
    const memory = services.get(HOST_MEMORY);
    return {
      api: {},
      allocate(sizeBytes, wishes) {
        refuseWishes("read-only", wishes);
        const pages = memory.allocate(sizeBytes);
        const { ranges } = pages;
        return {
          types: [{ type: DMA }],
          place: ({ direction }) =>
            direction === "to-device"
              ? { target: "system", ranges }
              : decline("READ_ONLY", "nobody writes to a firmware image"),
          read: async (offset, target) => readRanges(memory, ranges, offset, target),
          release: () => memory.free(pages),
        };
      },
    };
  },
});

const declinesEveryone = pagesExporter("declines-everyone", () => ({
  attach: () => decline("PRIVATE", "this memory is shared with nobody"),
}));

const oneAtATime = pagesExporter("one-at-a-time", () => {
  let isTaken = false;
  return {
    attach() {
      if (isTaken) {
        return decline("IN_USE", "one importer at a time");
      }
      isTaken = true;
      return ACCEPT;
    },
    detach() {
      isTaken = false;
    },
  };
});

/** Pages in the order in which a free list happened to hold them: the highest first. */
const pagesInReverse = pagesExporter("pages-in-reverse", (_good, { memory, ranges, engine }) => {
  const parts = Array.from({ length: ranges.count }, (_each, at) => [
    ranges.start(at),
    ranges.lengthBytes(at),
  ]);
  const turned = new PhysicalRanges(Float64Array.from(parts.reverse().flat()));
  return {
    place: () => ({ target: "system", ranges: turned }),
    copy: (target, way) =>
      way === "out" ? engine.copy(turned, target) : engine.copy(target, turned),
    read: async (offset, target) => readRanges(memory, turned, offset, target),
    write: async (offset, source) => writeRanges(memory, turned, offset, source),
  };
});

const copiesOnly = pagesExporter("copies-only", () => ({
  place: () => decline("COPIES_ONLY", "its own pages are seen by nobody"),
}));

const pinnedForGood = pagesExporter("pinned-for-good", (good) => ({
  pin: (request: PlacementRequest) => good.place(request),
  unpin() {},
}));

/** The bytes are there some time after they were promised. */
const readyLater = pagesExporter("ready-later", (_good, { engine, ranges }) => {
  const ready = engine.run(undefined, () => undefined);
  return { place: () => ({ target: "system", ranges, ready }) };
});

/** Takes pages when somebody looks for the bytes, not before. */
const lazyPages = defineExporter({
  name: "lazy-pages",
  needsDevice: false,
  open(services) {
    const memory = services.get(HOST_MEMORY);
    return {
      api: {},
      allocate(sizeBytes, wishes) {
        refuseWishes("lazy-pages", wishes);
        let pages: HostPages | undefined;
        const ranges = (): PhysicalRanges => {
          pages ??= memory.allocate(sizeBytes);
          return pages.ranges;
        };
        return {
          types: [{ type: DMA }],
          place: () => ({ target: "system", ranges: ranges() }),
          read: async (offset, target) => readRanges(memory, ranges(), offset, target),
          write: async (offset, source) => writeRanges(memory, ranges(), offset, source),
          release: () => pages && memory.free(pages),
        };
      },
    };
  },
});

/** Whole chunks of 64 KiB behind buffers of any size; a chunk goes back to the host some time after its buffer. */
const bigChunks = defineExporter({
  name: "big-chunks",
  needsDevice: false,
  open(services) {
    const memory = services.get(HOST_MEMORY);
    const clock = services.get(CLOCK);
    const leaving = new Set<HostPages>();
    const free = (chunk: HostPages): void => {
      if (leaving.delete(chunk)) {
        memory.free(chunk);
      }
    };
    return {
      api: {},
      allocate(sizeBytes, wishes) {
        refuseWishes("big-chunks", wishes);
        const bytes = Math.ceil(sizeBytes / CHUNK_BYTES) * CHUNK_BYTES;
        const chunk = memory.allocate(bytes, { contiguous: true });
        const ranges = PhysicalRanges.of(chunk.ranges.start(0), sizeBytes);
        return {
          types: [{ type: DMA }],
          place: () => ({ target: "system", ranges }),
          release() {
            leaving.add(chunk);
            clock.schedule(1_000, () => free(chunk));
          },
        };
      },
      close: () => leaving.forEach(free),
    };
  },
});

const threeBuffers = defineExporter({
  name: "three-buffers",
  needsDevice: false,
  open(services) {
    const memory = services.get(HOST_MEMORY);
    let given = 0;
    return {
      api: {},
      allocate(sizeBytes, wishes) {
        refuseWishes("three-buffers", wishes);
        if (given === QUOTA) {
          throw new PeerbufError("MEMORY_EXHAUSTED", `${QUOTA} buffers are all there is`);
        }
        const pages = memory.allocate(sizeBytes);
        given++;
        return {
          types: [{ type: DMA }],
          place: () => ({ target: "system", ranges: pages.ranges }),
          release() {
            given--;
            memory.free(pages);
          },
        };
      },
    };
  },
});

/** Moves from pages to other pages, by the CPU and at once. */
class CompactedBuffer {
  readonly memory: HostMemory;
  readonly control: BufferControl;
  pages: HostPages;

  constructor(memory: HostMemory, control: BufferControl, sizeBytes: number) {
    this.memory = memory;
    this.control = control;
    this.pages = memory.allocate(sizeBytes);
  }

  compact(): void {
    const { control, memory, pages: left } = this;
    if (control.isPinned || control.reservation.isLocked) {
      return;
    }
    const next = memory.allocate(left.ranges.sizeBytes);
    try {
      this.#moveTo(next);
    } catch {
      memory.free(next); // Revoked: another time.
    }
  }

  #moveTo(next: HostPages): void {
    const { control, memory, pages: left } = this;
    control.move(reason("COMPACTED", "small pages become large ones"), (after) => {
      this.pages = next;
      afterwards(after, () => {
        const bytes = new Uint8Array(left.ranges.sizeBytes);
        readRanges(memory, left.ranges, 0, bytes);
        writeRanges(memory, next.ranges, 0, bytes);
        memory.free(left);
      });
      return after;
    });
  }
}

const compacting = defineExporter<undefined, { compact(): void }>({
  name: "compacting",
  needsDevice: false,
  open(services) {
    const memory = services.get(HOST_MEMORY);
    const buffers = new Set<CompactedBuffer>();
    return {
      api: {
        compact() {
          for (const buffer of buffers) {
            buffer.compact();
          }
        },
      },
      allocate(sizeBytes, wishes, control) {
        refuseWishes("compacting", wishes);
        const buffer = new CompactedBuffer(memory, control, sizeBytes);
        buffers.add(buffer);
        return {
          types: [{ type: DMA }],
          place: () => ({ target: "system", ranges: buffer.pages.ranges }),
          release() {
            buffers.delete(buffer);
            memory.free(buffer.pages);
          },
        };
      },
    };
  },
});

/** Peers may read the card's memory; who writes is given host pages. */
const peersRead = vramExporter("peers-read", {
  Buffer: class extends VramBuffer {
    override place(request: PlacementRequest): ReturnType<VramBuffer["place"]> {
      return request.pair.type.memory === "device" && request.direction !== "to-device"
        ? decline("PEERS_READ", "peers do not write to this card")
        : super.place(request);
    }
  },
});

/** Its copies begin, and end, in tasks of their own, as code does that awaits. */
const goesOnLater = vramExporter("goes-on-later", {
  Buffer: class extends VramBuffer {
    override run(...copy: Parameters<VramBuffer["run"]>): void {
      queueMicrotask(() => super.run(...copy));
    }

    override ended(...copy: Parameters<VramBuffer["ended"]>): void {
      queueMicrotask(() => super.ended(...copy));
    }
  },
});

const plain = (driver: ExporterDriver<undefined, object>): Pick<Mutant, "driver"> => ({ driver });

export const UNUSUAL_EXPORTERS: readonly Pick<Mutant, "driver" | "check">[] = [
  ...[readOnly, declinesEveryone, oneAtATime, pagesInReverse, copiesOnly, pinnedForGood].map(plain),
  ...[readyLater, lazyPages, bigChunks, threeBuffers].map(plain),
  { driver: compacting, check: { move: (api: { compact(): void }) => api.compact() } },
  { driver: peersRead, check: vramCheck },
  { driver: goesOnLater, check: vramCheck },
];
