/**
 * Bulk-only drive: mass storage in the framing of USB Mass Storage Class Bulk-Only Transport 1.0.
 *
 * A command wrapper out, data either way, a status wrapper in. Of SCSI it has TEST UNIT READY and READ
 * CAPACITY (16); reads and writes are commands of our own (vendor codes C0h and C1h) that count in bytes and
 * not in blocks, so that any part of a buffer can meet any part of the drive.
 */
import { SparseMemory } from "../../sparse-memory.ts";
import type { BulkFunction, DeviceBytes, PipeAnswer } from "./bulk-function.ts";

export const SCSI = {
  TEST_UNIT_READY: 0x00,
  READ_CAPACITY_16: 0x9e,
  /** Bytes 2-9 offset, 10-13 length; big-endian, as all of SCSI. */
  READ_BYTES: 0xc0,
  WRITE_BYTES: 0xc1,
} as const;

const COMMAND_SIGNATURE = 0x4342_5355; // "USBC"
const STATUS_SIGNATURE = 0x5342_5355; // "USBS"
const COMMAND_BYTES = 31;
const STATUS_BYTES = 13;
const CAPACITY_BYTES = 32;
const BLOCK_BYTES = 512;
const [PASSED, FAILED] = [0, 1];

/** bmRequestType and bRequest of what the control pipe knows, as one number. */
const REQUEST = {
  SET_CONFIGURATION: 0x0009,
  CLEAR_ENDPOINT_HALT: 0x0201,
  MASS_STORAGE_RESET: 0x21ff,
} as const;

type Stage = "command" | "out" | "in" | "status" | "halted";

export class BulkOnlyDrive implements BulkFunction {
  readonly memory: SparseMemory;
  /** Wrappers and answers pass through here. */
  readonly #scratch = new SparseMemory(4096);
  #stage: Stage = "command";
  #tag = 0;
  #status = PASSED;
  /** What is left of the data of this command, and where it is. */
  #data: DeviceBytes;
  /** Bytes the host wanted and did not get. */
  #residue = 0;
  /** The host wants data that there is none of: that transfer stalls, once. */
  #stallsData = false;

  constructor(capacityBytes: number) {
    this.memory = new SparseMemory(capacityBytes);
    this.#data = { memory: this.memory, offset: 0, lengthBytes: 0 };
  }

  reset(): void {
    this.#stage = "command";
    this.#stallsData = false;
  }

  control(setup: DataView): boolean {
    switch (setup.getUint8(0) * 256 + setup.getUint8(1)) {
      case REQUEST.SET_CONFIGURATION:
        this.reset();
        return true;
      case REQUEST.CLEAR_ENDPOINT_HALT:
        return true;
      case REQUEST.MASS_STORAGE_RESET:
        this.reset();
        return true;
      default:
        return false;
    }
  }

  takeOut(lengthBytes: number): PipeAnswer {
    switch (this.#stage) {
      case "command":
        return lengthBytes === COMMAND_BYTES ? this.#inScratch(COMMAND_BYTES) : this.#halt();
      case "out":
        return lengthBytes <= this.#data.lengthBytes ? this.#next(lengthBytes) : this.#halt();
      case "halted":
        return "stall";
      default:
        return this.#stallOnce();
    }
  }

  outArrived(lengthBytes: number): void {
    if (this.#stage === "command") {
      this.#begin();
    } else {
      this.#moved(lengthBytes);
    }
  }

  giveIn(lengthBytes: number): PipeAnswer {
    switch (this.#stage) {
      case "in":
        return this.#next(packetsFor(lengthBytes, this.#data.lengthBytes));
      case "status":
        return this.#stallOnce() === "stall" ? "stall" : this.#statusWrapper();
      case "halted":
        return "stall";
      default:
        return "wait";
    }
  }

  inDelivered(lengthBytes: number): void {
    if (this.#stage === "status") {
      this.#stage = "command";
    } else {
      this.#moved(lengthBytes);
    }
  }

  /** A wrapper that is none stalls both pipes until the host resets them (section 5.3). */
  #halt(): "stall" {
    this.#stage = "halted";
    return "stall";
  }

  #stallOnce(): "stall" | "wait" {
    const stalls = this.#stallsData;
    this.#stallsData = false;
    return stalls ? "stall" : "wait";
  }

  #inScratch(lengthBytes: number): DeviceBytes {
    return { memory: this.#scratch, offset: 0, lengthBytes };
  }

  #next(lengthBytes: number): DeviceBytes {
    return { ...this.#data, lengthBytes };
  }

  #moved(lengthBytes: number): void {
    const { memory, offset, lengthBytes: before } = this.#data;
    const left = before - lengthBytes;
    this.#data = { memory, offset: offset + lengthBytes, lengthBytes: left };
    if (left === 0) {
      this.#stage = "status";
    }
  }

  #begin(): void {
    const wrapper = new Uint8Array(COMMAND_BYTES);
    this.#scratch.read(0, wrapper);
    const view = new DataView(wrapper.buffer);
    if (view.getUint32(0, true) !== COMMAND_SIGNATURE) {
      this.#halt();
      return;
    }
    this.#tag = view.getUint32(4, true);
    const wantedBytes = view.getUint32(8, true);
    const isIn = (view.getUint8(12) & 0x80) !== 0;
    const data = this.#dataOf(view, isIn);
    const fits = data !== undefined && data.lengthBytes <= wantedBytes;
    this.#status = fits ? PASSED : FAILED;
    this.#data = fits ? data : this.#inScratch(0);
    this.#stallsData = !fits && wantedBytes > 0;
    this.#residue = wantedBytes - this.#data.lengthBytes;
    this.#stage = this.#data.lengthBytes === 0 ? "status" : isIn ? "in" : "out";
  }

  /** What the command moves. `undefined`: it cannot be carried out. */
  #dataOf(view: DataView, isIn: boolean): DeviceBytes | undefined {
    const command = view.getUint8(15);
    switch (command) {
      case SCSI.TEST_UNIT_READY:
        return this.#inScratch(0);
      case SCSI.READ_CAPACITY_16:
        return isIn ? this.#capacity() : undefined;
      case SCSI.READ_BYTES:
      case SCSI.WRITE_BYTES:
        return isIn === (command === SCSI.READ_BYTES) ? this.#part(view) : undefined;
      default:
        return undefined;
    }
  }

  #part(view: DataView): DeviceBytes | undefined {
    const offset = view.getUint32(17) * 2 ** 32 + view.getUint32(21);
    const lengthBytes = view.getUint32(25);
    return offset + lengthBytes <= this.memory.sizeBytes
      ? { memory: this.memory, offset, lengthBytes }
      : undefined;
  }

  /** Last block and block length (SBC-3 section 5.16). */
  #capacity(): DeviceBytes {
    const bytes = new Uint8Array(CAPACITY_BYTES);
    const view = new DataView(bytes.buffer);
    const last = this.memory.sizeBytes / BLOCK_BYTES - 1;
    view.setUint32(0, Math.floor(last / 2 ** 32));
    view.setUint32(4, last % 2 ** 32);
    view.setUint32(8, BLOCK_BYTES);
    this.#scratch.write(0, bytes);
    return this.#inScratch(CAPACITY_BYTES);
  }

  #statusWrapper(): DeviceBytes {
    const bytes = new Uint8Array(STATUS_BYTES);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, STATUS_SIGNATURE, true);
    view.setUint32(4, this.#tag, true);
    view.setUint32(8, this.#residue, true);
    view.setUint8(12, this.#status);
    this.#scratch.write(0, bytes);
    return this.#inScratch(STATUS_BYTES);
  }
}

/** SuperSpeed bulk packets have 1,024 bytes (USB 3.2 section 8.12.1.2): what is cut inside one is sent whole. */
const PACKET_BYTES = 1024;

function packetsFor(wantedBytes: number, leftBytes: number): number {
  return Math.min(Math.ceil(wantedBytes / PACKET_BYTES) * PACKET_BYTES, leftBytes);
}
