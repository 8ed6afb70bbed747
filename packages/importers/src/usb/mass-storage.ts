/**
 * Mass storage, the driver's side of Bulk-Only Transport 1.0: command wrapper, data, status wrapper.
 *
 * One command at a time. A pipe that stalls is cleared and the status read all the same; anything else that
 * goes wrong is the end of this controller, since nobody knows then what the device still expects.
 */
import { type CoherentMemory, type DeviceDma, PAGE_BYTES, PeerbufError } from "@peerbuf/core";
import type { HostController } from "./host-controller.ts";
import type { Trb } from "./producer-ring.ts";
import { CODE, describeCode, ENDPOINT, FLAG, TRB } from "./registers.ts";

const COMMAND_SIGNATURE = 0x4342_5355; // "USBC"
const STATUS_SIGNATURE = 0x5342_5355; // "USBS"
const COMMAND_BYTES = 31;
const STATUS_BYTES = 13;
const CAPACITY_BYTES = 32;
/** Where in the page of wrappers each lies. */
const AT = { COMMAND: 0, STATUS: 64, DATA: 128 } as const;

const READ_CAPACITY_16 = [0x9e, 0x10] as const;
const READ_BYTES = 0xc0;
const WRITE_BYTES = 0xc1;

/** Some of the drive's bytes, and the memory that they meet. */
export interface DrivePart {
  readonly toDrive: boolean;
  readonly offset: number;
  readonly lengthBytes: number;
  /** Address and length in turn, cut for TRBs. */
  readonly pieces: readonly number[];
}

export class MassStorage {
  readonly #label: string;
  readonly #controller: HostController;
  readonly #dma: DeviceDma;
  readonly #page: CoherentMemory;
  #tag = 0;

  constructor(label: string, controller: HostController, dma: DeviceDma) {
    this.#label = label;
    this.#controller = controller;
    this.#dma = dma;
    this.#page = dma.allocateCoherent(PAGE_BYTES);
  }

  async capacityBytes(): Promise<number> {
    const block = new Uint8Array(16);
    block.set(READ_CAPACITY_16);
    block[13] = CAPACITY_BYTES;
    const pieces = [this.#page.deviceAddress + AT.DATA, CAPACITY_BYTES];
    await this.#run(block, { toDrive: false, offset: 0, lengthBytes: CAPACITY_BYTES, pieces });
    const answer = new Uint8Array(CAPACITY_BYTES);
    this.#page.read(AT.DATA, answer);
    const view = new DataView(answer.buffer);
    const blocks = view.getUint32(0) * 2 ** 32 + view.getUint32(4) + 1;
    return blocks * view.getUint32(8);
  }

  /** Moves it. `DEVICE_FAILED` when the drive refuses or a pipe breaks. */
  async move(part: DrivePart): Promise<void> {
    const block = new Uint8Array(16);
    const view = new DataView(block.buffer);
    block[0] = part.toDrive ? WRITE_BYTES : READ_BYTES;
    view.setUint32(2, Math.floor(part.offset / 2 ** 32));
    view.setUint32(6, part.offset % 2 ** 32);
    view.setUint32(10, part.lengthBytes);
    await this.#run(block, part);
  }

  free(): void {
    this.#dma.freeCoherent(this.#page);
  }

  async #run(block: Uint8Array, part: DrivePart): Promise<void> {
    const tag = ++this.#tag;
    this.#page.write(AT.COMMAND, wrapperOf(tag, block, part));
    await this.#transfer(ENDPOINT.OUT, this.#own(AT.COMMAND, COMMAND_BYTES), "a command wrapper");
    const pipe = part.toDrive ? ENDPOINT.OUT : ENDPOINT.IN;
    await this.#transfer(pipe, part.pieces, "data");
    await this.#transfer(ENDPOINT.IN, this.#own(AT.STATUS, STATUS_BYTES), "a status wrapper");
    this.#requirePassed(tag);
  }

  async #transfer(
    pipe: typeof ENDPOINT.OUT | typeof ENDPOINT.IN,
    pieces: readonly number[],
    what: string,
  ): Promise<void> {
    const { code } = await this.#controller.transfer(pipe, trbsFor(pieces), what);
    if (code === CODE.STALL) {
      await this.#controller.clearHalt(pipe);
    } else if (code !== CODE.SUCCESS && code !== CODE.SHORT_PACKET) {
      const text = `${this.#label}: ${what} failed: ${describeCode(code)}`;
      this.#controller.stop(`after ${describeCode(code)}`);
      throw new PeerbufError("DEVICE_FAILED", text);
    }
  }

  #own(at: number, lengthBytes: number): readonly number[] {
    return [this.#page.deviceAddress + at, lengthBytes];
  }

  #requirePassed(tag: number): void {
    const status = new Uint8Array(STATUS_BYTES);
    this.#page.read(AT.STATUS, status);
    this.#page.write(AT.STATUS, new Uint8Array(STATUS_BYTES)); // An old one must not pass for the next.
    const view = new DataView(status.buffer);
    if (view.getUint32(0, true) !== STATUS_SIGNATURE || view.getUint32(4, true) !== tag) {
      this.#controller.stop("it lost step");
      throw new PeerbufError("DEVICE_FAILED", `${this.#label} answered with no status of ours`);
    }
    if (status[12] !== 0) {
      throw new PeerbufError("DEVICE_FAILED", `${this.#label}: the drive refused the command`);
    }
  }
}

function wrapperOf(tag: number, block: Uint8Array, part: DrivePart): Uint8Array {
  const wrapper = new Uint8Array(COMMAND_BYTES);
  const view = new DataView(wrapper.buffer);
  view.setUint32(0, COMMAND_SIGNATURE, true);
  view.setUint32(4, tag, true);
  view.setUint32(8, part.lengthBytes, true);
  wrapper[12] = part.toDrive ? 0 : 0x80;
  wrapper[14] = block.length;
  wrapper.set(block, 15);
  return wrapper;
}

/** One transfer: a TRB for each piece, an event for the last. */
export function trbsFor(pieces: readonly number[]): Trb[] {
  const trbs: Trb[] = [];
  for (let at = 0; at < pieces.length; at += 2) {
    const isLast = at + 2 >= pieces.length;
    const flags = FLAG.INTERRUPT_ON_SHORT | (isLast ? FLAG.INTERRUPT_ON_COMPLETION : 0);
    const [parameter, status] = [pieces[at] as number, pieces[at + 1] as number];
    trbs.push({ type: TRB.NORMAL, parameter, status, flags });
  }
  return trbs;
}
