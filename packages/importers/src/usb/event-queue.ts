/**
 * Event queue, the driver's side of the event ring: one segment and the table that names it.
 */
import { allOrNone, type CoherentMemory, type DeviceDma } from "@peerbuf/core";
import { readU64, writeU64 } from "../little-endian.ts";
import { TRB_BYTES } from "./registers.ts";

/** One page. */
export const EVENT_TRBS = 256;

export interface Event {
  readonly type: number;
  /** Address of the TRB that it is about. */
  readonly about: number;
  readonly code: number;
  /** Of a transfer: bytes of that TRB that were not moved. */
  readonly residualBytes: number;
  readonly slot: number;
  readonly endpoint: number;
}

export class EventQueue {
  readonly #dma: DeviceDma;
  readonly #ring: CoherentMemory;
  readonly #table: CoherentMemory;
  readonly #entry = new Uint8Array(TRB_BYTES);
  readonly #view = new DataView(this.#entry.buffer);
  #head = 0;
  #cycle = 1;

  constructor(dma: DeviceDma) {
    this.#dma = dma;
    [this.#ring, this.#table] = allOrNone(
      [() => dma.allocateCoherent(EVENT_TRBS * TRB_BYTES), () => dma.allocateCoherent(TRB_BYTES)],
      (memory) => dma.freeCoherent(memory),
    ) as [CoherentMemory, CoherentMemory];
    const row = new DataView(new ArrayBuffer(TRB_BYTES));
    writeU64(row, 0, this.#ring.deviceAddress);
    row.setUint16(8, EVENT_TRBS, true);
    this.#table.write(0, new Uint8Array(row.buffer));
  }

  get tableAddress(): number {
    return this.#table.deviceAddress;
  }

  /** Address of the event that is taken next. */
  get pointer(): number {
    return this.#ring.deviceAddress + this.#head * TRB_BYTES;
  }

  /** The next event, if there is a new one. */
  take(): Event | undefined {
    this.#ring.read(this.#head * TRB_BYTES, this.#entry);
    const [status, control] = [this.#view.getUint32(8, true), this.#view.getUint32(12, true)];
    if ((control & 1) !== this.#cycle) {
      return undefined;
    }
    this.#head = (this.#head + 1) % EVENT_TRBS;
    if (this.#head === 0) {
      this.#cycle ^= 1;
    }
    return {
      type: (control >>> 10) & 0x3f,
      about: readU64(this.#view, 0),
      code: status >>> 24,
      residualBytes: status & 0xff_ffff,
      slot: control >>> 24,
      endpoint: (control >>> 16) & 0x1f,
    };
  }

  free(): void {
    this.#dma.freeCoherent(this.#table);
    this.#dma.freeCoherent(this.#ring);
  }
}
