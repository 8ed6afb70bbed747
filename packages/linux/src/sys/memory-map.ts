/**
 * Memory map: a shared mapping of a descriptor that somebody owns.
 *
 * The bytes are seen without a copy. After `unmap` every view of them is detached: reading gives nothing,
 * making a new view throws. The kernel keeps the file alive while it is mapped, whoever closes it. The addresses
 * stay blank for a while (`graveyard.ts`), for whoever has them without a view.
 *
 * Bytes that somebody moved away (`ArrayBuffer.prototype.transfer`) cannot be taken back. Their addresses
 * then stay, with zeros behind them that are nobody's, so that a view of them can end no process; this costs
 * address space for good and is reported. Handing them to another thread is refused by Node.
 */
import { constants } from "node:buffer";
import { markAsUntransferable } from "node:worker_threads";
import { PeerbufError } from "@peerbuf/core";
import type { Descriptor } from "./descriptor.ts";
import { detach } from "./detach.ts";
import { failure } from "./errno.ts";
import { blank, bury, emptyGraveyard, type Range } from "./graveyard.ts";
import { Ticket } from "./handle-ledger.ts";
import { lastErrno, libc, viewOf } from "./libc.ts";
import { claimMapping, disclaimMapping } from "./thread-table.ts";

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
/** (void *)-1. */
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

/** A mapping in the ledger. */
class MappingTicket extends Ticket {
  readonly range: Range;
  readonly #of: string;

  constructor(owner: object, address: bigint, lengthBytes: number, of: string) {
    super(owner);
    this.range = { address, lengthBytes, row: claimMapping(address, lengthBytes) };
    this.#of = of;
  }

  get what(): string {
    return `mapping of ${this.#of}`;
  }

  override close(): void {
    disclaimMapping(this.range.row);
    super.close();
  }

  /** Somebody may still use the bytes by their address. */
  bury(): void {
    super.close();
    bury(this.range);
  }

  /** Nobody has the bytes or a view of them, so nobody uses them. */
  giveBack(): void {
    libc().munmap(this.range.address, this.range.lengthBytes);
  }
}

export class MemoryMap implements Disposable {
  readonly lengthBytes: number;
  readonly #what: string;
  readonly #ticket: MappingTicket;
  #bytes: ArrayBuffer | undefined;

  /**
   * Maps `lengthBytes` (whole pages) from `offset`. `SIZE_INVALID` for more than one view can hold
   * (4 GiB on Node 20), `SYSCALL_FAILED` with the kernel's errno.
   */
  constructor(descriptor: Descriptor, lengthBytes: number, offset = 0, writable = true) {
    if (!(lengthBytes > 0 && lengthBytes <= constants.MAX_LENGTH)) {
      throw new PeerbufError(
        "SIZE_INVALID",
        `${descriptor.what}: ${lengthBytes} bytes cannot be mapped at once; this Node can hold 1 to ${constants.MAX_LENGTH}`,
      );
    }
    const protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    const { number } = descriptor;
    const address =
      mapped(number, lengthBytes, protection, offset) ??
      (emptyGraveyard() ? mapped(number, lengthBytes, protection, offset) : undefined);
    if (address === undefined) {
      throw failure(lastErrno(), `map ${lengthBytes} bytes of ${descriptor.what}`);
    }
    this.lengthBytes = lengthBytes;
    this.#what = descriptor.what;
    try {
      this.#hold(viewOf(address, lengthBytes));
    } catch (error) {
      libc().munmap(address, lengthBytes);
      throw error;
    }
    this.#ticket = new MappingTicket(this, address, lengthBytes, descriptor.what);
  }

  get isOpen(): boolean {
    return this.#bytes !== undefined;
  }

  /** The bytes themselves. `HANDLE_CLOSED` after `unmap`. */
  get bytes(): ArrayBuffer {
    if (this.#bytes === undefined) {
      throw new PeerbufError("HANDLE_CLOSED", `${this.#what} is not mapped any more`);
    }
    return this.#bytes;
  }

  /**
   * Takes the bytes away from everybody who has them; `bytes` gives them anew. False when somebody had moved
   * them: this mapping is of no use any more, and closed.
   */
  revokeViews(): boolean {
    if (this.#isMoved) {
      this.#abandon();
      return false;
    }
    this.#hold(detach(this.bytes));
    return true;
  }

  /** `HANDLE_CLOSED` the second time. */
  unmap(): void {
    if (this.#isMoved) {
      this.#abandon();
      return;
    }
    detach(this.bytes);
    this.#bytes = undefined;
    this.#ticket.bury();
  }

  /** Unmaps unless `unmap` did. */
  [Symbol.dispose](): void {
    if (this.isOpen) {
      this.unmap();
    }
  }

  get #isMoved(): boolean {
    return this.bytes.byteLength !== this.lengthBytes;
  }

  #abandon(): void {
    this.#bytes = undefined;
    blank(this.#ticket.range);
    this.#ticket.lose("was moved to an ArrayBuffer of somebody else, which is blank now");
  }

  #hold(bytes: ArrayBuffer): void {
    markAsUntransferable(bytes);
    this.#bytes = bytes;
    new Hold(bytes, this);
  }
}

/** Undefined: it failed, with an errno. */
function mapped(
  fd: number,
  lengthBytes: number,
  protection: number,
  offset: number,
): bigint | undefined {
  const address = libc().mmap(null, lengthBytes, protection, MAP_SHARED, fd, offset);
  return address === null || BigInt.asUintN(64, address) === MAP_FAILED ? undefined : address;
}

/** A constructor that makes nothing new lets a class add its private field to what it is given. */
const Given = function given(bytes: ArrayBuffer): ArrayBuffer {
  return bytes;
} as unknown as new (
  bytes: ArrayBuffer,
) => object;

/**
 * Whoever holds the bytes, or a view of them, holds the mapping: it is not collected under them. A field that
 * nobody else sees; a WeakMap would do the same at ten times the price, for every bracket.
 */
class Hold extends Given {
  readonly #map: MemoryMap;

  constructor(bytes: ArrayBuffer, map: MemoryMap) {
    super(bytes);
    this.#map = map;
  }

  /** Asked by nobody: to be held is all that it is for. */
  get map(): MemoryMap {
    return this.#map;
  }
}
