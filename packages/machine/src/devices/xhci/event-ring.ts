/**
 * Event ring: what the controller tells the driver (xHCI 1.2 section 4.9.4).
 *
 * One segment, found through a table of one entry. Events that find it full wait until the driver has moved
 * its dequeue pointer; too many of them are a host controller error.
 */
import type { DevicePort } from "../../device-model.ts";
import { readU64 } from "../little-endian.ts";
import { RING_ALIGNMENT_BYTES } from "./registers.ts";
import { encodeTrb, type NewTrb, TRB_BYTES, TRB_FLAG } from "./trb.ts";

/** Events that may wait for room. */
const WAITING_MAX = 1024;
/** Of one segment (xHCI 1.2 section 6.5). */
const SEGMENT_TRBS_MIN = 16;
const SEGMENT_TRBS_MAX = 4096;

export class EventRing {
  readonly #port: DevicePort;
  readonly #bytes = new Uint8Array(TRB_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #waiting: NewTrb[] = [];
  #base = 0;
  #entries = 0;
  #tail = 0;
  #cycle = 1;
  /** Index of the TRB that the driver takes next. */
  #head = 0;

  constructor(port: DevicePort) {
    this.#port = port;
  }

  /** Reads the segment table of one entry. `false`: it cannot be read, or its segment has an impossible size. */
  open(tableAddress: number): boolean {
    const entry = new Uint8Array(TRB_BYTES);
    if (!this.#port.read(tableAddress, entry, 0, entry.length).ok) {
      return false;
    }
    const view = new DataView(entry.buffer);
    this.close();
    this.#base = readU64(view, 0);
    this.#entries = view.getUint16(8, true);
    return this.#entries >= SEGMENT_TRBS_MIN && this.#entries <= SEGMENT_TRBS_MAX;
  }

  close(): void {
    this.#waiting.length = 0;
    this.#entries = 0;
    this.#tail = 0;
    this.#head = 0;
    this.#cycle = 1;
  }

  /** The driver has taken everything before this address. */
  moveHead(pointer: number): void {
    const index = (pointer - (pointer % RING_ALIGNMENT_BYTES) - this.#base) / TRB_BYTES;
    if (Number.isInteger(index) && index >= 0 && index < this.#entries) {
      this.#head = index;
    }
  }

  /** Posts what fits, in order. `full`: too many wait. */
  post(event?: NewTrb): "posted" | "nothing" | "full" {
    if (event !== undefined) {
      this.#waiting.push(event);
    }
    let posted = 0;
    while (posted < this.#waiting.length && (this.#tail + 1) % this.#entries !== this.#head) {
      this.#write(this.#waiting[posted] as NewTrb);
      posted++;
    }
    this.#waiting.splice(0, posted);
    if (this.#waiting.length > WAITING_MAX) {
      return "full";
    }
    return posted > 0 ? "posted" : "nothing";
  }

  #write(event: NewTrb): void {
    const control = (event.control & ~TRB_FLAG.CYCLE) | this.#cycle;
    encodeTrb(this.#view, { ...event, control });
    this.#port.write(this.#base + this.#tail * TRB_BYTES, this.#bytes, 0, TRB_BYTES);
    this.#tail = (this.#tail + 1) % this.#entries;
    if (this.#tail === 0) {
      this.#cycle ^= 1;
    }
  }
}
