/**
 * Endpoint: one pipe of a device, and the transfers in its ring (xHCI 1.2 sections 4.6 to 4.11).
 *
 * A bulk transfer is a chain of Normal TRBs; it is moved as one, when all of it is in the ring and the
 * device has a place for it, and ends in one event: for its last TRB, or for the one where it came short.
 * A device that says no yet is asked again when something else has moved.
 */
import type { DevicePort } from "../../device-model.ts";
import type { DeviceLimit } from "../../links/transfer-plan.ts";
import type { BulkFunction, DeviceBytes } from "./bulk-function.ts";
import { ConsumerRing } from "./consumer-ring.ts";
import { bufferBytesOf, CODE, type Code, TRB, TRB_FLAG, type Trb, typeOf } from "./trb.ts";

/** Endpoint states (table 6-8). */
export const ENDPOINT_STATE = { RUNNING: 1, HALTED: 2, STOPPED: 3, ERROR: 4 } as const;

export type EndpointState = (typeof ENDPOINT_STATE)[keyof typeof ENDPOINT_STATE];

export type EndpointKind = "control" | "in" | "out";

/** What an endpoint needs of its controller. */
export interface EndpointHost {
  readonly port: DevicePort;
  readonly device: BulkFunction;
  readonly bus: DeviceLimit;
  /** Runs `step` in time, unless the controller was stopped before. */
  later(delayNs: number, step: () => void): void;
  whileAlive(step: () => void): () => void;
  transferEvent(endpoint: Endpoint, trb: Trb, code: Code, residualBytes: number): void;
  stateChanged(endpoint: Endpoint): void;
  /** Something was moved: who waits may try again. */
  moved(): void;
  /** A ring cannot be read. */
  hostError(): void;
}

/** From a doorbell to the first packet: the controller has to schedule it. */
const START_NS = 2_000;
/** TRBs of one transfer. */
const CHAIN_MAX = 4096;
/** A TRB's buffer never reaches over a multiple of this (section 6.4.1). */
const BUFFER_BOUNDARY_BYTES = 65_536;

export class Endpoint {
  readonly slot: number;
  /** Its number in the device context. */
  readonly index: number;
  readonly kind: EndpointKind;
  readonly ring: ConsumerRing;
  readonly #host: EndpointHost;
  #state: EndpointState = ENDPOINT_STATE.RUNNING;
  /** The transfer at the head of the ring, as far as it was taken. */
  #chain: Trb[] = [];
  #isBusy = false;
  #setup = new DataView(new ArrayBuffer(8));
  /** Grows at each stop, so that what was on its way never arrives. */
  #life = 0;

  constructor(slot: number, index: number, kind: EndpointKind, host: EndpointHost) {
    this.slot = slot;
    this.index = index;
    this.kind = kind;
    this.#host = host;
    this.ring = new ConsumerRing(host.port);
  }

  get state(): EndpointState {
    return this.#state;
  }

  set state(state: EndpointState) {
    this.#state = state;
    this.#host.stateChanged(this);
  }

  /** The doorbell. */
  ringDoorbell(): void {
    if (this.#state === ENDPOINT_STATE.STOPPED) {
      this.state = ENDPOINT_STATE.RUNNING;
    }
    this.tryNext();
  }

  /** Goes on with its ring, if it runs and has something to do. */
  tryNext(): void {
    if (this.#state === ENDPOINT_STATE.RUNNING && !this.#isBusy) {
      this.#isBusy = true;
      this.#later(START_NS, () => {
        this.#isBusy = false;
        this.#next();
      });
    }
  }

  /** What is on its way is given up; an event says so. */
  stop(): void {
    const [first] = this.#chain;
    this.forget();
    this.state = ENDPOINT_STATE.STOPPED;
    if (first !== undefined) {
      this.#host.transferEvent(this, first, CODE.STOPPED, 0);
    }
  }

  /** Without a word. */
  forget(): void {
    this.#life++;
    this.#chain = [];
    this.#isBusy = false;
  }

  #next(): void {
    if (this.#takeChain()) {
      if (this.kind === "control") {
        this.#runControl();
      } else {
        this.#runBulk();
      }
    }
  }

  /** `true`: a whole transfer is there. */
  #takeChain(): boolean {
    while (!isWhole(this.#chain)) {
      const trb = this.ring.take();
      if (trb === "empty") {
        return false;
      }
      if (trb === "broken") {
        this.#host.hostError();
        return false;
      }
      this.#chain.push(trb);
      if (this.#chain.length > CHAIN_MAX) {
        this.#fail(ENDPOINT_STATE.ERROR, CODE.TRB_ERROR, trb, 0);
        return false;
      }
    }
    return true;
  }

  #runControl(): void {
    const [trb] = this.#chain as [Trb];
    switch (typeOf(trb)) {
      case TRB.SETUP_STAGE:
        this.#setup.setUint32(0, trb.parameter % 2 ** 32, true);
        this.#setup.setUint32(4, trb.parameterHigh, true);
        this.#finish(trb, CODE.SUCCESS, 0);
        break;
      case TRB.STATUS_STAGE:
        if (this.#host.device.control(this.#setup)) {
          this.#finish(trb, CODE.SUCCESS, 0);
        } else {
          this.#fail(ENDPOINT_STATE.HALTED, CODE.STALL, trb, 0);
        }
        break;
      default:
        this.#fail(ENDPOINT_STATE.ERROR, CODE.TRB_ERROR, trb, 0);
    }
  }

  #runBulk(): void {
    const broken = this.#chain.find((trb) => typeOf(trb) !== TRB.NORMAL || !isInsideBoundary(trb));
    if (broken !== undefined) {
      this.#fail(ENDPOINT_STATE.ERROR, CODE.TRB_ERROR, broken, 0);
      return;
    }
    const { device } = this.#host;
    const totalBytes = this.#chain.reduce((sum, trb) => sum + bufferBytesOf(trb), 0);
    const answer = this.kind === "out" ? device.takeOut(totalBytes) : device.giveIn(totalBytes);
    const first = this.#chain[0] as Trb;
    if (answer === "stall") {
      this.#fail(ENDPOINT_STATE.HALTED, CODE.STALL, first, bufferBytesOf(first));
    } else if (answer !== "wait") {
      this.#moveInTime(answer, totalBytes);
    }
  }

  #moveInTime(bytes: DeviceBytes, totalBytes: number): void {
    const { port, bus, whileAlive } = this.#host;
    const lengthBytes = Math.min(bytes.lengthBytes, totalBytes);
    const runs = runsOf(this.#chain, lengthBytes);
    const legs = [{ kind: this.kind === "out" ? "read" : "write", runs } as const];
    const limits = [{ limit: bus, amount: lengthBytes }];
    const life = this.#life;
    this.#isBusy = true;
    const arrive = (): void => {
      if (life === this.#life) {
        this.#isBusy = false;
        this.#arrive(bytes, totalBytes);
      }
    };
    port.transfer({ legs, limits }, whileAlive(arrive));
  }

  #arrive(bytes: DeviceBytes, totalBytes: number): void {
    if (bytes.lengthBytes > totalBytes) {
      const last = this.#chain.at(-1) as Trb;
      this.#fail(ENDPOINT_STATE.HALTED, CODE.BABBLE, last, 0);
      return;
    }
    let left = bytes.lengthBytes;
    for (const trb of this.#chain) {
      const piece = Math.min(left, bufferBytesOf(trb));
      if (!this.#movePiece(trb, bytes, bytes.lengthBytes - left, piece)) {
        const code = CODE.DATA_BUFFER_ERROR;
        this.#fail(ENDPOINT_STATE.HALTED, code, trb, bufferBytesOf(trb));
        return;
      }
      left -= piece;
      if (left === 0) {
        this.#delivered(bytes.lengthBytes, totalBytes, trb, bufferBytesOf(trb) - piece);
        return;
      }
    }
  }

  /** A lost posted write is not noticed, as on hardware. */
  #movePiece(trb: Trb, bytes: DeviceBytes, done: number, lengthBytes: number): boolean {
    const { port } = this.#host;
    const offset = bytes.offset + done;
    if (this.kind === "out") {
      return port.readInto(trb.parameter, bytes.memory, offset, lengthBytes).ok;
    }
    port.writeFrom(trb.parameter, bytes.memory, offset, lengthBytes);
    return true;
  }

  #delivered(lengthBytes: number, totalBytes: number, end: Trb, residualBytes: number): void {
    const { device } = this.#host;
    if (this.kind === "out") {
      device.outArrived(lengthBytes);
    } else {
      device.inDelivered(lengthBytes);
    }
    if (lengthBytes < totalBytes) {
      this.#finish(end, CODE.SHORT_PACKET, residualBytes);
    } else {
      this.#finish(this.#chain.at(-1) as Trb, CODE.SUCCESS, 0);
    }
    this.#host.moved();
  }

  #finish(trb: Trb, code: Code, residualBytes: number): void {
    const last = this.#chain.at(-1) as Trb;
    this.#chain = [];
    const wantsShort =
      code === CODE.SHORT_PACKET && (trb.control & TRB_FLAG.INTERRUPT_ON_SHORT) !== 0;
    if (wantsShort || (last.control & TRB_FLAG.INTERRUPT_ON_COMPLETION) !== 0) {
      this.#host.transferEvent(this, trb, code, residualBytes);
    }
    this.tryNext();
  }

  /** An error is always told. */
  #fail(state: EndpointState, code: Code, trb: Trb, residualBytes: number): void {
    this.forget();
    this.state = state;
    this.#host.transferEvent(this, trb, code, residualBytes);
  }

  #later(delayNs: number, step: () => void): void {
    const life = this.#life;
    this.#host.later(delayNs, () => {
      if (life === this.#life) {
        step();
      }
    });
  }
}

/** The memory that the first `lengthBytes` of a transfer meet. */
function runsOf(chain: readonly Trb[], lengthBytes: number): number[] {
  const runs: number[] = [];
  let left = lengthBytes;
  for (const trb of chain) {
    const piece = Math.min(left, bufferBytesOf(trb));
    runs.push(trb.parameter, piece);
    left -= piece;
  }
  return runs;
}

function isWhole(chain: readonly Trb[]): boolean {
  const last = chain.at(-1);
  return last !== undefined && (last.control & TRB_FLAG.CHAIN) === 0;
}

function isInsideBoundary(trb: Trb): boolean {
  const begin = trb.parameter % BUFFER_BOUNDARY_BYTES;
  return begin + bufferBytesOf(trb) <= BUFFER_BOUNDARY_BYTES;
}
