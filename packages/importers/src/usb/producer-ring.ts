/**
 * Producer ring: TRBs on their way to the controller (xHCI 1.2 section 4.9).
 *
 * Two segments, each ending in a link to the other; the second turns the cycle state. Whoever puts transfers
 * in waits for one to end before the next, so the ring is never full.
 */
import { assert, type CoherentMemory, type DeviceDma } from "@peerbuf/core";
import { writeU64 } from "../little-endian.ts";
import { FLAG, TRB, TRB_BYTES } from "./registers.ts";

const SEGMENT_TRBS = 128;
const SEGMENTS = 2;
const SEGMENT_BYTES = SEGMENT_TRBS * TRB_BYTES;

/** TRBs of one transfer: fewer than the ring has besides its links. */
export const TRANSFER_TRBS_MAX = 120;

export interface Trb {
  readonly type: number;
  readonly parameter: number;
  /** The upper half of the parameter, where the parameter is no address. */
  readonly parameterHigh?: number;
  readonly status?: number;
  /** All of the control word but type and cycle bit. */
  readonly flags?: number;
}

export class ProducerRing {
  readonly #dma: DeviceDma;
  readonly #memory: CoherentMemory;
  readonly #entry = new Uint8Array(TRB_BYTES);
  readonly #view = new DataView(this.#entry.buffer);
  #index = 0;
  #cycle = 1;

  constructor(dma: DeviceDma) {
    this.#dma = dma;
    this.#memory = dma.allocateCoherent(SEGMENTS * SEGMENT_BYTES);
  }

  /** Where the next TRB goes, with its cycle state in bit 0. */
  get pointer(): number {
    return this.#memory.deviceAddress + this.#index * TRB_BYTES + this.#cycle;
  }

  /** One transfer or command: chained, if it is several. Returns the address of the last. */
  put(trbs: readonly Trb[]): number {
    assert(trbs.length > 0 && trbs.length <= TRANSFER_TRBS_MAX, "a transfer does not fit its ring");
    let address = 0;
    trbs.forEach((trb, at) => {
      const chain = at < trbs.length - 1 ? FLAG.CHAIN : 0;
      address = this.#write({ ...trb, flags: (trb.flags ?? 0) | chain });
      this.#linkIfAtEnd(chain);
    });
    return address;
  }

  free(): void {
    this.#dma.freeCoherent(this.#memory);
  }

  /** The last TRB of a segment leads to the other segment, within a transfer as well. */
  #linkIfAtEnd(chain: number): void {
    const inSegment = this.#index % SEGMENT_TRBS;
    if (inSegment < SEGMENT_TRBS - 1) {
      return;
    }
    const segment = Math.floor(this.#index / SEGMENT_TRBS);
    const next = (segment + 1) % SEGMENTS;
    const turns = next === 0;
    const flags = chain | (turns ? FLAG.TOGGLE_CYCLE : 0);
    const parameter = this.#memory.deviceAddress + next * SEGMENT_BYTES;
    this.#write({ type: TRB.LINK, parameter, flags });
    this.#index = next * SEGMENT_TRBS;
    this.#cycle ^= turns ? 1 : 0;
  }

  #write({ type, parameter, parameterHigh, status = 0, flags = 0 }: Trb): number {
    const offset = this.#index * TRB_BYTES;
    writeU64(this.#view, 0, parameter);
    if (parameterHigh !== undefined) {
      this.#view.setUint32(4, parameterHigh, true);
    }
    this.#view.setUint32(8, status, true);
    this.#view.setUint32(12, (flags | (type << 10) | this.#cycle) >>> 0, true);
    this.#memory.write(offset, this.#entry);
    this.#index++;
    return this.#memory.deviceAddress + offset;
  }
}
