/**
 * Unix socket: sockets that keep messages apart (SOCK_SEQPACKET), close-on-exec and non-blocking.
 */
import { PeerbufError } from "@peerbuf/core";
import { Descriptor } from "./descriptor.ts";
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0x80000;
const SOCK_NONBLOCK = 0x800;
const TYPE = SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK;
/** struct sockaddr_un: family (u16), then the path with its closing zero. */
const PATH_BYTES_MAX = 107;
const BACKLOG = 128;

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
  const socket = newSocket(`listening at ${path}`);
  try {
    const address = addressOf(path);
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
  const socket = newSocket(`a channel to ${path}`);
  try {
    const address = addressOf(path);
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

/** The next one who connected; call it when the listening socket is readable. */
export function acceptFrom(listening: Descriptor): Descriptor {
  const number = checked(
    () => libc().accept4(listening.number, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK),
    () => `accept (${listening.what})`,
  );
  return new Descriptor(number, "a channel");
}

function newSocket(what: string): Descriptor {
  const number = checked(
    () => libc().socket(AF_UNIX, TYPE, 0),
    () => "make a socket",
  );
  return new Descriptor(number, what);
}

function addressOf(path: string): Uint8Array {
  const bytes = new TextEncoder().encode(path);
  if (bytes.length === 0 || bytes.length > PATH_BYTES_MAX || path.includes("\0")) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `"${path}" is no socket path: 1 to ${PATH_BYTES_MAX} bytes`,
    );
  }
  const address = new Uint8Array(2 + bytes.length + 1);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(bytes, 2);
  return address;
}
