/**
 * Listener: where unrelated processes meet: a path in the file system.
 *
 * Who may connect is decided by the permissions of the path's folder. The path is removed at close.
 */
import { unlinkSync } from "node:fs";
import type { Descriptor } from "../sys/descriptor.ts";
import { POLL_IN, type ReadinessOptions, ready } from "../sys/poller.ts";
import { acceptFrom, connectTo, listenAt } from "../sys/unix-socket.ts";
import { Channel } from "./channel.ts";

export class Listener implements Disposable {
  readonly path: string;
  readonly #socket: Descriptor;

  /** Listens at a path that does not exist yet (`SYSCALL_FAILED`, EADDRINUSE). */
  constructor(path: string) {
    this.path = path;
    this.#socket = listenAt(path);
  }

  /** The next one who connects. `WAIT_TIMED_OUT`, `WAIT_INTERRUPTED`. */
  async accept(options?: ReadinessOptions): Promise<Channel> {
    await ready(this.#socket, POLL_IN, options);
    return new Channel(acceptFrom(this.#socket));
  }

  /** `HANDLE_CLOSED` the second time. */
  close(): void {
    this.#socket.close();
    unlinkSync(this.path);
  }

  /** Closes unless `close` did. */
  [Symbol.dispose](): void {
    if (this.#socket.isOpen) {
      this.close();
    }
  }
}

/** A channel to who listens at `path`: ENOENT or ECONNREFUSED when nobody does. */
export const connect = (path: string): Channel => new Channel(connectTo(path));
