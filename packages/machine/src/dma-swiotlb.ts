/**
 * DMA swiotlb: a kernel that bounces everything (`swiotlb=force`, as in memory-encrypted guests).
 *
 * A bounced mapping is a copy, made at map and copied back at unmap if the device may write; in between
 * neither side sees what the other does. A buffer that is shared while it is mapped, as dma-bufs are,
 * has no such points in time and would go stale. So mappings of shared buffers are refused with EIO,
 * unless a harness asks to see what happens.
 *
 * Peer memory is never bounced: EIO through the host bridge; bus addresses need no bouncing and pass. A
 * driver's own memory is not bounced either: it is taken as allocated for the device, as GPU drivers do
 * on such machines.
 */
import {
  type Device,
  type Direction,
  type DmaLayer,
  type DmaRefusal,
  type DmaRequest,
  deviceWrites,
  PAGE_BYTES,
  PeerbufError,
  PhysicalRanges,
  physicalAddress,
  type SegmentList,
} from "@peerbuf/core";
import { BOUNCE_BYTES_MAX, type BouncePool } from "./bounce-pool.ts";
import type { ModelledHostMemory } from "./host-memory.ts";

/** One buffer in the pool and what it stands for. */
interface Bounce {
  readonly original: number;
  /** Of the pool's pages. */
  readonly pages: number;
  /** The first byte, at the same offset in its page as the original. */
  readonly start: number;
  readonly lengthBytes: number;
}

interface Bounced {
  readonly client: Device;
  readonly direction: Direction;
  readonly bounces: readonly Bounce[];
}

export class DmaSwiotlb implements DmaLayer {
  readonly name = "swiotlb";
  readonly #inner: DmaLayer;
  readonly #pool: BouncePool;
  readonly #memory: ModelledHostMemory;
  readonly #bouncesShared: boolean;
  readonly #bounced = new Map<SegmentList, Bounced>();

  /** `inner` makes the addresses; `bouncesShared`: bounce instead of refusing. */
  constructor(
    inner: DmaLayer,
    pool: BouncePool,
    memory: ModelledHostMemory,
    bouncesShared: boolean,
  ) {
    this.#inner = inner;
    this.#pool = pool;
    this.#memory = memory;
    this.#bouncesShared = bouncesShared;
  }

  map(request: DmaRequest): SegmentList | DmaRefusal {
    if (request.route === "bus-addr") {
      return this.#inner.map(request);
    }
    if (request.route === "host-bridge") {
      const text = "peer memory behind the host bridge would have to be bounced, and never is";
      return this.#refused(request, "P2P_NOT_BOUNCED", text);
    }
    if (!this.#bouncesShared) {
      const text = "a shared buffer would be bounced, and a bounced copy goes stale";
      return this.#refused(request, "SHARED_NOT_BOUNCED", text);
    }
    return this.#bounce(request);
  }

  /** Copies back what the device may have written. `HANDLE_CLOSED` as the layer below says it. */
  unmap(client: Device, segments: SegmentList, direction: Direction): void {
    const bounced = this.#bounced.get(segments);
    if (bounced === undefined) {
      this.#inner.unmap(client, segments, direction);
      return;
    }
    if (bounced.client !== client || bounced.direction !== direction) {
      throw new PeerbufError(
        "HANDLE_CLOSED",
        `${client.id}: these segments are not mapped ${direction}`,
      );
    }
    this.#inner.unmap(client, segments, direction);
    this.#bounced.delete(segments);
    if (deviceWrites(direction)) {
      for (const { original, start, lengthBytes } of bounced.bounces) {
        this.#copy(start, original, lengthBytes);
      }
    }
    this.#give(bounced.bounces);
  }

  #bounce(request: DmaRequest): SegmentList | DmaRefusal {
    const bounces = this.#take(request.ranges);
    if (bounces === undefined) {
      return this.#refused(request, "BOUNCE_POOL_FULL", "the bounce pool has no room for it");
    }
    const { limits } = request;
    const segmentBytesMax = Math.min(limits.segmentBytesMax, BOUNCE_BYTES_MAX);
    const table = bounces.flatMap(({ start, lengthBytes }) => [start, lengthBytes]);
    const ranges = new PhysicalRanges(Float64Array.from(table));
    const made = this.#inner.map({ ...request, ranges, limits: { ...limits, segmentBytesMax } });
    if ("answer" in made) {
      this.#give(bounces);
      return made;
    }
    // In every direction: what the device does not write must come back as it was (6.12).
    for (const { original, start, lengthBytes } of bounces) {
      this.#copy(original, start, lengthBytes);
    }
    const { client, direction } = request;
    this.#bounced.set(made, { client, direction, bounces });
    return made;
  }

  /**
   * A buffer for each piece of at most `BOUNCE_BYTES_MAX`, all or nothing. Those that lie behind each other
   * in the pool may become one segment.
   */
  #take(ranges: PhysicalRanges): Bounce[] | undefined {
    const bounces: Bounce[] = [];
    for (let index = 0; index < ranges.count; index++) {
      const end = ranges.start(index) + ranges.lengthBytes(index);
      for (let original: number = ranges.start(index); original < end; ) {
        const inPage = original % PAGE_BYTES;
        const lengthBytes = Math.min(end - original, BOUNCE_BYTES_MAX - inPage);
        const pages = this.#pool.take(inPage + lengthBytes);
        if (pages === undefined) {
          this.#give(bounces);
          return undefined;
        }
        bounces.push({ original, pages, start: pages + inPage, lengthBytes });
        original += lengthBytes;
      }
    }
    return bounces;
  }

  #give(bounces: readonly Bounce[]): void {
    for (const { pages, start, lengthBytes } of bounces) {
      this.#pool.give(pages, start - pages + lengthBytes);
    }
  }

  #copy(from: number, to: number, lengthBytes: number): void {
    const bytes = new Uint8Array(lengthBytes);
    this.#memory.read(physicalAddress(from), bytes);
    this.#memory.write(physicalAddress(to), bytes);
  }

  #refused({ client }: DmaRequest, code: string, text: string): DmaRefusal {
    return { answer: "refused", errno: "EIO", code, text: `${client.id}: ${text}` };
  }
}
