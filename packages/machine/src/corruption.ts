/**
 * Corruption: what a faulty root complex does to bytes that pass it.
 *
 * A model of field reports, not of any one chip: one byte of each aligned 16 arrives changed, the same one
 * in the same way every time, by the machine's seed. So a transfer of 16 bytes or more never arrives whole.
 */
import { type Bytes, carryRead, carryWrite, copyOf } from "./carry.ts";
import type { AccessKind } from "./root-complex.ts";
import type { Route } from "./route.ts";
import { SparseMemory } from "./sparse-memory.ts";

const UNIT_BYTES = 16;

export class Corruption {
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** As `carryRead` and `carryWrite`, with bytes that arrive changed. */
  carry(
    route: Route,
    physical: number,
    bytes: Bytes,
    offset: number,
    lengthBytes: number,
    kind: AccessKind,
  ): boolean {
    if (kind === "read") {
      const arrives = carryRead(route, physical, bytes, offset, lengthBytes);
      if (arrives) {
        this.spoil(bytes, offset, physical, lengthBytes);
      }
      return arrives;
    }
    const spoiled = copyOf(bytes, offset, lengthBytes);
    this.spoil(spoiled, 0, physical, lengthBytes);
    return carryWrite(route, physical, spoiled, 0, lengthBytes);
  }

  /** Spoils bytes that came from, or go to, `physical`. */
  spoil(bytes: Bytes, offset: number, physical: number, lengthBytes: number): void {
    const first = Math.floor(physical / UNIT_BYTES);
    const end = Math.ceil((physical + lengthBytes) / UNIT_BYTES);
    for (let unit = first; unit < end; unit++) {
      const chance = mix(unit, this.#seed);
      const at = unit * UNIT_BYTES + (chance % UNIT_BYTES) - physical;
      if (at >= 0 && at < lengthBytes) {
        flip(bytes, offset + at, 1 + ((chance >>> 8) % 255));
      }
    }
  }
}

/** A whole number below 2^32 that looks like chance. */
function mix(unit: number, seed: number): number {
  let state = Math.imul((unit % 2 ** 32) ^ seed, 0x9e37_79b1);
  state = Math.imul(state ^ (state >>> 15), 0x85eb_ca6b);
  return (state ^ (state >>> 13)) >>> 0;
}

function flip(bytes: Bytes, at: number, mask: number): void {
  if (bytes instanceof SparseMemory) {
    bytes.writeNumber(at, 1, bytes.readNumber(at, 1) ^ mask);
  } else {
    bytes[at] = (bytes[at] as number) ^ mask;
  }
}
