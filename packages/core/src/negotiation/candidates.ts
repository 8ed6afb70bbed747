/**
 * Candidates: the kept pairs that nobody has said no to, for one mapping.
 *
 * Striking is for this mapping only; the next one starts with all kept pairs again.
 */
import type { KeptPair } from "../mapping-type.ts";

export class Candidates {
  readonly #pairs: readonly KeptPair[];
  readonly #allNames: readonly string[];
  readonly #preferred: KeptPair | undefined;
  #struck = 0;

  /** `names` are the names of `pairs`, made once for all mappings of an attachment. */
  constructor(
    pairs: readonly KeptPair[],
    names: readonly string[],
    preferred: KeptPair | undefined,
  ) {
    this.#pairs = pairs;
    this.#allNames = names;
    this.#preferred = preferred;
  }

  /** The one to try: the earlier choice while nobody struck it, else the most preferred one left. */
  first(): KeptPair | undefined {
    const earlier = this.#preferred;
    if (earlier !== undefined && this.#isLeft(this.#pairs.indexOf(earlier))) {
      return earlier;
    }
    return this.#pairs.find((_, index) => this.#isLeft(index));
  }

  strike(pair: KeptPair): void {
    this.#struck |= 1 << this.#pairs.indexOf(pair);
  }

  strikeDeviceMemory(): void {
    for (const pair of this.#pairs) {
      if (pair.type.memory === "device") {
        this.strike(pair);
      }
    }
  }

  /** What is still possible, by name. */
  names(): readonly string[] {
    return this.#struck === 0
      ? this.#allNames
      : this.#allNames.filter((_, index) => this.#isLeft(index));
  }

  #isLeft(index: number): boolean {
    return (this.#struck & (1 << index)) === 0;
  }
}
