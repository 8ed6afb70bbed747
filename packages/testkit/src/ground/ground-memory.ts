/**
 * Ground memory: real bytes, in as many pieces as there are allocations.
 *
 * Addresses are given out once and never again, so whoever uses memory that was freed is found out,
 * every time: it reads poison, writes nothing, and is reported. Memory is found by walking the pieces of
 * a region: a world has a handful. The bytes themselves come from the worlds before and go to those after
 * (`spare-bytes.ts`): they never leave this file.
 *
 * Not here: what devices see (see `ground-dma.ts`).
 */
import { PAGE_BYTES, PeerbufError, type PhysicalAddress, PhysicalRanges } from "@peerbuf/core";
import { copyBytes, giveBytes, takeBytes } from "./spare-bytes.ts";

/** What reads of memory give that nobody may read. */
export const POISON = 0xdb;

/** One piece of memory that was given out. */
export interface Piece {
  readonly start: PhysicalAddress;
  readonly sizeBytes: number;
  /** Whose it is: host memory, or the memory of the device with this id. */
  readonly owner: string;
  /** Its number among the subjects of touches. */
  readonly subject: number;
  isFree: boolean;
}

interface HeldPiece extends Piece {
  bytes: Uint8Array;
  /** Bytes from here on were never written. */
  writtenBytes: number;
}

/** The world around it. */
export interface MemoryHost {
  /** The number of a piece's subject. */
  subjectOf(name: string): number;
  touchMemory(subject: number, writes: boolean): void;
  /** Memory is taken or given back; `isShort`: so much was taken before that it could matter how much. */
  touchStock(isShort: boolean): void;
  /** Told of every access that leads nowhere. */
  badAccess(address: number, what: string): void;
}

const HOST_START = 0x4000_0000;
const DEVICE_START = 0x10_0000_0000;
const REGION_BYTES = 0x10_0000_0000;

export class GroundMemory {
  readonly #pieces: HeldPiece[] = [];
  readonly #host: MemoryHost;
  readonly #hostBytesMax: number;
  #hostBytes = 0;
  /** Ever, whether it came back or not. */
  #takenBytes = 0;
  #nextHost = HOST_START;
  readonly #nextDevice: number[] = [];
  #isOver = false;

  constructor(hostBytesMax: number, host: MemoryHost) {
    this.#hostBytesMax = hostBytesMax;
    this.#host = host;
  }

  /** Host bytes given out and not yet back. */
  get hostBytes(): number {
    return this.#hostBytes;
  }

  /** Zeroed pages. More than one page comes in two ranges with a gap, as real free memory does, unless `contiguous`. */
  allocateHost(sizeBytes: number, contiguous: boolean): PhysicalRanges {
    const pages = Math.ceil(sizeBytes / PAGE_BYTES);
    this.#takenBytes += pages * PAGE_BYTES;
    this.#host.touchStock(this.#takenBytes > this.#hostBytesMax);
    if (this.#hostBytes + pages * PAGE_BYTES > this.#hostBytesMax) {
      const message = `${sizeBytes} bytes of host memory: ${this.#hostBytes} of ${this.#hostBytesMax} are taken`;
      throw new PeerbufError("MEMORY_EXHAUSTED", message);
    }
    this.#hostBytes += pages * PAGE_BYTES;
    if (contiguous || pages === 1) {
      return PhysicalRanges.of(this.#takeHost(pages), pages * PAGE_BYTES);
    }
    const first = pages >> 1;
    const table = new Float64Array(4);
    table[0] = this.#takeHost(first);
    table[1] = first * PAGE_BYTES;
    table[2] = this.#takeHost(pages - first);
    table[3] = (pages - first) * PAGE_BYTES;
    return new PhysicalRanges(table);
  }

  /** Contiguous memory behind a device's BAR. */
  allocateDevice(owner: string, index: number, sizeBytes: number): PhysicalAddress {
    const base = DEVICE_START + index * REGION_BYTES;
    const start = (this.#nextDevice[index] ?? base) as PhysicalAddress;
    this.#nextDevice[index] = start + sizeBytes + PAGE_BYTES;
    this.#add(start, sizeBytes, owner);
    return start;
  }

  /** False: some of it is not given out now. */
  free(ranges: PhysicalRanges): boolean {
    let wasHeld = true;
    for (let index = 0; index < ranges.count; index++) {
      const piece = this.#pieceAt(ranges.start(index));
      if (piece === undefined || piece.isFree) {
        wasHeld = false;
      } else {
        piece.isFree = true;
        this.#host.touchStock(false);
        this.#host.touchMemory(piece.subject, true);
        this.#hostBytes -= piece.owner === "host" ? piece.sizeBytes : 0;
        spareBytes(piece);
      }
    }
    return wasHeld;
  }

  /** The live piece that holds all of these bytes. */
  find(address: number, lengthBytes: number): Piece | undefined {
    return this.#within(this.#pieceAt(address), address, lengthBytes);
  }

  read(address: number, target: Uint8Array): boolean {
    const piece = this.#touchedAt(address, target.length, false);
    if (piece === undefined) {
      target.fill(POISON);
      this.#miss(address, "read", target.length);
      return false;
    }
    copyBytes(piece.bytes, address - piece.start, target);
    return true;
  }

  write(address: number, source: Uint8Array): boolean {
    const piece = this.#touchedAt(address, source.length, true);
    if (piece === undefined) {
      this.#miss(address, "write", source.length);
      return false;
    }
    const offset = address - piece.start;
    piece.bytes.set(source, offset);
    piece.writtenBytes = Math.max(piece.writtenBytes, offset + source.length);
    return true;
  }

  /** The world is over: its bytes go to another one. Who comes later finds nothing, and nobody is told. */
  close(): void {
    this.#isOver = true;
    for (const piece of this.#pieces) {
      if (!piece.isFree) {
        piece.isFree = true;
        spareBytes(piece);
      }
    }
  }

  #miss(address: number, what: string, lengthBytes: number): void {
    if (!this.#isOver) {
      this.#host.badAccess(address, `a ${what} of ${lengthBytes} bytes`);
    }
  }

  #touchedAt(address: number, lengthBytes: number, writes: boolean): HeldPiece | undefined {
    const piece = this.#pieceAt(address);
    if (piece !== undefined) {
      this.#host.touchMemory(piece.subject, writes);
    }
    return this.#within(piece, address, lengthBytes);
  }

  #within(
    piece: HeldPiece | undefined,
    address: number,
    lengthBytes: number,
  ): HeldPiece | undefined {
    return piece === undefined || piece.isFree || address + lengthBytes > end(piece)
      ? undefined
      : piece;
  }

  #takeHost(pages: number): PhysicalAddress {
    const start = this.#nextHost as PhysicalAddress;
    this.#nextHost += (pages + 1) * PAGE_BYTES;
    this.#add(start, pages * PAGE_BYTES, "host");
    return start;
  }

  #add(start: PhysicalAddress, sizeBytes: number, owner: string): void {
    const subject = this.#host.subjectOf(`memory ${this.#pieces.length}`);
    const bytes = takeBytes(sizeBytes);
    const isFree = false;
    this.#pieces.push({ start, sizeBytes, bytes, owner, subject, isFree, writtenBytes: 0 });
  }

  #pieceAt(address: number): HeldPiece | undefined {
    for (const piece of this.#pieces) {
      if (address >= piece.start && address < end(piece)) {
        return piece;
      }
    }
    return undefined;
  }
}

const end = (piece: Piece): number => piece.start + piece.sizeBytes;

const NO_BYTES = new Uint8Array(0);

function spareBytes(piece: HeldPiece): void {
  giveBytes(piece.bytes, piece.writtenBytes);
  piece.bytes = NO_BYTES;
}
