/**
 * Candidates: the kept pairs that nobody has said no to, for one mapping.
 *
 * Striking is for this mapping only; the next one starts with all kept pairs again.
 */
import type { KeptPair } from "./mapping-type.ts";

export class Candidates {
  readonly #pairs: readonly KeptPair[];
  readonly #allNames: readonly string[];
  #struck = 0;

  /** `names` are the names of `pairs`, made once for all mappings of an attachment. */
  constructor(pairs: readonly KeptPair[], names: readonly string[]) {
    this.#pairs = pairs;
    this.#allNames = names;
  }

  /** The most preferred one left. */
  first(): KeptPair | undefined {
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
