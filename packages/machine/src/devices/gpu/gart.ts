/**
 * GART: a table that gives pages of system memory addresses of the GPU's own.
 *
 * Entries of 8 bytes in memory that the engines reach by DMA: a page address with flags in its low bits. Byte
 * `n` of the aperture is byte `n % 4096` of page `n / 4096`. Entries that were used are remembered until the
 * host flushes them, so one that was changed is used on until then, as on hardware.
 */
import { PAGE_BYTES } from "@peerbuf/core";
import type { DevicePort } from "../../device-model.ts";
import { readU64 } from "../little-endian.ts";

export const GART_ENTRY_BYTES = 8;
/** Flags of an entry. */
export const GART_FLAG = { VALID: 1, WRITABLE: 2 } as const;
/** Pages of the largest table: 64 GiB of aperture. */
export const GART_PAGES_MAX: number = 2 ** 24;
/** Entries remembered; the oldest goes first. */
const REMEMBERED_MAX = 4096;

export type GartAccess = "read" | "write";

/** Where a range of the aperture is: address and length in turn; or the aperture address that is nowhere. */
export type GartRuns = { readonly runs: readonly number[] } | { readonly faultAt: number };

export class Gart {
  readonly #port: DevicePort;
  readonly #remembered = new Map<number, number>();
  readonly #bytes = new Uint8Array(GART_ENTRY_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  #table = 0;
  #pageCount = 0;

  constructor(port: DevicePort) {
    this.#port = port;
  }

  /** A table of `pageCount` entries; 0: none, and every access faults. */
  place(table: number, pageCount: number): void {
    this.#table = table;
    this.#pageCount = Math.min(pageCount, GART_PAGES_MAX);
    this.flush();
  }

  flush(): void {
    this.#remembered.clear();
  }

  /** Walks the pages of a range that lies within the aperture's 2^53 bytes. */
  find(offset: number, lengthBytes: number, access: GartAccess): GartRuns {
    if (offset + lengthBytes > this.#pageCount * PAGE_BYTES) {
      return { faultAt: Math.max(offset, this.#pageCount * PAGE_BYTES) };
    }
    const runs: number[] = [];
    for (let done = 0; done < lengthBytes; ) {
      const at = offset + done;
      const inPage = at % PAGE_BYTES;
      const page = this.#pageAt((at - inPage) / PAGE_BYTES, access);
      if (page === undefined) {
        return { faultAt: at };
      }
      const piece = Math.min(lengthBytes - done, PAGE_BYTES - inPage);
      append(runs, page + inPage, piece);
      done += piece;
    }
    return { runs };
  }

  #pageAt(index: number, access: GartAccess): number | undefined {
    const entry = this.#remembered.get(index) ?? this.#fetch(index);
    const needed = access === "write" ? GART_FLAG.VALID | GART_FLAG.WRITABLE : GART_FLAG.VALID;
    const flags = (entry ?? 0) % PAGE_BYTES;
    return entry === undefined || (flags & needed) !== needed ? undefined : entry - flags;
  }

  #fetch(index: number): number | undefined {
    const address = this.#table + index * GART_ENTRY_BYTES;
    if (!this.#port.read(address, this.#bytes, 0, GART_ENTRY_BYTES).ok) {
      return undefined;
    }
    const entry = readU64(this.#view, 0);
    if (this.#remembered.size === REMEMBERED_MAX) {
      const [oldest] = this.#remembered.keys();
      this.#remembered.delete(oldest as number);
    }
    this.#remembered.set(index, entry);
    return entry;
  }
}

function append(runs: number[], address: number, lengthBytes: number): void {
  const last = runs.length - 2;
  if (last >= 0 && (runs[last] as number) + (runs[last + 1] as number) === address) {
    runs[last + 1] = (runs[last + 1] as number) + lengthBytes;
  } else {
    runs.push(address, lengthBytes);
  }
}
