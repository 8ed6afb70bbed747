/**
 * Unix socket: sockets that keep messages apart (SOCK_SEQPACKET), close-on-exec and non-blocking.
 */
import { PeerbufError } from "@peerbuf/core";
import { checkNumber, Descriptor } from "./descriptor.ts";
import { checked, EAGAIN, EINTR, failure } from "./errno.ts";
import { lastErrno, libc } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0x80000;
const SOCK_NONBLOCK = 0x800;
const TYPE = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;
/** struct sockaddr_un: family (u16), then the path with its closing zero. */
const PATH_BYTES_MAX = 107;
const BACKLOG = 128;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_DOMAIN = 39;
const SHUT_RDWR = 2;
/** The peer connected and was gone before we looked. */
const ECONNABORTED = 103;

/** Two ends that are connected to each other. */
export function socketPair(): [Descriptor, Descriptor] {
  const fds = new Int32Array(2);
  checked(
    () => libc().socketpair(AF_UNIX, TYPE, 0, new Uint8Array(fds.buffer)),
    () => "make a pair of sockets",
  );
  return [
    new Descriptor(fds[0] as number, "a channel"),
    new Descriptor(fds[1] as number, "the other end of a channel"),
  ];
}

/** A socket that listens at a path, which must not exist yet (EADDRINUSE). */
export function listenAt(path: string): Descriptor {
  const address = addressOf(path);
  const socket = newSocket(`listening at ${path}`);
  try {
    checked(
      () => libc().bind(socket.number, address, address.length),
      () => `listen at ${path}`,
    );
    checked(
      () => libc().listen(socket.number, BACKLOG),
      () => `listen at ${path}`,
    );
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

/** A socket connected to who listens at a path: ENOENT or ECONNREFUSED when nobody does. */
export function connectTo(path: string): Descriptor {
  const address = addressOf(path);
  const socket = newSocket(`a channel to ${path}`);
  try {
    checked(
      () => libc().connect(socket.number, address, address.length),
      () => `connect to ${path}`,
    );
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

/** The next one who connected, or "nothing yet": somebody else took it, or it is gone again. */
export function acceptFrom(listening: Descriptor): Descriptor | "nothing yet" {
  for (;;) {
    const flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    const number = libc().accept4(listening.number, null, null, flags);
    if (number >= 0) {
      return new Descriptor(number, "a channel");
    }
    const errno = lastErrno();
    if (errno === EAGAIN) {
      return "nothing yet";
    }
    if (errno !== EINTR && errno !== ECONNABORTED) {
      throw failure(errno, `accept (${listening.what})`);
    }
  }
}

/** Takes over a number from elsewhere. `ARGUMENT_INVALID` for anything but a SOCK_SEQPACKET Unix socket. */
export function adoptSocket(number: number): Descriptor {
  checkNumber(number);
  if (option(number, SO_DOMAIN) !== AF_UNIX || option(number, SO_TYPE) !== SOCK_SEQPACKET) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `descriptor ${number} is no channel: a Unix socket that keeps messages apart (SOCK_SEQPACKET) is one`,
      { errno: "ENOTSOCK" },
    );
  }
  return Descriptor.adopt(number, `channel ${number}`);
}

/**
 * Ends the conversation for everybody who holds the socket: waits for it wake, here and at the peer, which
 * still gets what was sent. A socket that is not connected any more has nothing to end.
 */
export function shutDown(socket: Descriptor): void {
  libc().shutdown(socket.number, SHUT_RDWR);
}

/** An option of SOL_SOCKET that is an int; undefined for what is no socket. */
function option(fd: number, name: number): number | undefined {
  const value = new Int32Array(1);
  const length = Int32Array.of(4);
  const answer = libc().getsockopt(
    fd,
    SOL_SOCKET,
    name,
    new Uint8Array(value.buffer),
    new Uint8Array(length.buffer),
  );
  return answer < 0 ? undefined : value[0];
}

function newSocket(what: string): Descriptor {
  const number = checked(
    () => libc().socket(AF_UNIX, TYPE, 0),
    () => "make a socket",
  );
  return new Descriptor(number, what);
}

function addressOf(path: string): Uint8Array {
  const isPath = typeof path === "string" && !path.includes("\0");
  const bytes = new TextEncoder().encode(isPath ? path : "");
  if (bytes.length === 0 || bytes.length > PATH_BYTES_MAX) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `"${String(path)}" is no socket path: 1 to ${PATH_BYTES_MAX} bytes`,
    );
  }
  const address = new Uint8Array(2 + bytes.length + 1);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(bytes, 2);
  return address;
}
