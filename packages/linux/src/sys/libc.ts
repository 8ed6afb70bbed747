/**
 * libc: the C functions that everything here is made of, and the only file that loads native code.
 *
 * Each is declared once, with the types of the x86-64 and arm64 Linux ABI, and answers as C does: -1 and
 * an errno. What that means is said by the callers in this folder; nobody outside of it calls these.
 * Loaded at the first call, so that the package can be imported anywhere.
 */
import { readFileSync } from "node:fs";
import { PeerbufError } from "@peerbuf/core";
import koffi, { type node } from "koffi";

/** A pointer as koffi gives it: an address, or null. */
export type Pointer = bigint | null;

/** What C may read or write: our bytes by their address, or an address. */
export type Memory = Uint8Array | Pointer;

export interface Libc {
  accept4(fd: number, address: Memory, lengthBytes: Memory, flags: number): number;
  bind(fd: number, address: Memory, lengthBytes: number): number;
  close(fd: number): number;
  connect(fd: number, address: Memory, lengthBytes: number): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epfd: number, operation: number, fd: number, event: Memory): number;
  epoll_wait(epfd: number, events: Memory, countMax: number, timeoutMs: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  /** By its number, see file-status.ts: the C library has had a function of this name since glibc 2.33 only. */
  fstat(callNumber: number, fd: number, target: Memory): number;
  fstatfs(fd: number, target: Memory): number;
  ftruncate(fd: number, lengthBytes: number): number;
  getsockopt(fd: number, level: number, option: number, value: Memory, lengthBytes: Memory): number;
  /** Declared with a fixed third argument: the same on x86-64 and arm64, and faster. */
  ioctl(fd: number, request: number, argument: Memory): number;
  listen(fd: number, backlog: number): number;
  lseek(fd: number, offset: number, whence: number): number;
  memfd_create(name: string, flags: number): number;
  mmap(
    address: Memory,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): Pointer;
  munmap(address: Pointer, length: number): number;
  open(path: string, flags: number, mode: number): number;
  recvmsg(fd: number, message: Memory, flags: number): number;
  sendmsg(fd: number, message: Memory, flags: number): number;
  shutdown(fd: number, how: number): number;
  socket(domain: number, type: number, protocol: number): number;
  socketpair(domain: number, type: number, protocol: number, fds: Memory): number;
}

const DECLARATIONS: Readonly<Record<keyof Libc, string>> = {
  accept4: "int accept4(int fd, void *addr, void *addrlen, int flags)",
  bind: "int bind(int fd, void *addr, unsigned int addrlen)",
  close: "int close(int fd)",
  connect: "int connect(int fd, void *addr, unsigned int addrlen)",
  epoll_create1: "int epoll_create1(int flags)",
  epoll_ctl: "int epoll_ctl(int epfd, int op, int fd, void *event)",
  epoll_wait: "int epoll_wait(int epfd, void *events, int maxevents, int timeout)",
  fcntl: "int fcntl(int fd, int cmd, intptr_t arg)",
  fstat: "intptr_t syscall(intptr_t number, int fd, void *buf)",
  fstatfs: "int fstatfs(int fd, void *buf)",
  getsockopt: "int getsockopt(int fd, int level, int name, void *value, void *length)",
  ftruncate: "int ftruncate(int fd, intptr_t length)",
  ioctl: "int ioctl(int fd, unsigned long request, void *arg)",
  listen: "int listen(int fd, int backlog)",
  lseek: "intptr_t lseek(int fd, intptr_t offset, int whence)",
  memfd_create: "int memfd_create(const char *name, unsigned int flags)",
  mmap: "void *mmap(void *addr, size_t length, int prot, int flags, int fd, intptr_t offset)",
  munmap: "int munmap(void *addr, size_t length)",
  open: "int open(const char *path, int flags, int mode)",
  recvmsg: "intptr_t recvmsg(int fd, void *msg, int flags)",
  sendmsg: "intptr_t sendmsg(int fd, void *msg, int flags)",
  shutdown: "int shutdown(int fd, int how)",
  socket: "int socket(int domain, int type, int protocol)",
  socketpair: "int socketpair(int domain, int type, int protocol, void *sv)",
};

let loaded: Libc | undefined;

/** The functions. `PLATFORM_MISSING` where this is not Linux on a little-endian 64-bit processor. */
export function libc(): Libc {
  loaded ??= load();
  return loaded;
}

/** The errno of the call that just failed: read it before anything else is called. */
export const lastErrno = (): number => koffi.errno();

/** An ArrayBuffer over memory that C gave us. No copy; the caller owns its lifetime. */
export const viewOf = (address: Pointer, lengthBytes: number): ArrayBuffer =>
  koffi.view(address, lengthBytes);

/** The address of bytes of ours, for structures that hold pointers. Keep the bytes alive meanwhile. */
export const addressOf = (bytes: Uint8Array): bigint => koffi.address(bytes);

/** Calls `ready` in the event loop for as long as `fd` is readable, until it is closed. */
export const watchReadable = (fd: number, ready: () => void): node.PollHandle =>
  koffi.node.poll(fd, { readable: true }, ready);

/** Calls `ready` in the event loop when one of these is there, or an error, until it is closed. */
export const watchFor = (
  fd: number,
  wanted: { readonly readable: boolean; readonly writable: boolean },
  ready: () => void,
): node.PollHandle => koffi.node.poll(fd, wanted, ready);

const PROCESSORS: readonly string[] = ["x64", "arm64"];

function load(): Libc {
  if (process.platform !== "linux" || !PROCESSORS.includes(process.arch)) {
    throw new PeerbufError(
      "PLATFORM_MISSING",
      `real dma-bufs need Linux on ${PROCESSORS.join(" or ")}; this is ${process.platform} on ${process.arch}`,
    );
  }
  const library = koffi.load(null);
  pinKoffi(library);
  const functions = Object.entries(DECLARATIONS).map(([name, text]) => [name, library.func(text)]);
  return Object.fromEntries(functions) as Libc;
}

const RTLD_NOW = 2;
const RTLD_NOLOAD = 4;
const RTLD_NODELETE = 0x1000;

/**
 * Keeps koffi's own code in memory for as long as the process lives. Node unloads an addon with the last
 * thread that used it, and a poll handle that is still closing then calls code that is gone (koffi 3.3.4,
 * Node 20.20: a worker that ends while nobody else has koffi ends the process).
 */
function pinKoffi(library: ReturnType<typeof koffi.load>): void {
  const maps = readFileSync("/proc/self/maps", "utf8");
  // A path begins with the line's first slash, and may hold blanks.
  const path = /\/.*koffi.*\.node$/m.exec(maps)?.[0];
  if (path !== undefined) {
    library.func("void *dlopen(const char *path, int flags)")(
      path,
      RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE,
    );
  }
}
