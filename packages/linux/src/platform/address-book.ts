/**
 * Address book: gives every buffer a stretch of numbers by which core and drivers speak of its bytes.
 *
 * A process is not told physical addresses, so these are names, not places: page-aligned, never reused, far
 * apart. What they name is looked up here by whoever really touches the bytes.
 */
import { PeerbufError, type PhysicalAddress, PhysicalRanges } from "@peerbuf/core";

/** Bytes that this process can map: a dma-buf, shared memory, a peer's published memory. */
export interface MappedBytes {
  readonly sizeBytes: number;
  withBytesSync<T>(use: "read" | "write", work: (bytes: Uint8Array<ArrayBuffer>) => T): T;
  withBytes<T>(
    use: "read" | "write",
    work: (bytes: Uint8Array<ArrayBuffer>) => T | Promise<T>,
  ): Promise<T>;
}

/** Between the starts of two buffers there is at least this much that names nothing. */
const GAP_BYTES: number = 2 ** 20;
/** The first name: 0 would look like a missing address. */
const START: number = 2 ** 32;

/** Bytes of a buffer. */
export interface Stretch {
  readonly buffer: MappedBytes;
  readonly offset: number;
  readonly lengthBytes: number;
}

interface Entry {
  readonly start: number;
  readonly buffer: MappedBytes;
}

export class AddressBook {
  /** By start, ascending: starts only grow. */
  readonly #entries: Entry[] = [];
  #next = START;

  /** Buffers that have a stretch. */
  get count(): number {
    return this.#entries.length;
  }

  /** The buffer stays its owner's, who `remove`s it before closing it. */
  enter(buffer: MappedBytes): PhysicalRanges {
    const start = this.#next;
    this.#next += Math.ceil(buffer.sizeBytes / GAP_BYTES) * GAP_BYTES + GAP_BYTES;
    this.#entries.push({ start, buffer });
    return PhysicalRanges.of(start as PhysicalAddress, buffer.sizeBytes);
  }

  remove(buffer: MappedBytes): void {
    const index = this.#entries.findIndex((entry) => entry.buffer === buffer);
    if (index >= 0) {
      this.#entries.splice(index, 1);
    }
  }

  /** What `lengthBytes` at an address are. `ADDRESS_INVALID` when it is not all of one buffer. */
  find(address: number, lengthBytes: number): Stretch {
    const entry = this.#entries.findLast(({ start }) => start <= address);
    const offset = entry === undefined ? -1 : address - entry.start;
    if (entry === undefined || offset + lengthBytes > entry.buffer.sizeBytes) {
      throw new PeerbufError(
        "ADDRESS_INVALID",
        `${lengthBytes} bytes at ${address} are no bytes of a buffer of this platform`,
      );
    }
    return { buffer: entry.buffer, offset, lengthBytes };
  }
}
