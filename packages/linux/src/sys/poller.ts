/**
 * Poller: waits for descriptors in Node's event loop, thousands at a time, without a thread.
 *
 * One epoll descriptor a thread, and that one is what the event loop watches. Each wait has a duplicate
 * of its descriptor: closing the original meanwhile neither ends the wait nor lets its number be reused
 * under it, and several may wait for one. A descriptor that cannot be polled is refused (EPERM) before
 * anything is armed; handed to the event loop directly it would end the process.
 *
 * Of one file only 500 waits go this way: our epoll descriptor lies within that of the event loop, and the kernel
 * allows no more wakeup paths of that length (path_limits in fs/eventpoll.c: EINVAL). The event loop watches the
 * duplicates of the others itself, which costs more for each.
 */

import { PeerbufError } from "@peerbuf/core";
import { closeNumber, Descriptor, duplicateNumber } from "./descriptor.ts";
import { checked } from "./errno.ts";
import { libc, watchFor, watchReadable } from "./libc.ts";
import { limitsOf, type ReadinessOptions, type Watching, within } from "./wait-limits.ts";

export type { ReadinessOptions } from "./wait-limits.ts";

/** Bits of struct epoll_event.events that poll(2) shares. */
export const POLL_IN = 1;
export const POLL_OUT = 4;
const ONE_SHOT = 2 ** 30;
/** EPOLLET. */
const EDGE = 2 ** 31;
const EPOLL_CLOEXEC = 0x80000;
const CTL_ADD = 1;
const CTL_DEL = 2;

/** x86-64 packs the structure, everybody else aligns it: events (u32), then data (u64). */
const IS_PACKED: boolean = process.arch === "x64";
const EVENT_BYTES: number = IS_PACKED ? 12 : 16;
const DATA_OFFSET: number = IS_PACKED ? 4 : 8;
/** Events taken in one call. */
const BATCH = 256;

/** What woke a wait: poll bits. */
type Wake = (events: number) => void;

/** One wait that has not ended. */
interface Watch {
  /** A duplicate of ours, by number: it never leaves this file. -1 for a standing watch. */
  readonly copy: number;
  readonly wake: Wake;
  /** Of the event loop, where it watches the duplicate itself. */
  readonly direct?: ReturnType<typeof watchFor> | undefined;
}

/**
 * A descriptor that is waited for again and again, readable each time, by one at a time. It is armed once, and wakes
 * for what comes from then on (EPOLLET): so whoever waits has found nothing there just before, without a turn of the
 * event loop in between. It needs no duplicate: its owner closes it, the watch first.
 */
export interface StandingWatch {
  wait(wake: Wake): Watching;
  close(): void;
}

class Poller {
  readonly #epoll: Descriptor;
  /** Held here, or it would be collected and stop. */
  readonly #handle: ReturnType<typeof watchReadable>;
  readonly #watches = new Map<number, Watch>();
  readonly #event = new DataView(new ArrayBuffer(EVENT_BYTES));
  readonly #eventBytes = new Uint8Array(this.#event.buffer);
  readonly #batch = new DataView(new ArrayBuffer(EVENT_BYTES * BATCH));
  readonly #batchBytes = new Uint8Array(this.#batch.buffer);
  /** Kept as a double in the 64 bits that the kernel hands back: no wait gets another's token. */
  #nextToken = 1;

  constructor() {
    const number = checked(
      () => libc().epoll_create1(EPOLL_CLOEXEC),
      () => "make an epoll descriptor",
    );
    this.#epoll = new Descriptor(number, "the poller");
    this.#handle = watchReadable(number, () => this.#collect());
    this.#handle.unref();
  }

  watch(descriptor: Descriptor, events: number, wake: Wake): Watching {
    const copy = duplicateNumber(descriptor.number);
    const token = this.#nextToken++;
    try {
      const direct = this.#armed(copy, events, token, descriptor.what);
      this.#begin(token, { copy, wake, direct });
    } catch (error) {
      closeNumber(copy);
      throw error;
    }
    return { stop: () => this.#end(token) };
  }

  /** Undefined: by our epoll descriptor. */
  #armed(copy: number, events: number, token: number, what: string): Watch["direct"] {
    try {
      this.#arm(CTL_ADD, copy, events | ONE_SHOT, token, what);
      return undefined;
    } catch (error) {
      if (hasTooManyPaths(error)) {
        return this.#watchDirectly(copy, events, token);
      }
      throw error;
    }
  }

  #watchDirectly(copy: number, events: number, token: number): ReturnType<typeof watchFor> {
    const wanted = { readable: (events & POLL_IN) !== 0, writable: (events & POLL_OUT) !== 0 };
    return watchFor(copy, wanted, () => this.#wake(token, events));
  }

  stand({ number, what }: Descriptor): StandingWatch {
    const token = this.#nextToken++;
    const watching: Watching = { stop: () => this.#end(token) };
    this.#arm(CTL_ADD, number, POLL_IN + EDGE, token, what);
    return {
      wait: (wake) => {
        this.#begin(token, { copy: -1, wake });
        return watching;
      },
      close: () => {
        watching.stop();
        libc().epoll_ctl(this.#epoll.number, CTL_DEL, number, null);
      },
    };
  }

  #begin(token: number, watch: Watch): void {
    if (this.#watches.size === 0) {
      this.#handle.ref();
    }
    this.#watches.set(token, watch);
  }

  close(): void {
    for (const token of [...this.#watches.keys()]) {
      this.#end(token);
    }
    this.#handle.close();
    this.#epoll.close();
  }

  #arm(operation: number, fd: number, events: number, token: number, what: string): void {
    this.#event.setUint32(0, events, true);
    this.#event.setFloat64(DATA_OFFSET, token, true);
    checked(
      () => libc().epoll_ctl(this.#epoll.number, operation, fd, this.#eventBytes),
      () => `wait for ${what}`,
    );
  }

  #end(token: number): Watch | undefined {
    const watch = this.#watches.get(token);
    if (watch !== undefined) {
      this.#watches.delete(token);
      if (watch.direct !== undefined) {
        watch.direct.close();
      } else if (watch.copy >= 0) {
        libc().epoll_ctl(this.#epoll.number, CTL_DEL, watch.copy, null);
      }
      if (watch.copy >= 0) {
        closeNumber(watch.copy);
      }
      if (this.#watches.size === 0) {
        this.#handle.unref();
      }
    }
    return watch;
  }

  /** Level triggered: what does not fit the batch wakes us again. */
  #collect(): void {
    const count = libc().epoll_wait(this.#epoll.number, this.#batchBytes, BATCH, 0);
    for (let index = 0; index < count; index++) {
      const events = this.#batch.getUint32(index * EVENT_BYTES, true);
      const token = this.#batch.getFloat64(index * EVENT_BYTES + DATA_OFFSET, true);
      this.#wake(token, events);
    }
  }

  #wake(token: number, events: number): void {
    const watch = this.#end(token);
    if (watch !== undefined) {
      wakeSafely(watch.wake, events);
    }
  }
}

/** The kernel's answer to one wait too many for a file that can be polled: one that cannot is EPERM. */
const hasTooManyPaths = (error: unknown): boolean =>
  error instanceof PeerbufError && error.errno === "EINVAL";

/** What a callback throws must not surface in some later native call: it goes to the event loop. */
function wakeSafely(wake: Wake, events: number): void {
  try {
    wake(events);
  } catch (error) {
    setImmediate(() => {
      throw error;
    });
  }
}

let poller: Poller | undefined;

/** Calls `wake` once when one of `events` is there (or an error, or a hang-up). */
export function watch(descriptor: Descriptor, events: number, wake: Wake): Watching {
  poller ??= openPoller();
  return poller.watch(descriptor, events, wake);
}

/** For a descriptor of the caller's, who closes the watch before it. `SYSCALL_FAILED` (EPERM) as `watch`. */
export function standingWatch(descriptor: Descriptor): StandingWatch {
  poller ??= openPoller();
  return poller.stand(descriptor);
}

function openPoller(): Poller {
  const opened = new Poller();
  // A worker thread ends before its process does, and must not leave its descriptors behind.
  process.once("exit", () => opened.close());
  return opened;
}

/**
 * Resolves with the poll bits when one of `events` is there. `WAIT_TIMED_OUT`, `WAIT_INTERRUPTED` (abort),
 * `SYSCALL_FAILED` with EPERM for a descriptor that cannot be polled.
 */
export async function ready(
  descriptor: Descriptor,
  events: number,
  options?: ReadinessOptions,
): Promise<number> {
  const limits = limitsOf(options, descriptor.what);
  return within(limits, descriptor.what, (wake) => watch(descriptor, events, wake));
}
