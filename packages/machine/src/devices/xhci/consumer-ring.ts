/**
 * Consumer ring: TRBs that the driver puts in and the controller takes out (xHCI 1.2 section 4.9).
 *
 * A TRB is there when its cycle bit is the controller's cycle state. Link TRBs lead to the next segment and
 * may turn the state; the driver never tells how long a ring is, so it is walked TRB by TRB.
 */
import type { DevicePort } from "../../device-model.ts";
import { RING_ALIGNMENT_BYTES } from "./registers.ts";
import { decodeTrb, TRB, TRB_BYTES, TRB_FLAG, type Trb, typeOf } from "./trb.ts";

/** Links in a row: past it the ring leads nowhere. */
const LINKS_MAX = 64;

export class ConsumerRing {
  readonly #port: DevicePort;
  readonly #bytes = new Uint8Array(TRB_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  #dequeue = 0;
  #cycle = 1;

  constructor(port: DevicePort) {
    this.#port = port;
  }

  /** Address of the next TRB, with the cycle state in bit 0, as contexts and CRCR have it. */
  get pointer(): number {
    return this.#dequeue + this.#cycle;
  }

  set pointer(pointer: number) {
    this.#dequeue = pointer - (pointer % RING_ALIGNMENT_BYTES);
    this.#cycle = pointer % 2;
  }

  /** Takes the next TRB. `empty`: there is none yet; `broken`: the ring cannot be read, or has links only. */
  take(): Trb | "empty" | "broken" {
    for (let links = 0; links <= LINKS_MAX; links++) {
      const trb = this.#read();
      if (trb === undefined) {
        return "broken";
      }
      if ((trb.control & TRB_FLAG.CYCLE) !== this.#cycle) {
        return "empty";
      }
      if (typeOf(trb) !== TRB.LINK) {
        this.#dequeue += TRB_BYTES;
        return trb;
      }
      this.#follow(trb);
    }
    return "broken";
  }

  #follow({ parameter, control }: Trb): void {
    this.#dequeue = parameter - (parameter % RING_ALIGNMENT_BYTES);
    if ((control & TRB_FLAG.TOGGLE_CYCLE) !== 0) {
      this.#cycle ^= 1;
    }
  }

  #read(): Trb | undefined {
    const { ok } = this.#port.read(this.#dequeue, this.#bytes, 0, TRB_BYTES);
    return ok ? decodeTrb(this.#view, this.#dequeue) : undefined;
  }
}
