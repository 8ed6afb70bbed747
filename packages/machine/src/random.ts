/**
 * Random: the machine's only source of chance, from a seed.
 *
 * A 32-bit xorshift generator (Marsaglia 2003): the same seed gives the same machine everywhere.
 */
export class Random {
  #state: number;

  /** Any whole number; seeds that are equal modulo 2^32 are the same. */
  constructor(seed: number) {
    // Spreads small seeds over all bits; xorshift must not start at 0.
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0 || 1;
  }

  /** A whole number from 0 to `limit` - 1; `limit` up to 2^32. */
  below(limit: number): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }
}
