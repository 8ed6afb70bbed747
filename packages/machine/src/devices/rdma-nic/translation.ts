/**
 * Translation: where the bytes of a region are, for as long as they are there.
 *
 * Byte 0 of a region is the first byte of its first segment (zero-based, as IBV_ACCESS_ZERO_BASED).
 * Counts the accesses that are under way: they end on the translation with which they began, even if
 * the region has lost it meanwhile, and whoever took it away is told when the last one is over.
 */
import type { DevicePort } from "../../device-model.ts";

export class Translation {
  /** DMA address of each segment, and where in the region it begins; one more entry for the end. */
  readonly #addresses: Float64Array;
  readonly #begins: Float64Array;
  #underWay = 0;
  #whenOver: (() => void) | undefined;

  /** `rows`: address and length of each segment, in order. */
  constructor(rows: Float64Array) {
    const count = rows.length / 2;
    this.#addresses = new Float64Array(count);
    this.#begins = new Float64Array(count + 1);
    for (let index = 0; index < count; index++) {
      this.#addresses[index] = rows[2 * index] as number;
      this.#begins[index + 1] = (this.#begins[index] as number) + (rows[2 * index + 1] as number);
    }
  }

  /** What the segments hold together. */
  get backedBytes(): number {
    return this.#begins[this.#begins.length - 1] as number;
  }

  /** Accesses that have begun and are not over. */
  get underWay(): number {
    return this.#underWay;
  }

  begin(): void {
    this.#underWay++;
  }

  end(): void {
    this.#underWay--;
    if (this.#underWay === 0) {
      this.#whenOver?.();
    }
  }

  /** No access begins any more; calls `over` once when the last one under way is over. */
  drain(over: () => void): void {
    this.#whenOver = over;
  }

  /** Gathers bytes of the region into `target`. `false`: part of them reached nothing. */
  read(port: DevicePort, offset: number, target: Uint8Array, lengthBytes: number): boolean {
    let ok = true;
    for (let done = 0, index = this.#find(offset); done < lengthBytes; index++) {
      const at = offset + done - (this.#begins[index] as number);
      const piece = Math.min(lengthBytes - done, this.#lengthOf(index) - at);
      ok = port.read((this.#addresses[index] as number) + at, target, done, piece).ok && ok;
      done += piece;
    }
    return ok;
  }

  /** Scatters bytes of `source` into the region. Posted: what is lost is not noticed. */
  write(port: DevicePort, offset: number, source: Uint8Array, lengthBytes: number): void {
    for (let done = 0, index = this.#find(offset); done < lengthBytes; index++) {
      const at = offset + done - (this.#begins[index] as number);
      const piece = Math.min(lengthBytes - done, this.#lengthOf(index) - at);
      port.write((this.#addresses[index] as number) + at, source, done, piece);
      done += piece;
    }
  }

  /** Address and length of each run of these bytes, in turn. */
  runsOf(offset: number, lengthBytes: number): number[] {
    const runs: number[] = [];
    for (let done = 0, index = this.#find(offset); done < lengthBytes; index++) {
      const at = offset + done - (this.#begins[index] as number);
      const piece = Math.min(lengthBytes - done, this.#lengthOf(index) - at);
      runs.push((this.#addresses[index] as number) + at, piece);
      done += piece;
    }
    return runs;
  }

  #lengthOf(index: number): number {
    return (this.#begins[index + 1] as number) - (this.#begins[index] as number);
  }

  /** The segment that holds byte `offset`, by bisection. */
  #find(offset: number): number {
    let low = 0;
    let high = this.#addresses.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#begins[middle] as number) <= offset) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }
}
