/**
 * Sparse memory: bytes of any size that cost nothing until they are written.
 *
 * Behind host RAM and device memory alike. Contents are kept in chunks that come into being at the
 * first write of something other than zeros; what was never written reads as zeros and stays
 * uncommitted. Moving bytes works chunk by chunk, so its cost does not depend on how they got there.
 *
 * Chunks are allocated whole, so all of them start at the same distance from a page border: copies
 * between equal page offsets stay clear of the slow path that memcpy has for slightly shifted ones.
 */
import { PAGE_BYTES, PeerbufError } from "@peerbuf/core";

/** Contents are committed in pieces of this size, in bytes; smaller memories in one piece. */
export const CHUNK_BYTES: number = 2 * 1024 * 1024;

/** Below this a loop is quicker than making a view for the copy. */
const LOOP_BYTES = 32;

export class SparseMemory {
  readonly sizeBytes: number;
  readonly #chunkBytes: number;
  readonly #chunks = new Map<number, Uint8Array>();
  #lastIndex = -1;
  #lastChunk: Uint8Array | undefined;

  /** `sizeBytes` is a positive whole number. */
  constructor(sizeBytes: number) {
    if (!(Number.isSafeInteger(sizeBytes) && sizeBytes > 0)) {
      throw new PeerbufError("SIZE_INVALID", `a memory of ${sizeBytes} bytes cannot be made`);
    }
    this.sizeBytes = sizeBytes;
    this.#chunkBytes = Math.min(CHUNK_BYTES, Math.ceil(sizeBytes / PAGE_BYTES) * PAGE_BYTES);
  }

  /** Bytes of real memory behind it now. */
  get committedBytes(): number {
    return this.#chunks.size * this.#chunkBytes;
  }

  /** Copies `lengthBytes` bytes at `offset` into `target`, from `targetOffset` on. */
  read(
    offset: number,
    target: Uint8Array,
    targetOffset = 0,
    lengthBytes: number = target.length - targetOffset,
  ): void {
    this.#check(offset, lengthBytes);
    checkArray(target, targetOffset, lengthBytes);
    for (let done = 0; done < lengthBytes; ) {
      const inChunk = (offset + done) % this.#chunkBytes;
      const piece = Math.min(lengthBytes - done, this.#chunkBytes - inChunk);
      const chunk = this.#find((offset + done - inChunk) / this.#chunkBytes);
      if (chunk === undefined) {
        target.fill(0, targetOffset + done, targetOffset + done + piece);
      } else {
        copyBytes(chunk, inChunk, target, targetOffset + done, piece);
      }
      done += piece;
    }
  }

  /** Copies `lengthBytes` bytes of `source`, from `sourceOffset` on, to `offset`. */
  write(
    offset: number,
    source: Uint8Array,
    sourceOffset = 0,
    lengthBytes: number = source.length - sourceOffset,
  ): void {
    this.#check(offset, lengthBytes);
    checkArray(source, sourceOffset, lengthBytes);
    for (let done = 0; done < lengthBytes; ) {
      const inChunk = (offset + done) % this.#chunkBytes;
      const piece = Math.min(lengthBytes - done, this.#chunkBytes - inChunk);
      const chunk = this.#commit((offset + done - inChunk) / this.#chunkBytes);
      copyBytes(source, sourceOffset + done, chunk, inChunk, piece);
      done += piece;
    }
  }

  /** Copies to another memory, or within this one; overlapping bytes arrive as they were before. */
  copyTo(offset: number, target: SparseMemory, targetOffset: number, lengthBytes: number): void {
    this.#check(offset, lengthBytes);
    target.#check(targetOffset, lengthBytes);
    if (target === this && targetOffset > offset && targetOffset < offset + lengthBytes) {
      this.#copyBackwards(offset, targetOffset, lengthBytes);
      return;
    }
    for (let done = 0; done < lengthBytes; ) {
      const from = offset + done;
      const to = targetOffset + done;
      const piece = Math.min(
        lengthBytes - done,
        this.#chunkBytes - (from % this.#chunkBytes),
        target.#chunkBytes - (to % target.#chunkBytes),
      );
      this.#copyPiece(from, target, to, piece);
      done += piece;
    }
  }

  /** Sets `lengthBytes` bytes at `offset` to `value`. Zeros commit nothing. */
  fill(value: number, offset = 0, lengthBytes: number = this.sizeBytes - offset): void {
    this.#check(offset, lengthBytes);
    for (let done = 0; done < lengthBytes; ) {
      const inChunk = (offset + done) % this.#chunkBytes;
      const piece = Math.min(lengthBytes - done, this.#chunkBytes - inChunk);
      this.#fillPiece(value, (offset + done - inChunk) / this.#chunkBytes, inChunk, piece);
      done += piece;
    }
  }

  /** The little-endian number of 1, 2, 4 or 8 bytes at `offset`; one of 8 bytes loses precision above 2^53. */
  readNumber(offset: number, sizeBytes: number): number {
    this.#check(offset, sizeBytes);
    let value = 0;
    for (let index = sizeBytes - 1; index >= 0; index--) {
      const inChunk = (offset + index) % this.#chunkBytes;
      const chunk = this.#find((offset + index - inChunk) / this.#chunkBytes);
      value = value * 256 + (chunk?.[inChunk] ?? 0);
    }
    return value;
  }

  /** Stores a number as `readNumber` reads it. */
  writeNumber(offset: number, sizeBytes: number, value: number): void {
    this.#check(offset, sizeBytes);
    let rest = value;
    for (let index = 0; index < sizeBytes; index++) {
      const inChunk = (offset + index) % this.#chunkBytes;
      this.#commit((offset + index - inChunk) / this.#chunkBytes)[inChunk] = rest % 256;
      rest = Math.floor(rest / 256);
    }
  }

  /** Back to zeros, with nothing committed: the state after power-on. */
  clear(): void {
    this.#chunks.clear();
    this.#lastIndex = -1;
    this.#lastChunk = undefined;
  }

  #copyPiece(from: number, target: SparseMemory, to: number, lengthBytes: number): void {
    const inSource = from % this.#chunkBytes;
    const inTarget = to % target.#chunkBytes;
    const targetIndex = (to - inTarget) / target.#chunkBytes;
    const source = this.#find((from - inSource) / this.#chunkBytes);
    if (source === undefined) {
      target.#fillPiece(0, targetIndex, inTarget, lengthBytes);
    } else {
      copyBytes(source, inSource, target.#commit(targetIndex), inTarget, lengthBytes);
    }
  }

  /** From the end, so that no byte is overwritten before it was read. */
  #copyBackwards(offset: number, targetOffset: number, lengthBytes: number): void {
    for (let left = lengthBytes; left > 0; ) {
      const fromEnd = ((offset + left - 1) % this.#chunkBytes) + 1;
      const toEnd = ((targetOffset + left - 1) % this.#chunkBytes) + 1;
      const piece = Math.min(left, fromEnd, toEnd);
      left -= piece;
      this.#copyPiece(offset + left, this, targetOffset + left, piece);
    }
  }

  #fillPiece(value: number, index: number, inChunk: number, lengthBytes: number): void {
    const chunk = value === 0 ? this.#find(index) : this.#commit(index);
    chunk?.fill(value, inChunk, inChunk + lengthBytes);
  }

  #find(index: number): Uint8Array | undefined {
    if (index !== this.#lastIndex) {
      this.#lastIndex = index;
      this.#lastChunk = this.#chunks.get(index);
    }
    return this.#lastChunk;
  }

  #commit(index: number): Uint8Array {
    const found = this.#find(index);
    if (found !== undefined) {
      return found;
    }
    const made = new Uint8Array(this.#chunkBytes);
    this.#chunks.set(index, made);
    this.#lastChunk = made;
    return made;
  }

  #check(offset: number, lengthBytes: number): void {
    if (!(offset >= 0 && lengthBytes >= 0 && offset + lengthBytes <= this.sizeBytes)) {
      throw new PeerbufError(
        "ARGUMENT_INVALID",
        `${lengthBytes} bytes at offset ${offset} are not within a memory of ${this.sizeBytes} bytes`,
      );
    }
  }
}

function checkArray(array: Uint8Array, offset: number, lengthBytes: number): void {
  if (!(offset >= 0 && lengthBytes >= 0 && offset + lengthBytes <= array.length)) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `${lengthBytes} bytes at offset ${offset} are not within an array of ${array.length} bytes`,
    );
  }
}

function copyBytes(
  source: Uint8Array,
  sourceOffset: number,
  target: Uint8Array,
  targetOffset: number,
  lengthBytes: number,
): void {
  if (lengthBytes > LOOP_BYTES || source.buffer === target.buffer) {
    target.set(source.subarray(sourceOffset, sourceOffset + lengthBytes), targetOffset);
    return;
  }
  for (let index = 0; index < lengthBytes; index++) {
    target[targetOffset + index] = source[sourceOffset + index] as number;
  }
}
