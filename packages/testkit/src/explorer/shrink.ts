/**
 * Shrink: makes a failing list of choices as small as it will go, with the same rule still broken.
 *
 * 0 is the plain answer everywhere: go on with the same actor, no fault. So a small case has few answers that are not 0,
 * and they are small. Blocks of answers are set to 0, largest first; then single ones are taken out or lowered. Faults and
 * turns are shrunk alike.
 */

/** Does this list of choices still fail the same way? */
export type StillFails = (choices: readonly number[]) => Promise<boolean>;

/** Runs that shrinking may cost. */
export const SHRINK_RUNS_MAX = 2_000;

export async function shrink(
  choices: readonly number[],
  stillFails: StillFails,
): Promise<readonly number[]> {
  const shrinker = new Shrinker(trimmed(choices), stillFails);
  while (await shrinker.round()) {
    // Until a whole round finds nothing.
  }
  return shrinker.choices;
}

class Shrinker {
  choices: readonly number[];
  readonly #stillFails: StillFails;
  #runs = 0;

  constructor(choices: readonly number[], stillFails: StillFails) {
    this.choices = choices;
    this.#stillFails = stillFails;
  }

  /** True: something became smaller, and there are runs left. */
  async round(): Promise<boolean> {
    const before = this.choices;
    await this.#shorten();
    await this.#clearBlocks();
    await this.#takeOut();
    await this.#lower();
    return this.choices !== before && this.#runs < SHRINK_RUNS_MAX;
  }

  async #shorten(): Promise<void> {
    for (let cut = this.choices.length >> 1; cut > 0; cut >>= 1) {
      while (cut < this.choices.length && (await this.#try(this.choices.slice(0, -cut)))) {
        // Again, with what is left.
      }
    }
  }

  async #clearBlocks(): Promise<void> {
    for (let size = this.choices.length >> 1; size > 0; size >>= 1) {
      for (let at = 0; at < this.choices.length; at += size) {
        const block = this.choices.slice(at, at + size);
        if (block.some((choice) => choice !== 0)) {
          const zeros = block.map(() => 0);
          await this.#try(this.choices.toSpliced(at, size, ...zeros));
        }
      }
    }
  }

  async #takeOut(): Promise<void> {
    for (let at = this.choices.length - 1; at >= 0; at--) {
      await this.#try(this.choices.toSpliced(at, 1));
    }
  }

  async #lower(): Promise<void> {
    for (let at = 0; at < this.choices.length; at++) {
      for (let choice = 1; choice < (this.choices[at] as number); choice++) {
        if (await this.#try(this.choices.with(at, choice))) {
          break;
        }
      }
    }
  }

  async #try(candidate: readonly number[]): Promise<boolean> {
    const next = trimmed(candidate);
    const isSame =
      next.length === this.choices.length && next.every((each, at) => each === this.choices[at]);
    if (isSame || this.#runs >= SHRINK_RUNS_MAX) {
      return false;
    }
    this.#runs++;
    if (await this.#stillFails(next)) {
      this.choices = next;
      return true;
    }
    return false;
  }
}

/** Zeros at the end say nothing. */
export function trimmed(choices: readonly number[]): readonly number[] {
  let length = choices.length;
  while (length > 0 && choices[length - 1] === 0) {
    length--;
  }
  return choices.slice(0, length);
}
