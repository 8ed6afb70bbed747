/**
 * Packet: the memory that the kernel reads a message from and writes it to (struct msghdr, sendmsg(2)).
 *
 * One a thread, laid out once, so a message allocates nothing for the kernel and no pointer can outlive what it
 * points to. What is in it holds until the next message of this thread, sent or received.
 */
import { addressOf, type Memory } from "./libc.ts";

/** What the kernel lets through in one message (SCM_MAX_FD). */
export const DESCRIPTORS_MAX = 253;
/** Bytes of one message; a socket's default buffer takes three of them. */
export const MESSAGE_BYTES_MAX: number = 64 * 1024;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;

/** struct msghdr @0, struct iovec @56, struct cmsghdr with its descriptors @72, then the bytes. */
const VECTOR = 56;
const CONTROL = 72;
const CONTROL_HEADER_BYTES = 16;
const CONTROL_BYTES_MAX: number = CONTROL_HEADER_BYTES + 4 * (DESCRIPTORS_MAX + 1);
const BYTES: number = CONTROL + CONTROL_BYTES_MAX;
/** Members of msghdr, in words of 4 bytes: where the control bytes are, how many, and flags. */
const CONTROL_POINTER = 32 / 4;
const CONTROL_LENGTH = 40 / 4;
const FLAGS = 48 / 4;
const VECTOR_LENGTH: number = (VECTOR + 8) / 4;
const CONTROL_WORDS: number = CONTROL / 4;

const NONE: readonly number[] = [];

export class Packet {
  /** For the system calls. */
  readonly header: Memory;
  /** The message itself. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #words: Int32Array;
  /** The address of the control bytes, low half and high half. */
  readonly #control: readonly [number, number];

  constructor() {
    const memory = new Uint8Array(BYTES + MESSAGE_BYTES_MAX);
    const address = addressOf(memory);
    const halves = new DataView(memory.buffer);
    this.header = memory;
    this.bytes = memory.subarray(BYTES);
    this.view = new DataView(memory.buffer, BYTES);
    this.#words = new Int32Array(memory.buffer, 0, BYTES / 4);
    halves.setBigUint64(CONTROL, address + BigInt(CONTROL), true);
    this.#control = [this.#word(CONTROL_WORDS), this.#word(CONTROL_WORDS + 1)];
    halves.setBigUint64(16, address + BigInt(VECTOR), true);
    halves.setUint32(24, 1, true);
    halves.setBigUint64(VECTOR, address + BigInt(BYTES), true);
  }

  /** What the kernel says of the message that it wrote here. */
  get flags(): number {
    return this.#word(FLAGS);
  }

  /** So many of its bytes are sent, with these descriptors: at most `DESCRIPTORS_MAX`. */
  aimOut(lengthBytes: number, fds: readonly number[]): void {
    const controlBytes = CONTROL_HEADER_BYTES + 4 * fds.length;
    const words = this.#words;
    words[CONTROL_WORDS] = controlBytes;
    words[CONTROL_WORDS + 1] = 0;
    words[CONTROL_WORDS + 2] = SOL_SOCKET;
    words[CONTROL_WORDS + 3] = SCM_RIGHTS;
    for (let index = 0; index < fds.length; index++) {
      words[CONTROL_WORDS + 4 + index] = fds[index] as number;
    }
    this.#aim(lengthBytes, fds.length === 0 ? 0 : alignedTo8(controlBytes));
  }

  /** As much as there is room for may be received. */
  aimIn(): void {
    this.#aim(MESSAGE_BYTES_MAX, CONTROL_BYTES_MAX);
  }

  /** Numbers that came with the message. They are behind one header; others, if any, are before it. */
  receivedNumbers(): readonly number[] {
    const end = CONTROL + this.#word(CONTROL_LENGTH);
    for (let at = CONTROL; at + CONTROL_HEADER_BYTES <= end; ) {
      const lengthBytes = this.#word(at / 4);
      if (this.#word(at / 4 + 2) === SOL_SOCKET && this.#word(at / 4 + 3) === SCM_RIGHTS) {
        return this.#numbersBetween(at + CONTROL_HEADER_BYTES, Math.min(at + lengthBytes, end));
      }
      at += Math.max(alignedTo8(lengthBytes), CONTROL_HEADER_BYTES);
    }
    return NONE;
  }

  /** By the length in the header: the padding behind can hold one more than was meant. */
  #numbersBetween(start: number, end: number): number[] {
    const numbers = new Array<number>((end - start) >> 2);
    for (let index = 0; index < numbers.length; index++) {
      numbers[index] = this.#word(start / 4 + index);
    }
    return numbers;
  }

  #aim(lengthBytes: number, controlBytes: number): void {
    const words = this.#words;
    const [low, high] = this.#control;
    words[VECTOR_LENGTH] = lengthBytes;
    words[CONTROL_POINTER] = controlBytes === 0 ? 0 : low;
    words[CONTROL_POINTER + 1] = controlBytes === 0 ? 0 : high;
    words[CONTROL_LENGTH] = controlBytes;
    words[FLAGS] = 0;
  }

  #word(at: number): number {
    return this.#words[at] as number;
  }
}

const alignedTo8 = (bytes: number): number => (bytes + 7) & ~7;

let packet: Packet | undefined;

/** This thread's. */
export function thePacket(): Packet {
  packet ??= new Packet();
  return packet;
}
