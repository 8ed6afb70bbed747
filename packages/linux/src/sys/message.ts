/**
 * Message: one packet of bytes with descriptors (SCM_RIGHTS, unix(7)), sent or received whole.
 *
 * What is received is owned from the first moment: on every path each descriptor is handed on or closed.
 * Structures and bytes lie in one piece of memory a thread, laid out once, so a message allocates nothing
 * for the kernel and no pointer can outlive what it points to.
 */
import { assert, PeerbufError } from "@peerbuf/core";
import { Descriptor } from "./descriptor.ts";
import { EAGAIN, EINTR, failure } from "./errno.ts";
import { addressOf, lastErrno, libc } from "./libc.ts";

/** What the kernel lets through in one message (SCM_MAX_FD). */
export const DESCRIPTORS_MAX = 253;
/** Bytes of one message; a socket's default buffer takes three of them. */
export const MESSAGE_BYTES_MAX: number = 64 * 1024;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const MSG_CTRUNC = 0x8;
const MSG_TRUNC = 0x20;
const EPIPE = 32;
const ECONNRESET = 104;

/** struct msghdr @0, struct iovec @56, struct cmsghdr with its descriptors @72, then the bytes. */
const VECTOR_OFFSET = 56;
const CONTROL_OFFSET = 72;
const CONTROL_HEADER_BYTES = 16;
const CONTROL_BYTES_MAX: number = CONTROL_HEADER_BYTES + 4 * (DESCRIPTORS_MAX + 1);
const BYTES_OFFSET: number = CONTROL_OFFSET + CONTROL_BYTES_MAX;
/** Members of msghdr: where the control bytes are, how many, and flags. */
const CONTROL_POINTER = 32;
const CONTROL_LENGTH = 40;
const FLAGS = 48;

export interface Received {
  /** Until the next message of this thread. */
  readonly bytes: Uint8Array;
  /** The receiver's to close. */
  readonly descriptors: readonly Descriptor[];
}

/** The memory that the kernel reads and writes. */
class Packet {
  readonly memory: Uint8Array = new Uint8Array(BYTES_OFFSET + MESSAGE_BYTES_MAX);
  readonly view: DataView = new DataView(this.memory.buffer);
  readonly bytes: Uint8Array = this.memory.subarray(BYTES_OFFSET);
  readonly #control: bigint;

  constructor() {
    const address = addressOf(this.memory);
    this.#control = address + BigInt(CONTROL_OFFSET);
    this.view.setBigUint64(16, address + BigInt(VECTOR_OFFSET), true);
    this.view.setUint32(24, 1, true);
    this.view.setBigUint64(VECTOR_OFFSET, address + BigInt(BYTES_OFFSET), true);
  }

  /** So many of its bytes and control bytes are sent, or may be received. */
  aim(lengthBytes: number, controlBytes: number): void {
    this.view.setUint32(VECTOR_OFFSET + 8, lengthBytes, true);
    this.view.setBigUint64(CONTROL_POINTER, controlBytes === 0 ? 0n : this.#control, true);
    this.view.setUint32(CONTROL_LENGTH, controlBytes, true);
    this.view.setInt32(FLAGS, 0, true);
  }
}

let packet: Packet | undefined;

/**
 * True: sent. False: there is no room now; try again when the socket is writable. Throws `PEER_GONE` when
 * nobody can receive it any more, `ARGUMENT_INVALID` for too many descriptors, `SYSCALL_FAILED` with
 * ETOOMANYREFS, EBADF or EMSGSIZE (more than the socket's buffer takes at once).
 */
export function send(socket: Descriptor, bytes: Uint8Array, fds: readonly number[]): boolean {
  packet ??= new Packet();
  assert(bytes.length <= MESSAGE_BYTES_MAX, "a message is made to fit");
  packet.bytes.set(bytes);
  packet.aim(bytes.length, writeControl(packet.view, fds));
  for (;;) {
    if (libc().sendmsg(socket.number, packet.memory, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
      return true;
    }
    const errno = lastErrno();
    if (errno === EAGAIN) {
      return false;
    }
    if (errno === EPIPE || errno === ECONNRESET) {
      throw new PeerbufError("PEER_GONE", `the peer of ${socket.what} is gone`);
    }
    if (errno !== EINTR) {
      throw failure(errno, `send over ${socket.what}`);
    }
  }
}

/** Laid out behind the header; the length of all of it. */
function writeControl(view: DataView, fds: readonly number[]): number {
  if (fds.length > DESCRIPTORS_MAX) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `${fds.length} descriptors in one message: the kernel takes ${DESCRIPTORS_MAX}`,
    );
  }
  if (fds.length === 0) {
    return 0;
  }
  const lengthBytes = CONTROL_HEADER_BYTES + 4 * fds.length;
  view.setUint32(CONTROL_OFFSET, lengthBytes, true);
  view.setUint32(CONTROL_OFFSET + 4, 0, true);
  view.setInt32(CONTROL_OFFSET + 8, SOL_SOCKET, true);
  view.setInt32(CONTROL_OFFSET + 12, SCM_RIGHTS, true);
  for (let index = 0; index < fds.length; index++) {
    view.setInt32(CONTROL_OFFSET + CONTROL_HEADER_BYTES + 4 * index, fds[index] as number, true);
  }
  return alignedTo8(lengthBytes);
}

/**
 * The next message; `"nothing yet"`, or `"end"` when the peer has closed. `MESSAGE_INVALID` when the
 * message did not fit or its descriptors did not (all of them are closed then).
 */
export function receive(socket: Descriptor): Received | "nothing yet" | "end" {
  packet ??= new Packet();
  const flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
  for (;;) {
    packet.aim(MESSAGE_BYTES_MAX, CONTROL_BYTES_MAX);
    const count = libc().recvmsg(socket.number, packet.memory, flags);
    if (count >= 0) {
      return delivered(socket, packet, count);
    }
    const errno = lastErrno();
    if (errno === EAGAIN) {
      return "nothing yet";
    }
    // A peer that closed without reading all of ours resets us, once; what it sent before is still to come.
    if (errno !== EINTR && errno !== ECONNRESET) {
      throw failure(errno, `receive over ${socket.what}`);
    }
  }
}

function delivered(socket: Descriptor, { view, bytes }: Packet, count: number): Received | "end" {
  const descriptors = descriptorsIn(view, socket);
  const flags = view.getInt32(FLAGS, true);
  if ((flags & (MSG_CTRUNC | MSG_TRUNC)) !== 0) {
    closeAll(descriptors);
    throw new PeerbufError(
      "MESSAGE_INVALID",
      (flags & MSG_TRUNC) !== 0
        ? `a message over ${socket.what} was longer than ${MESSAGE_BYTES_MAX} bytes`
        : `descriptors of a message over ${socket.what} were lost: there were too many, or this process may open no more (RLIMIT_NOFILE)`,
    );
  }
  return count === 0 && descriptors.length === 0
    ? "end"
    : { bytes: bytes.subarray(0, count), descriptors };
}

export function closeAll(descriptors: readonly Descriptor[]): void {
  for (const descriptor of descriptors) {
    descriptor[Symbol.dispose]();
  }
}

/** Counted by the length in each header: the padding can hold one more than was meant. */
function descriptorsIn(view: DataView, socket: Descriptor): Descriptor[] {
  const end = CONTROL_OFFSET + view.getUint32(CONTROL_LENGTH, true);
  const what = `a descriptor received over ${socket.what}`;
  const descriptors: Descriptor[] = [];
  for (let at = CONTROL_OFFSET; at + CONTROL_HEADER_BYTES <= end; ) {
    const length = view.getUint32(at, true);
    const isRights =
      view.getInt32(at + 8, true) === SOL_SOCKET && view.getInt32(at + 12, true) === SCM_RIGHTS;
    const last = Math.min(at + length, end) - 4;
    for (let fd = at + CONTROL_HEADER_BYTES; isRights && fd <= last; fd += 4) {
      // The stack would name the event loop: who opened the socket can say more.
      descriptors.push(new Descriptor(view.getInt32(fd, true), what, socket.madeAt));
    }
    at += Math.max(alignedTo8(length), CONTROL_HEADER_BYTES);
  }
  return descriptors;
}

const alignedTo8 = (bytes: number): number => (bytes + 7) & ~7;
