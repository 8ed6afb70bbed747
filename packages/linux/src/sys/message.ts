/**
 * Message: one packet of bytes with descriptors (SCM_RIGHTS, unix(7)), sent or received whole.
 *
 * What is received is owned from the first moment: on every path each descriptor is handed on or closed.
 */
import { PeerbufError } from "@peerbuf/core";
import { Descriptor } from "./descriptor.ts";
import { EAGAIN, EINTR, failure } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";
import { MESSAGE_BYTES_MAX, type Packet, thePacket } from "./packet.ts";

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const MSG_CTRUNC = 0x8;
const MSG_TRUNC = 0x20;
const EPIPE = 32;
const ECONNRESET = 104;

export interface Received {
  /** Of the packet. */
  readonly lengthBytes: number;
  /** The receiver's to close. */
  readonly descriptors: readonly Descriptor[];
}

/**
 * Sends the first bytes of this thread's packet. True: sent. False: there is no room now; try again when the
 * socket is writable. Throws `PEER_GONE` when nobody can receive it any more, `SYSCALL_FAILED` with
 * ETOOMANYREFS, EBADF or EMSGSIZE (more than the socket's buffer takes at once).
 */
export function send(socket: Descriptor, lengthBytes: number, fds: readonly number[]): boolean {
  const packet = thePacket();
  packet.aimOut(lengthBytes, fds);
  for (;;) {
    if (libc().sendmsg(socket.number, packet.header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
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

/**
 * The next message, in this thread's packet; `"nothing yet"`, or `"end"` when the peer has closed.
 * `MESSAGE_INVALID` when the message did not fit or its descriptors did not (all of them are closed then).
 */
export function receive(socket: Descriptor): Received | "nothing yet" | "end" {
  const packet = thePacket();
  for (;;) {
    packet.aimIn();
    const flags = MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
    const count = libc().recvmsg(socket.number, packet.header, flags);
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

function delivered(socket: Descriptor, packet: Packet, lengthBytes: number): Received | "end" {
  const descriptors = owned(packet.receivedNumbers(), socket);
  const { flags } = packet;
  if ((flags & (MSG_CTRUNC | MSG_TRUNC)) !== 0) {
    closeAll(descriptors);
    throw new PeerbufError(
      "MESSAGE_INVALID",
      (flags & MSG_TRUNC) !== 0
        ? `a message over ${socket.what} was longer than ${MESSAGE_BYTES_MAX} bytes`
        : `descriptors of a message over ${socket.what} were lost: there were too many, or this process may open no more (RLIMIT_NOFILE)`,
    );
  }
  return lengthBytes === 0 && descriptors.length === 0 ? "end" : { lengthBytes, descriptors };
}

/** The stack would name the event loop as their maker: who opened the socket can say more. */
function owned(numbers: readonly number[], { what, madeAt }: Descriptor): Descriptor[] {
  const from = `a descriptor received over ${what}`;
  return numbers.map((number) => new Descriptor(number, from, madeAt));
}

export function closeAll(descriptors: readonly Descriptor[]): void {
  for (const descriptor of descriptors) {
    descriptor[Symbol.dispose]();
  }
}
