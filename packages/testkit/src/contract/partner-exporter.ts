/**
 * Partner exporter: the owner of memory that the suites show to importers under test.
 *
 * Host pages that every device reaches, and a mood: it can refuse at attach or at map, say that it redirects,
 * let the bytes arrive late, move them to other pages, and take them away.
 */
import {
  ACCEPT,
  type AttachAnswer,
  type BufferControl,
  CLOCK,
  type Clock,
  type Decline,
  DMA,
  decline,
  defineExporter,
  type ExporterDriver,
  FENCES,
  type Fence,
  type FenceDomain,
  HOST_MEMORY,
  type HostMemory,
  type HostPages,
  P2P,
  PAGE_BYTES,
  type PhysicalAddress,
  PhysicalRanges,
  type Placement,
  reason,
  redirect,
  SoftwareFence,
  type Storage,
  Timeline,
} from "@peerbuf/core";

export interface PartnerMood {
  readonly attach?: "decline" | "redirect";
  readonly place?: "decline";
  /** Its pages are one piece, for importers that take no other. */
  readonly isOnePiece?: boolean;
  /** How long the bytes of a new buffer take to arrive. */
  readonly lateNs?: number;
}

export interface PartnerApi {
  /** Moves every buffer to other pages; the copy takes a while. */
  move(): void;
  revoke(): Promise<void>;
  restore(): void;
  /** Signals when the bytes of the last buffer are there. */
  readonly arrival: Fence | undefined;
}

const COPY_NS = 500;
const MOVED = reason("MOVED", "the suite moves the buffer");
const REVOKED = reason("REVOKED", "the suite takes the buffer away");
const ELSEWHERE = reason("HOST_ONLY", "this partner has host memory only");

export const partnerExporter: ExporterDriver<PartnerMood, PartnerApi> = defineExporter({
  name: "partner",
  needsDevice: false,
  open(services, mood) {
    const clock = services.get(CLOCK);
    const memory = services.get(HOST_MEMORY);
    const names = { driverName: "partner", timelineName: "copies" };
    const domain = services.get(FENCES);
    const timeline = new Timeline(domain, names);
    const buffers = new Set<PartnerBuffer>();
    let arrival: Fence | undefined;
    return {
      api: {
        get arrival() {
          return arrival;
        },
        move: () => {
          for (const buffer of buffers) {
            buffer.move();
          }
        },
        revoke: async () => {
          await Promise.all([...buffers].map(({ control }) => control.revoke(REVOKED)));
        },
        restore: () => {
          for (const { control } of buffers) {
            control.restore();
          }
        },
      },
      allocate(sizeBytes, _wishes, control) {
        const { isOnePiece = false } = mood;
        const parts = { memory, clock, timeline, domain, isOnePiece };
        const buffer = new PartnerBuffer(parts, sizeBytes, control);
        buffers.add(buffer);
        if (mood.lateNs !== undefined) {
          arrival = buffer.arriveIn(mood.lateNs);
        }
        return storageOf(buffer, mood, () => buffers.delete(buffer));
      },
      close: () => timeline.close(),
    };
  },
});

interface Parts {
  readonly memory: HostMemory;
  readonly clock: Clock;
  readonly timeline: Timeline;
  readonly domain: FenceDomain;
  readonly isOnePiece: boolean;
}

class PartnerBuffer {
  readonly control: BufferControl;
  readonly #parts: Parts;
  readonly #sizeBytes: number;
  #pages: ScatteredPages;
  #placement: Placement;
  #ready: Fence | undefined;

  constructor(parts: Parts, sizeBytes: number, control: BufferControl) {
    this.control = control;
    this.#parts = parts;
    this.#sizeBytes = sizeBytes;
    this.#pages = takePages(parts, sizeBytes);
    this.#placement = placed(this.#pages);
  }

  get placement(): Placement {
    const ready = this.#ready;
    return ready === undefined || ready.poll() ? this.#placement : { ...this.#placement, ready };
  }

  arriveIn(lateNs: number): Fence {
    const fence = this.#parts.timeline.next();
    this.#ready = fence;
    this.#parts.clock.schedule(lateNs, () => void this.#reach(fence.seqno));
    return fence;
  }

  /** Pinned buffers stay. */
  move(): void {
    if (this.control.isPinned || this.control.reservation.isLocked) {
      return;
    }
    const { timeline } = this.#parts;
    const old = this.#pages;
    const pages = takePages(this.#parts, this.#sizeBytes);
    this.control.move(MOVED, (after) => {
      const fence = timeline.next();
      this.#pages = pages;
      this.#placement = placed(pages);
      const begin = (): void => this.#copyThenFree(old, pages, fence.seqno);
      if (after.addCallback(begin, "partner") === "signaled") {
        begin();
      }
      return fence;
    });
  }

  /** To or from an importer's own pages, once the bytes are here. */
  copy(target: PhysicalRanges, way: "out" | "back"): Fence {
    const { domain, clock, memory } = this.#parts;
    const names = { driverName: "partner", timelineName: "a copy" };
    const fence = new SoftwareFence(domain.createContext(names), 1);
    const carry = (): void => {
      const bytes = new Uint8Array(this.#sizeBytes);
      const [from, to] =
        way === "out" ? [this.#pages.ranges, target] : [target, this.#pages.ranges];
      eachPart(from, 0, bytes, (at, part) => memory.read(at, part));
      eachPart(to, 0, bytes, (at, part) => memory.write(at, part));
      fence.signal();
    };
    const begin = (): void => void clock.schedule(COPY_NS, carry);
    const { ready } = this.placement;
    if (ready === undefined || ready.addCallback(begin, "partner") === "signaled") {
      begin();
    }
    return fence;
  }

  release(): void {
    giveBack(this.#parts.memory, this.#pages);
  }

  read(offset: number, target: Uint8Array): void {
    this.#access(offset, target, (at, part) => this.#parts.memory.read(at, part));
  }

  write(offset: number, source: Uint8Array): void {
    this.#access(offset, source, (at, part) => this.#parts.memory.write(at, part));
  }

  #copyThenFree(old: ScatteredPages, pages: ScatteredPages, seqno: number): void {
    const { clock, memory } = this.#parts;
    clock.schedule(COPY_NS, () => {
      const bytes = new Uint8Array(this.#sizeBytes);
      eachPart(old.ranges, 0, bytes, (at, part) => memory.read(at, part));
      eachPart(pages.ranges, 0, bytes, (at, part) => memory.write(at, part));
      giveBack(memory, old);
      this.#reach(seqno);
    });
  }

  /** In order: work that is still before it is done first. */
  #reach(seqno: number): void {
    const { timeline } = this.#parts;
    if (timeline.value < seqno) {
      timeline.advanceTo(seqno);
    }
  }

  #access(
    offset: number,
    bytes: Uint8Array,
    step: (address: PhysicalAddress, part: Uint8Array) => void,
  ): void {
    eachPart(this.#pages.ranges, offset, bytes, step);
  }
}

function storageOf(buffer: PartnerBuffer, mood: PartnerMood, forget: () => void): Storage {
  const place = (): Placement | Decline =>
    mood.place === "decline"
      ? decline("PARTNER_DECLINES", "the suite refuses the map")
      : buffer.placement;
  return {
    types: [{ type: P2P }, { type: DMA }],
    attach: () => attachAnswer(mood),
    place,
    pin: place,
    unpin() {},
    // A copy is a way around the place: who declines maps has none.
    ...(mood.place === undefined && { copy: (target, way) => buffer.copy(target, way) }),
    read: async (offset, target) => buffer.read(offset, target),
    write: async (offset, source) => buffer.write(offset, source),
    release: () => {
      forget();
      buffer.release();
    },
  };
}

function attachAnswer({ attach }: PartnerMood): AttachAnswer {
  switch (attach) {
    case "decline":
      return decline("PARTNER_DECLINES", "the suite refuses the attachment");
    case "redirect":
      return redirect(ELSEWHERE);
    default:
      return ACCEPT;
  }
}

/** Pages that do not touch each other: whoever takes a buffer for one piece is found out. */
interface ScatteredPages {
  readonly ranges: PhysicalRanges;
  readonly pieces: readonly HostPages[];
}

function takePages({ memory, isOnePiece }: Parts, sizeBytes: number): ScatteredPages {
  if (!isOnePiece) {
    return scattered(memory, sizeBytes);
  }
  const piece = memory.allocate(sizeBytes, { contiguous: true });
  return { ranges: piece.ranges, pieces: [piece] };
}

function scattered(memory: HostMemory, sizeBytes: number): ScatteredPages {
  const pieces: HostPages[] = [];
  const gaps: HostPages[] = [];
  for (let done = 0; done < sizeBytes; done += PAGE_BYTES) {
    pieces.push(memory.allocate(PAGE_BYTES));
    gaps.push(memory.allocate(PAGE_BYTES));
  }
  for (const gap of gaps) {
    memory.free(gap);
  }
  const table = pieces.flatMap(({ ranges }) => [ranges.start(0), PAGE_BYTES]);
  return { ranges: new PhysicalRanges(Float64Array.from(table)), pieces };
}

function giveBack(memory: HostMemory, { pieces }: ScatteredPages): void {
  for (const piece of pieces) {
    memory.free(piece);
  }
}

const placed = ({ ranges }: ScatteredPages): Placement => ({
  target: "system",
  ranges,
  reason: ELSEWHERE,
});

function eachPart(
  ranges: PhysicalRanges,
  offset: number,
  bytes: Uint8Array,
  step: (address: PhysicalAddress, part: Uint8Array) => void,
): void {
  let begin = 0;
  for (let index = 0; index < ranges.count; index++) {
    const length = ranges.lengthBytes(index);
    const from = Math.max(offset, begin);
    const to = Math.min(offset + bytes.length, begin + length);
    if (from < to) {
      const address = ranges.start(index) + (from - begin);
      step(address as PhysicalAddress, bytes.subarray(from - offset, to - offset));
    }
    begin += length;
  }
}
