/**
 * Wanderer: an exporter of host memory that moves whenever a test says so.
 *
 * Keeps the order of every move: work on the old place ends, then the bytes are copied, then the old
 * pages are overwritten and freed; who still looks there reads nothing that could pass for the bytes.
 */
import {
  type BufferControl,
  CLOCK,
  type Clock,
  DMA,
  defineExporter,
  type ExporterDriver,
  FENCES,
  type Fence,
  type FenceContext,
  type FenceDomain,
  HOST_MEMORY,
  type HostMemory,
  type HostPages,
  type PhysicalAddress,
  type Placement,
  physicalAddress,
  reason,
  SoftwareFence,
  type Storage,
} from "@peerbuf/core";

/** Of one copy, unless the test wants another. */
const COPY_NS = 30_000;
const POISON = 0xee;
const WHIM = reason("WHIM", "the test wants it elsewhere");

export interface Wanderer {
  /** Moves every buffer. `BUFFER_PINNED` when somebody holds one in its place. */
  move(copyNs?: number): void;
}

export const wanderer: ExporterDriver<undefined, Wanderer> = defineExporter<undefined, Wanderer>({
  name: "wanderer",
  needsDevice: false,

  open(services) {
    const parts = {
      memory: services.get(HOST_MEMORY),
      clock: services.get(CLOCK),
      fences: services.get(FENCES),
    };
    const buffers = new Set<Wandering>();
    return {
      api: {
        move(copyNs = COPY_NS) {
          for (const buffer of buffers) {
            buffer.move(copyNs);
          }
        },
      },
      allocate(sizeBytes, _options, control) {
        const gone = (buffer: Wandering): void => void buffers.delete(buffer);
        const buffer = new Wandering(parts, sizeBytes, control, gone);
        buffers.add(buffer);
        return buffer;
      },
    };
  },
});

interface Parts {
  readonly memory: HostMemory;
  readonly clock: Clock;
  readonly fences: FenceDomain;
}

class Wandering implements Storage {
  readonly types = [{ type: DMA }];
  readonly #parts: Parts;
  readonly #control: BufferControl;
  readonly #sizeBytes: number;
  readonly #timeline: FenceContext;
  readonly #gone: (buffer: Wandering) => void;
  #pages: HostPages;
  #ready: Fence | undefined;
  #moves = 0;

  constructor(
    parts: Parts,
    sizeBytes: number,
    control: BufferControl,
    gone: (buffer: Wandering) => void,
  ) {
    this.#parts = parts;
    this.#gone = gone;
    const names = { driverName: "wanderer", timelineName: "copies" };
    this.#timeline = parts.fences.createContext(names);
    this.#control = control;
    this.#sizeBytes = sizeBytes;
    this.#pages = this.#allocate();
  }

  move(copyNs: number): void {
    const next = this.#allocate();
    try {
      this.#ready = this.#control.move(WHIM, (after) =>
        this.#copyAfter(after, this.#pages, next, copyNs),
      );
      this.#pages = next;
    } catch (error) {
      this.#parts.memory.free(next);
      throw error;
    }
  }

  place(): Placement {
    const placement = { target: "system", ranges: this.#pages.ranges } as const;
    return this.#ready === undefined ? placement : { ...placement, ready: this.#ready };
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    this.#parts.memory.read(this.#addressOf(this.#pages, offset), target);
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    this.#parts.memory.write(this.#addressOf(this.#pages, offset), source);
  }

  release(): void {
    this.#gone(this);
    this.#parts.memory.free(this.#pages);
  }

  #copyAfter(after: Fence, from: HostPages, to: HostPages, copyNs: number): Fence {
    const { memory, clock } = this.#parts;
    const copied = new SoftwareFence(this.#timeline, ++this.#moves);
    const copy = (): void => {
      const bytes = new Uint8Array(this.#sizeBytes);
      memory.read(this.#addressOf(from, 0), bytes);
      memory.write(this.#addressOf(to, 0), bytes);
      memory.write(this.#addressOf(from, 0), bytes.fill(POISON));
      memory.free(from);
      copied.signal();
    };
    const begin = (): void => void clock.schedule(copyNs, copy);
    if (after.addCallback(begin) === "signaled") {
      begin();
    }
    return copied;
  }

  #allocate(): HostPages {
    return this.#parts.memory.allocate(this.#sizeBytes, { contiguous: true });
  }

  #addressOf({ ranges }: HostPages, offset: number): PhysicalAddress {
    return physicalAddress(ranges.start(0) + offset);
  }
}
