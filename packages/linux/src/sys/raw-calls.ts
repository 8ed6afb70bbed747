/**
 * Raw calls: the system calls under this package with nothing around them: what a measurement compares with.
 *
 * No check, no owner, no limit: not for programs. `peerbuf bench` measures both sides in one run.
 */
import { readlinkSync } from "node:fs";
import { FSTAT } from "./file-status.ts";
import { addressOf, lastErrno, libc, watchReadable } from "./libc.ts";
import { socketPair } from "./unix-socket.ts";

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const SEND_FLAGS = 0x4040;
const RECEIVE_FLAGS = 0x4000_0040;
const DATA_BYTES = 64;
/** struct msghdr, struct iovec, room for one descriptor, data. */
const VECTOR = 56;
const CONTROL = 72;
const DATA = 96;
const MEMORY_BYTES: number = DATA + DATA_BYTES;

/** A packet of 64 bytes with at most one descriptor. */
class RawPacket {
  readonly memory: Uint8Array = new Uint8Array(MEMORY_BYTES);
  readonly view: DataView = new DataView(this.memory.buffer);

  constructor() {
    const address = addressOf(this.memory);
    this.view.setBigUint64(16, address + BigInt(VECTOR), true);
    this.view.setUint32(24, 1, true);
    this.view.setBigUint64(VECTOR, address + BigInt(DATA), true);
    this.view.setUint32(VECTOR + 8, DATA_BYTES, true);
    this.view.setBigUint64(32, address + BigInt(CONTROL), true);
    this.view.setUint32(CONTROL, 20, true);
    this.view.setInt32(CONTROL + 8, SOL_SOCKET, true);
    this.view.setInt32(CONTROL + 12, SCM_RIGHTS, true);
  }
}

/** A socket as the kernel has it. */
export class RawSocket {
  readonly #number: number;
  readonly #out = new RawPacket();
  readonly #in = new RawPacket();
  #watch: ReturnType<typeof watchReadable> | undefined;
  #wake: ((fd: number) => void) | undefined;

  /** The number stays its owner's. */
  constructor(number: number) {
    this.#number = number;
  }

  /** Two that are connected; their numbers are the caller's to close. */
  static numbers(): [number, number] {
    const [one, other] = socketPair();
    return [one.release(), other.release()];
  }

  /** A packet, with a descriptor unless it is negative. */
  send(fd: number): void {
    this.#out.view.setUint32(40, fd < 0 ? 0 : 24, true);
    this.#out.view.setInt32(CONTROL + 16, fd, true);
    libc().sendmsg(this.#number, this.#out.memory, SEND_FLAGS);
  }

  /**
   * The descriptor of the next packet, to be closed; -1 when it has none, -2 at the end. One watch of the event
   * loop serves all of them, until `close`.
   */
  receive(): Promise<number> {
    this.#watch ??= watchReadable(this.#number, () => this.#wake?.(this.take()));
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** As `receive`, with a watch for this one packet, as a program waits that does not know what comes next. */
  receiveOnce(): Promise<number> {
    return new Promise((resolve) => {
      const watch = watchReadable(this.#number, () => {
        watch.close();
        resolve(this.take());
      });
    });
  }

  close(): void {
    this.#watch?.close();
  }

  /** What `receive` gives, of a packet that is there: nothing is waited for. */
  take(): number {
    const { memory, view } = this.#in;
    view.setUint32(40, 24, true);
    if (libc().recvmsg(this.#number, memory, RECEIVE_FLAGS) <= 0) {
      return -2;
    }
    return view.getUint32(40, true) > 0 ? view.getInt32(CONTROL + 16, true) : -1;
  }
}

const F_GET_SEALS = 1034;
const status = new Uint8Array(144);

/** The calls that tell what a received memfd or dma-buf is, then its end. */
export function rawLookAndClose(fd: number): number {
  const seals = libc().fcntl(fd, F_GET_SEALS, 0);
  if (seals < 0) {
    readlinkSync(`/proc/self/fd/${fd}`);
  }
  libc().fstat(FSTAT, fd, status);
  libc().close(fd);
  return seals;
}

const DMA_BUF_IOCTL_SYNC = 0x4008_6200;
const START_WRITE = Uint8Array.from([2, 0, 0, 0, 0, 0, 0, 0]);
const END_WRITE = Uint8Array.from([6, 0, 0, 0, 0, 0, 0, 0]);

/**
 * The two calls of a bracket for writing, each with a look at how it went: ENOTTY both times on a memfd, which
 * has no caches to keep in order.
 */
export function rawBracket(fd: number): number {
  const start = libc().ioctl(fd, DMA_BUF_IOCTL_SYNC, START_WRITE) < 0 ? lastErrno() : 0;
  const end = libc().ioctl(fd, DMA_BUF_IOCTL_SYNC, END_WRITE) < 0 ? lastErrno() : 0;
  return start + end;
}
