/**
 * Mover: an exporter for the sharing model, with two places and copies that end when the test says so.
 *
 * Its buffers begin in device memory. Whoever cannot take that drags a buffer to host pages, unless
 * somebody pinned it. A real driver in all but its engine: the bytes are carried by the harness's
 * instrument, at the moment the copy's fence signals.
 */
import {
  type BufferControl,
  DEVICE,
  type Decline,
  DMA,
  decline,
  defineExporter,
  type ExporterDriver,
  FENCES,
  type FenceContext,
  HOST_MEMORY,
  type HostMemory,
  type HostPages,
  P2P,
  type PhysicalAddress,
  PhysicalRanges,
  type Placement,
  type PlacementRequest,
  reason,
  SoftwareFence,
  type Storage,
} from "@peerbuf/core";
import type { Inspect } from "@peerbuf/machine";

/** A copy on its way: `finish` carries the bytes and signals. */
export interface Copy {
  readonly fence: SoftwareFence;
  /** False until the work before it is over: it must not begin. */
  mayRun: boolean;
  finish(): void;
}

/** The test's hand on one buffer. */
export interface MoverHand {
  readonly control: BufferControl;
  place: "device" | "system";
  /** Copies not yet finished, oldest first. */
  readonly copies: Copy[];
  /** Moves, if it is allowed to; says whether it did. */
  move(to: "device" | "system"): boolean;
  /** Where the bytes are, by their physical ranges. */
  ranges(): PhysicalRanges;
  pinCount: number;
  isReleased: boolean;
}

export interface MoverApi {
  readonly hands: MoverHand[];
}

export interface MoverOptions {
  readonly inspect: Inspect;
  /** Start and size of the device memory that is given out. */
  readonly start: number;
}

const MOVED = reason("MOVED", "somebody needs it elsewhere");

export const mover: ExporterDriver<MoverOptions, MoverApi> = defineExporter({
  name: "mover",
  needsDevice: true,
  open(services, options: MoverOptions) {
    const memory = services.get(HOST_MEMORY);
    const device = services.get(DEVICE);
    const context = services
      .get(FENCES)
      .createContext({ driverName: "mover", timelineName: "copies" });
    const hands: MoverHand[] = [];
    let next = options.start;
    return {
      api: { hands },
      allocate(sizeBytes, _wishes, control) {
        const home = PhysicalRanges.of(next as PhysicalAddress, sizeBytes);
        next += sizeBytes;
        const hand = new BufferHand(memory, options.inspect, context, control, home);
        hands.push(hand);
        return storageOf(hand, device, home);
      },
    };
  },
});

function storageOf(
  hand: BufferHand,
  provider: Placement["provider"],
  home: PhysicalRanges,
): Storage {
  const here = (): Placement =>
    hand.place === "device" && provider !== undefined
      ? { target: "device", provider, ranges: home }
      : { target: "system", ranges: hand.ranges() };
  const place = ({ pair }: PlacementRequest): Placement | Decline => {
    if (pair.type === DMA && hand.place === "device" && !hand.move("system")) {
      return decline("PINNED_IN_DEVICE", "somebody needs it in device memory");
    }
    const placement = here();
    return pair.type === P2P && placement.target === "system"
      ? { ...placement, reason: MOVED }
      : placement;
  };
  return {
    types: [{ type: P2P }, { type: DMA }],
    place,
    pin(request) {
      const placement = place(request);
      if (!("answer" in placement)) {
        hand.pinCount++;
      }
      return placement;
    },
    unpin: () => void hand.pinCount--,
    read: async (offset, target) =>
      target.set(hand.bytes().subarray(offset, offset + target.length)),
    write: async (offset, source) => hand.overwrite(offset, source),
    release: () => hand.release(),
  };
}

class BufferHand implements MoverHand {
  readonly control: BufferControl;
  readonly copies: Copy[] = [];
  place: "device" | "system" = "device";
  pinCount = 0;
  isReleased = false;
  readonly #memory: HostMemory;
  readonly #inspect: Inspect;
  readonly #context: FenceContext;
  readonly #home: PhysicalRanges;
  #pages: HostPages | undefined;
  #seqno = 0;

  constructor(
    memory: HostMemory,
    inspect: Inspect,
    context: FenceContext,
    control: BufferControl,
    home: PhysicalRanges,
  ) {
    this.#memory = memory;
    this.#inspect = inspect;
    this.#context = context;
    this.control = control;
    this.#home = home;
  }

  ranges(): PhysicalRanges {
    return this.place === "device" ? this.#home : (this.#pages as HostPages).ranges;
  }

  move(to: "device" | "system"): boolean {
    // One copy at a time: a second would have to wait for the first in a real engine as well.
    if (to === this.place || this.control.isPinned || this.copies.length > 0) {
      return to === this.place;
    }
    this.control.move(MOVED, (after) => {
      const copy = this.#copy(to);
      const start = (): void => {
        copy.mayRun = true;
      };
      if (after.addCallback(start) === "signaled") {
        start();
      }
      return copy.fence;
    });
    return true;
  }

  bytes(): Uint8Array {
    return bytesAt(this.#inspect, this.ranges());
  }

  overwrite(offset: number, source: Uint8Array): void {
    const bytes = this.bytes();
    bytes.set(source, offset);
    putAt(this.#inspect, this.ranges(), bytes);
  }

  release(): void {
    if (this.#pages !== undefined) {
      this.#memory.free(this.#pages);
    }
    this.isReleased = true;
  }

  #copy(to: "device" | "system"): Copy {
    const from = this.ranges();
    const leaving = this.#pages;
    this.#pages = to === "system" ? this.#memory.allocate(from.sizeBytes) : undefined;
    this.place = to;
    const target = this.ranges();
    const copy: Copy = {
      fence: new SoftwareFence(this.#context, ++this.#seqno),
      mayRun: false,
      finish: () => {
        carry(this.#inspect, from, target);
        if (leaving !== undefined) {
          this.#memory.free(leaving);
        }
        this.copies.splice(this.copies.indexOf(copy), 1);
        copy.fence.signal();
      },
    };
    this.copies.push(copy);
    return copy;
  }
}

/** The bytes of these ranges, through the harness's instrument. */
export function bytesAt(inspect: Inspect, ranges: PhysicalRanges): Uint8Array {
  const bytes = new Uint8Array(ranges.sizeBytes);
  for (let index = 0, at = 0; index < ranges.count; at += ranges.lengthBytes(index++)) {
    inspect.peek(ranges.start(index), bytes.subarray(at, at + ranges.lengthBytes(index)));
  }
  return bytes;
}

function carry(inspect: Inspect, from: PhysicalRanges, to: PhysicalRanges): void {
  putAt(inspect, to, bytesAt(inspect, from));
}

function putAt(inspect: Inspect, to: PhysicalRanges, bytes: Uint8Array): void {
  for (let index = 0, at = 0; index < to.count; at += to.lengthBytes(index++)) {
    inspect.poke(to.start(index), bytes.subarray(at, at + to.lengthBytes(index)));
  }
}
