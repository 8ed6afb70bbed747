/**
 * Listener: where unrelated processes meet: a path in the file system.
 *
 * Who may connect is decided by the permissions of the path's folder. The path is removed at close.
 */
import { lstatSync, rmSync } from "node:fs";
import { PeerbufError } from "@peerbuf/core";
import type { Descriptor } from "../sys/descriptor.ts";
import { POLL_IN, watch } from "../sys/poller.ts";
import { acceptFrom, connectTo, listenAt, shutDown } from "../sys/unix-socket.ts";
import { limitsOf, type ReadinessOptions, within } from "../sys/wait-limits.ts";
import { Channel } from "./channel.ts";

export class Listener implements Disposable {
  readonly path: string;
  readonly #socket: Descriptor;
  readonly #inode: number | undefined;

  /** Listens at a path that does not exist yet (`SYSCALL_FAILED`, EADDRINUSE). */
  constructor(path: string) {
    this.path = path;
    this.#socket = listenAt(path);
    this.#inode = inodeAt(path);
  }

  get isOpen(): boolean {
    return this.#socket.isOpen;
  }

  /**
   * The next one who connects. `WAIT_TIMED_OUT`, `WAIT_INTERRUPTED`; `HANDLE_CLOSED` when it is closed
   * meanwhile. Several may wait: each gets another one.
   */
  async accept(options?: ReadinessOptions): Promise<Channel> {
    const { what } = this.#socket;
    const limits = limitsOf(options, what);
    for (;;) {
      if (!this.isOpen) {
        throw new PeerbufError("HANDLE_CLOSED", `it is closed: ${what}`);
      }
      const accepted = acceptFrom(this.#socket);
      if (accepted !== "nothing yet") {
        return new Channel(accepted);
      }
      await within(limits, what, (wake) => watch(this.#socket, POLL_IN, wake));
    }
  }

  /** Takes its path away, unless another file is there by now. `HANDLE_CLOSED` the second time. */
  close(): void {
    shutDown(this.#socket);
    this.#socket.close();
    if (this.#inode !== undefined && inodeAt(this.path) === this.#inode) {
      rmSync(this.path, { force: true });
    }
  }

  /** Closes unless `close` did. */
  [Symbol.dispose](): void {
    if (this.isOpen) {
      this.close();
    }
  }
}

const inodeAt = (path: string): number | undefined =>
  lstatSync(path, { throwIfNoEntry: false })?.ino;

/**
 * A channel to who listens at `path`: `SYSCALL_FAILED` with ENOENT or ECONNREFUSED when nobody does, EAGAIN
 * when too many wait there to be accepted.
 */
export const connect = (path: string): Channel => new Channel(connectTo(path));
