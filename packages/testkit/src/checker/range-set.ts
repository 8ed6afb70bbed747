/**
 * Range set: stretches of addresses that share a property, such as "was freed".
 *
 * Sorted and disjoint, in one flat array of [start, end) pairs. For the few hundred stretches of a
 * test run; finding one is a binary search, changing costs as much as the array is long.
 */
export class RangeSet {
  /** [start0, end0, start1, end1, ...]. */
  readonly #edges: number[] = [];

  add(start: number, end: number): void {
    this.remove(start, end);
    this.#edges.splice(this.#firstEndingAfter(start), 0, start, end);
  }

  remove(start: number, end: number): void {
    const edges = this.#edges;
    let at = this.#firstEndingAfter(start);
    while (at < edges.length && (edges[at] as number) < end) {
      const from = edges[at] as number;
      const to = edges[at + 1] as number;
      const left = from < start ? [from, start] : [];
      const right = to > end ? [end, to] : [];
      edges.splice(at, 2, ...left, ...right);
      at += left.length;
      if (right.length > 0) {
        return;
      }
    }
  }

  overlaps(start: number, end: number): boolean {
    const at = this.#firstEndingAfter(start);
    return at < this.#edges.length && (this.#edges[at] as number) < end;
  }

  /** Index of the first pair whose end lies after `address`. */
  #firstEndingAfter(address: number): number {
    let low = 0;
    let high = this.#edges.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#edges[2 * middle + 1] as number) > address) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return 2 * low;
  }
}
