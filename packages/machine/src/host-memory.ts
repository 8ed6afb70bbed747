/**
 * Host memory: the machine's RAM, and who holds which pages of it.
 *
 * RAM is a list of banks, each with its bytes and its free pages. Pages are zeroed when they are
 * handed out, as a kernel does for memory that user space will see. Every allocation is remembered
 * until it is freed, so that a double free is refused and a leak can be counted.
 */
import {
  type HostMemory,
  type HostPages,
  PAGE_BYTES,
  PeerbufError,
  type PhysicalAddress,
  PhysicalRanges,
  physicalAddress,
} from "@peerbuf/core";
import type { BankShape } from "./dram-layout.ts";
import { PageAllocator, type PageRuns } from "./page-allocator.ts";
import type { Random } from "./random.ts";
import { SparseMemory } from "./sparse-memory.ts";

/** A stretch of RAM: byte `start + n` is byte n of `memory`. */
export interface Bank {
  readonly node: number;
  readonly start: number;
  readonly end: number;
  readonly memory: SparseMemory;
  readonly pages: PageAllocator;
}

/** How allocations that need not be contiguous are served: as few ranges as possible, or single pages all over. */
export type PagePlacement = "packed" | "scattered";

/** RAM that a device has taken for itself, as an integrated GPU does (its "stolen" memory). */
export interface CarveOut {
  readonly pages: HostPages;
  /** Byte n of the carve-out is byte `base + n` of this memory. */
  readonly memory: SparseMemory;
  readonly base: number;
}

/** RAM that firmware or kernel keep for themselves. */
export interface ReservedMemory {
  readonly start: PhysicalAddress;
  readonly sizeBytes: number;
  /** Back to everybody; once is enough. */
  give(): void;
}

interface Allocation {
  readonly bank: Bank;
  readonly runs: PageRuns;
}

export class ModelledHostMemory implements HostMemory {
  readonly banks: readonly Bank[];
  readonly #placement: PagePlacement;
  readonly #random: Random;
  readonly #live = new Map<HostPages, Allocation>();

  constructor(shapes: readonly BankShape[], placement: PagePlacement, random: Random) {
    this.banks = shapes.map(({ node, start, sizeBytes }) => ({
      node,
      start,
      end: start + sizeBytes,
      memory: new SparseMemory(sizeBytes),
      pages: new PageAllocator(sizeBytes / PAGE_BYTES),
    }));
    this.#placement = placement;
    this.#random = random;
  }

  /** Allocations that were not freed. */
  get liveAllocations(): number {
    return this.#live.size;
  }

  /** Pages in them. */
  get livePages(): number {
    let pages = 0;
    for (const allocation of this.#live.keys()) {
      pages += allocation.ranges.sizeBytes / PAGE_BYTES;
    }
    return pages;
  }

  /**
   * One allocation comes from one bank: of the preferred node first (0 unless told), then of the
   * others. `SIZE_INVALID` for a size that is no positive whole number.
   */
  allocate(sizeBytes: number, options: { node?: number; contiguous?: boolean } = {}): HostPages {
    if (!(Number.isSafeInteger(sizeBytes) && sizeBytes > 0)) {
      throw new PeerbufError("SIZE_INVALID", `${sizeBytes} bytes cannot be allocated`);
    }
    const count = Math.ceil(sizeBytes / PAGE_BYTES);
    for (const bank of this.#banksFrom(options.node ?? 0)) {
      const runs = this.#take(bank, count, options.contiguous === true);
      if (runs !== undefined) {
        return this.#handOut(bank, runs);
      }
    }
    const kind = options.contiguous === true ? "contiguous " : "";
    throw new PeerbufError(
      "MEMORY_EXHAUSTED",
      `no bank of host memory has ${count} ${kind}pages free; the fullest has ${this.#mostFree()}`,
    );
  }

  free(pages: HostPages): void {
    const allocation = this.#live.get(pages);
    if (allocation === undefined) {
      throw new PeerbufError(
        "HANDLE_CLOSED",
        "these host pages were freed before, or never allocated here",
      );
    }
    this.#live.delete(pages);
    allocation.bank.pages.give(allocation.runs);
  }

  /** Contiguous RAM for a device's own use, with its bytes. Freed like any allocation. */
  carveOut(sizeBytes: number, node = 0): CarveOut {
    const pages = this.allocate(sizeBytes, { node, contiguous: true });
    const { bank } = this.#live.get(pages) as Allocation;
    return { pages, memory: bank.memory, base: pages.ranges.start(0) - bank.start };
  }

  /** Contiguous low RAM taken at boot: no allocation, so it is not counted as one. */
  reserve(sizeBytes: number): ReservedMemory {
    const { pages } = this.carveOut(sizeBytes);
    const allocation = this.#live.get(pages) as Allocation;
    this.#live.delete(pages);
    let isGiven = false;
    return {
      start: pages.ranges.start(0),
      sizeBytes: pages.ranges.sizeBytes,
      give() {
        if (!isGiven) {
          isGiven = true;
          allocation.bank.pages.give(allocation.runs);
        }
      },
    };
  }

  /** `ACCESS_FAULT` when not all of it is RAM. */
  read(address: PhysicalAddress, target: Uint8Array): void {
    for (let done = 0; done < target.length; ) {
      const bank = this.#bankAt(address + done);
      const piece = Math.min(target.length - done, bank.end - address - done);
      bank.memory.read(address + done - bank.start, target, done, piece);
      done += piece;
    }
  }

  /** `ACCESS_FAULT` when not all of it is RAM; bytes before the fault have been written. */
  write(address: PhysicalAddress, source: Uint8Array): void {
    for (let done = 0; done < source.length; ) {
      const bank = this.#bankAt(address + done);
      const piece = Math.min(source.length - done, bank.end - address - done);
      bank.memory.write(address + done - bank.start, source, done, piece);
      done += piece;
    }
  }

  #take(bank: Bank, count: number, contiguous: boolean): PageRuns | undefined {
    if (contiguous) {
      return bank.pages.takeContiguous(count);
    }
    return this.#placement === "packed"
      ? bank.pages.takeAny(count)
      : bank.pages.takeScattered(count, this.#random);
  }

  #handOut(bank: Bank, runs: PageRuns): HostPages {
    const table = new Float64Array(runs.length);
    for (let at = 0; at < runs.length; at += 2) {
      const offset = (runs[at] as number) * PAGE_BYTES;
      const length = (runs[at + 1] as number) * PAGE_BYTES;
      bank.memory.fill(0, offset, length);
      table[at] = physicalAddress(bank.start + offset);
      table[at + 1] = length;
    }
    const pages = { ranges: new PhysicalRanges(table) };
    this.#live.set(pages, { bank, runs });
    return pages;
  }

  #banksFrom(node: number): readonly Bank[] {
    const near = this.banks.filter((bank) => bank.node === node);
    return [...near, ...this.banks.filter((bank) => bank.node !== node)];
  }

  #bankAt(address: number): Bank {
    for (const bank of this.banks) {
      if (address >= bank.start && address < bank.end) {
        return bank;
      }
    }
    throw new PeerbufError("ACCESS_FAULT", `there is no RAM at 0x${address.toString(16)}`);
  }

  #mostFree(): number {
    return this.banks.reduce((most, bank) => Math.max(most, bank.pages.freePages), 0);
  }
}
