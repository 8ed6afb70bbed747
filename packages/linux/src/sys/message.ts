/**
 * Message: one packet of bytes with descriptors (SCM_RIGHTS, unix(7)), sent or received whole.
 *
 * What is received is owned from the first moment: on every path each descriptor is handed on or closed.
 */
import { assert, PeerbufError } from "@peerbuf/core";
import { Descriptor } from "./descriptor.ts";
import { EAGAIN, EINTR, failure } from "./errno.ts";
import { addressOf, lastErrno, libc } from "./libc.ts";

/** What the kernel lets through in one message (SCM_MAX_FD). */
export const DESCRIPTORS_MAX = 253;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const MSG_CTRUNC = 0x8;
const MSG_TRUNC = 0x20;
/** struct msghdr and struct cmsghdr on 64-bit Linux. */
const HEADER_BYTES = 56;
const CONTROL_HEADER_BYTES = 16;
const CONTROL_BYTES_MAX: number = CONTROL_HEADER_BYTES + 4 * (DESCRIPTORS_MAX + 1);
const FLAGS_OFFSET = 48;

export interface Received {
  readonly bytes: Uint8Array;
  /** The receiver's to close. */
  readonly descriptors: readonly Descriptor[];
}

/** A msghdr with all that it points to, kept alive as long as the object is. */
interface Header {
  readonly view: DataView;
  readonly keep: readonly Uint8Array[];
}

/**
 * True: sent. False: there is no room now; try again when the socket is writable. Throws `PEER_GONE` when
 * nobody can receive it any more, `SYSCALL_FAILED` with ETOOMANYREFS, EBADF or EMSGSIZE.
 */
export function send(socket: Descriptor, bytes: Uint8Array, fds: readonly number[]): boolean {
  assert(bytes.length > 0, "a message without bytes cannot carry descriptors");
  const header = headerOf(bytes, controlOf(fds));
  const message = new Uint8Array(header.view.buffer);
  for (;;) {
    if (libc().sendmsg(socket.number, message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
      return true;
    }
    const errno = lastErrno();
    if (errno === EAGAIN) {
      return false;
    }
    if (errno !== EINTR) {
      throw isGone(errno) ? gone(socket) : failure(errno, `send over ${socket.what}`);
    }
  }
}

/**
 * The next message; `"nothing yet"`, or `"end"` when the peer has closed. `MESSAGE_INVALID` when the
 * message did not fit `bytesMax` or its descriptors did not fit (all of them are closed then).
 */
export function receive(socket: Descriptor, bytesMax: number): Received | "nothing yet" | "end" {
  const bytes = new Uint8Array(bytesMax);
  const control = new Uint8Array(CONTROL_BYTES_MAX);
  const header = headerOf(bytes, control);
  const message = new Uint8Array(header.view.buffer);
  const flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
  let count = libc().recvmsg(socket.number, message, flags);
  while (count < 0) {
    const errno = lastErrno();
    if (errno === EAGAIN) {
      return "nothing yet";
    }
    if (isGone(errno)) {
      return "end";
    }
    if (errno !== EINTR) {
      throw failure(errno, `receive over ${socket.what}`);
    }
    count = libc().recvmsg(socket.number, message, flags);
  }
  return delivered(socket, header, bytes.subarray(0, count), control);
}

function delivered(
  socket: Descriptor,
  { view }: Header,
  bytes: Uint8Array,
  control: Uint8Array,
): Received | "end" {
  const controlBytes = Number(view.getBigUint64(40, true));
  const descriptors = descriptorsIn(control.subarray(0, controlBytes), socket);
  const flags = view.getInt32(FLAGS_OFFSET, true);
  if ((flags & (MSG_CTRUNC | MSG_TRUNC)) !== 0) {
    closeAll(descriptors);
    const what = (flags & MSG_TRUNC) !== 0 ? "bytes" : "descriptors";
    throw new PeerbufError(
      "MESSAGE_INVALID",
      `a message over ${socket.what} had more ${what} than are taken`,
    );
  }
  return bytes.length === 0 && descriptors.length === 0 ? "end" : { bytes, descriptors };
}

export function closeAll(descriptors: readonly Descriptor[]): void {
  for (const descriptor of descriptors) {
    descriptor[Symbol.dispose]();
  }
}

/** Counted by the length in the header: the padding can hold one more than was meant. */
function descriptorsIn(control: Uint8Array, socket: Descriptor): Descriptor[] {
  const view = new DataView(control.buffer, control.byteOffset, control.byteLength);
  const descriptors: Descriptor[] = [];
  for (let at = 0; at + CONTROL_HEADER_BYTES <= control.length; ) {
    const length = Number(view.getBigUint64(at, true));
    const isRights =
      view.getInt32(at + 8, true) === SOL_SOCKET && view.getInt32(at + 12, true) === SCM_RIGHTS;
    const end = Math.min(at + length, control.length);
    for (let fd = at + CONTROL_HEADER_BYTES; isRights && fd + 4 <= end; fd += 4) {
      descriptors.push(
        new Descriptor(view.getInt32(fd, true), `a descriptor received over ${socket.what}`),
      );
    }
    at += Math.max(alignedTo8(length), CONTROL_HEADER_BYTES);
  }
  return descriptors;
}

function controlOf(fds: readonly number[]): Uint8Array {
  if (fds.length > DESCRIPTORS_MAX) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `${fds.length} descriptors in one message: the kernel takes ${DESCRIPTORS_MAX}`,
    );
  }
  if (fds.length === 0) {
    return new Uint8Array(0);
  }
  const lengthBytes = CONTROL_HEADER_BYTES + 4 * fds.length;
  const view = new DataView(new ArrayBuffer(alignedTo8(lengthBytes)));
  view.setBigUint64(0, BigInt(lengthBytes), true);
  view.setInt32(8, SOL_SOCKET, true);
  view.setInt32(12, SCM_RIGHTS, true);
  fds.forEach((fd, index) => {
    view.setInt32(CONTROL_HEADER_BYTES + 4 * index, fd, true);
  });
  return new Uint8Array(view.buffer);
}

function headerOf(bytes: Uint8Array, control: Uint8Array): Header {
  const vector = new DataView(new ArrayBuffer(16));
  vector.setBigUint64(0, addressOf(bytes), true);
  vector.setBigUint64(8, BigInt(bytes.length), true);
  const vectorBytes = new Uint8Array(vector.buffer);
  const view = new DataView(new ArrayBuffer(HEADER_BYTES));
  view.setBigUint64(16, addressOf(vectorBytes), true);
  view.setBigUint64(24, 1n, true);
  if (control.length > 0) {
    view.setBigUint64(32, addressOf(control), true);
    view.setBigUint64(40, BigInt(control.length), true);
  }
  return { view, keep: [bytes, control, vectorBytes] };
}

const alignedTo8 = (bytes: number): number => (bytes + 7) & ~7;

const EPIPE = 32;
const ECONNRESET = 104;
const isGone = (errno: number): boolean => errno === EPIPE || errno === ECONNRESET;

const gone = ({ what }: Descriptor): PeerbufError =>
  new PeerbufError("PEER_GONE", `the peer of ${what} is gone`);
