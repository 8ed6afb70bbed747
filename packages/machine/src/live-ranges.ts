/**
 * Live ranges: which DMA addresses one device may use now, and how.
 *
 * Ranges may overlap and repeat: the same buffer can be mapped twice. Kept sorted by start, so a
 * look-up is a binary search; the range that was hit last is tried first.
 */

export const MAY_READ = 1;
export const MAY_WRITE = 2;

export class LiveRanges {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #rights: number[] = [];
  /** Longest range there ever was: how far back a range that holds an address can start. */
  #longest = 0;
  #hitStart = 0;
  #hitEnd = 0;
  #hitRights = 0;

  get count(): number {
    return this.#starts.length;
  }

  add(start: number, lengthBytes: number, rights: number): void {
    const at = this.#firstAfter(start);
    this.#starts.splice(at, 0, start);
    this.#ends.splice(at, 0, start + lengthBytes);
    this.#rights.splice(at, 0, rights);
    this.#longest = Math.max(this.#longest, lengthBytes);
  }

  /** Takes out one range that was added with exactly these values; false when there is none. */
  remove(start: number, lengthBytes: number, rights: number): boolean {
    for (let at = this.#firstAfter(start) - 1; this.#starts[at] === start; at--) {
      if (this.#ends[at] === start + lengthBytes && this.#rights[at] === rights) {
        this.#starts.splice(at, 1);
        this.#ends.splice(at, 1);
        this.#rights.splice(at, 1);
        this.#hitEnd = 0;
        this.#hitStart = 0;
        return true;
      }
    }
    return false;
  }

  /** How many bytes from `address` on one range allows; 0 when none holds it. */
  reach(address: number, right: number): number {
    const isHit = address >= this.#hitStart && address < this.#hitEnd;
    if (isHit && (this.#hitRights & right) !== 0) {
      return this.#hitEnd - address;
    }
    const at = this.#find(address, right);
    if (at < 0) {
      return 0;
    }
    this.#hitStart = this.#starts[at] as number;
    this.#hitEnd = this.#ends[at] as number;
    this.#hitRights = this.#rights[at] as number;
    return this.#hitEnd - address;
  }

  /** First start of a range above `address`; infinite when there is none. */
  nextStart(address: number): number {
    return this.#starts[this.#firstAfter(address)] ?? Number.POSITIVE_INFINITY;
  }

  #find(address: number, right: number): number {
    for (let at = this.#firstAfter(address) - 1; at >= 0; at--) {
      if ((this.#starts[at] as number) + this.#longest <= address) {
        return -1;
      }
      if ((this.#ends[at] as number) > address && ((this.#rights[at] as number) & right) !== 0) {
        return at;
      }
    }
    return -1;
  }

  /** Index of the first range that starts above `address`. */
  #firstAfter(address: number): number {
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
    return low;
  }
}
