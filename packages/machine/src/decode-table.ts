/**
 * Decode table: which of several claims answers at an address.
 *
 * One for each bus, and one for the root complex. Finding also tells between which addresses the
 * answer stays the same, "nobody" included, so that a route found for one address can be kept for
 * all others that would go the same way.
 *
 * On a machine that is programmed well claims never overlap. Where they do, the one that starts
 * lower keeps the overlap, and of two that start together the one added first.
 */
export interface Claim {
  readonly start: number;
  readonly end: number;
}

export class DecodeTable<C extends Claim> {
  /** Sorted, not overlapping. */
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #claims: readonly C[];
  /** Borders around the last address asked for. */
  #from = 0;
  #until = 0;

  constructor(claims: readonly C[]) {
    const sorted = claims.filter((claim) => claim.end > claim.start);
    sorted.sort((one, other) => one.start - other.start);
    const starts: number[] = [];
    const ends: number[] = [];
    const kept: C[] = [];
    for (const claim of sorted) {
      const start = Math.max(claim.start, ends[ends.length - 1] ?? 0);
      if (start < claim.end) {
        starts.push(start);
        ends.push(claim.end);
        kept.push(claim);
      }
    }
    this.#starts = Float64Array.from(starts);
    this.#ends = Float64Array.from(ends);
    this.#claims = kept;
  }

  /** Who claims the address. `from` and `until` then hold the stretch in which that is so. */
  find(address: number): C | undefined {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#starts[middle] as number) <= address) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    const before = low - 1;
    const end = before < 0 ? Number.NEGATIVE_INFINITY : (this.#ends[before] as number);
    if (before >= 0 && address < end) {
      this.#from = this.#starts[before] as number;
      this.#until = end;
      return this.#claims[before];
    }
    this.#from = end;
    this.#until = this.#starts[low] ?? Number.POSITIVE_INFINITY;
    return undefined;
  }

  /** First address of the stretch found last; infinite below the first claim. */
  get from(): number {
    return this.#from;
  }

  /** First address behind it; infinite above the last claim. */
  get until(): number {
    return this.#until;
  }
}
