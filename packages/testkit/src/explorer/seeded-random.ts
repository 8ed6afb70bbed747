/**
 * Seeded random: 32-bit xorshift (Marsaglia 2003), quick and the same everywhere.
 */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = mixed(seed);
  }

  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }
}

/** Spreads small seeds over all bits (the finalizer of MurmurHash3); xorshift must not start at 0. */
function mixed(seed: number): number {
  let bits = (seed ^ 0x9e37_79b9) >>> 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85eb_ca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35);
  return (bits ^ (bits >>> 16)) >>> 0 || 1;
}
