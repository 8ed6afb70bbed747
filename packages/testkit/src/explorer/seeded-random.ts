/**
 * Seeded random: 32-bit xorshift (Marsaglia 2003), quick and the same everywhere.
 */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = mixed(seed);
  }

  /** Begins again, as a new one with this seed would. */
  begin(seed: number): void {
    this.#state = mixed(seed);
  }

  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state; // Signed: it fits into a small integer, and none has to be allocated.
    return Math.floor(((state >>> 0) / 2 ** 32) * limit);
  }
}

/** Spreads small seeds over all bits (the finalizer of MurmurHash3); xorshift must not start at 0. */
function mixed(seed: number): number {
  let bits = (seed ^ 0x9e37_79b9) >>> 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85eb_ca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35);
  return bits ^ (bits >>> 16) || 1;
}
