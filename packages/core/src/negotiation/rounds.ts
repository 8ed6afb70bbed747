/**
 * Rounds: the bound that ends every argument.
 *
 * Counts the rounds of placing and taking that one request on a buffer sets off, nested requests of
 * its drivers included, whichever attachment they go through. A request ends within the bound or
 * with `NEGOTIATION_ENDLESS`.
 */

/** Most rounds that one map or pin may set off. */
export const NEGOTIATION_ROUNDS_MAX = 16;

export class Rounds {
  #depth = 0;
  #count = 0;

  /** Which round runs; 0 outside of any. */
  get current(): number {
    return this.#depth === 0 ? 0 : this.#count;
  }

  /** Opens a request. A nested one goes on counting. */
  begin(): void {
    if (this.#depth++ === 0) {
      this.#count = 0;
    }
  }

  end(): void {
    this.#depth--;
  }

  /** One more round; `false` when the bound is passed. */
  next(): boolean {
    return ++this.#count <= NEGOTIATION_ROUNDS_MAX;
  }
}
