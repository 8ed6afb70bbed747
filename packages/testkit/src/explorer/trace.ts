/**
 * Trace: what a run was, as the answers that make it again and as a number that tells it from another.
 */
export class Trace {
  /** All answers in order: the run itself. */
  readonly choices: number[] = [];
  #hash = 0x811c_9dc5;

  /** 32 bits over everything so far. */
  get hash(): number {
    return this.#hash >>> 0;
  }

  answer(answer: number): void {
    this.choices.push(answer);
    this.mix(answer);
  }

  /** FNV-1a over whole numbers. */
  mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x0100_0193);
  }

  mixText(text: string): void {
    for (let at = 0; at < text.length; at++) {
      this.mix(text.charCodeAt(at));
    }
  }
}
