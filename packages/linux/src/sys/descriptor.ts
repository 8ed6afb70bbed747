/**
 * Descriptor: a file descriptor that somebody owns.
 *
 * Closed exactly once, on every path; used after that it is a typed error, never somebody else's file that
 * got the same number. Descriptors are close-on-exec from birth.
 */
import { PeerbufError } from "@peerbuf/core";
import { checked } from "./errno.ts";
import { enter, type Ticket } from "./handle-ledger.ts";
import { libc } from "./libc.ts";

const F_DUPFD_CLOEXEC = 1030;
const O_CLOEXEC = 0x80000;
/** The largest number that `int fd` holds. */
const FD_MAX = 2 ** 31 - 1;

export class Descriptor implements Disposable {
  /** What it is of, for messages. */
  readonly what: string;
  #number: number;
  readonly #ticket: Ticket;

  /** Takes the number over: from here on this object closes it. */
  constructor(number: number, what: string) {
    this.what = what;
    this.#number = number;
    this.#ticket = enter(this, `descriptor ${number} of ${what}`, () => libc().close(number));
  }

  /** Opens a device node or file, close-on-exec. `SYSCALL_FAILED` with the kernel's errno. */
  static open(path: string, flags: number): Descriptor {
    const number = checked(
      () => libc().open(path, flags | O_CLOEXEC, 0),
      () => `open ${path}`,
    );
    return new Descriptor(number, path);
  }

  /** A descriptor of our own for a number that stays its owner's. */
  static duplicateOf(number: number, what: string): Descriptor {
    if (!Number.isInteger(number) || number < 0 || number > FD_MAX) {
      throw new PeerbufError("ARGUMENT_INVALID", `${number} is no file descriptor`, {
        errno: "EBADF",
      });
    }
    const copy = checked(
      () => libc().fcntl(number, F_DUPFD_CLOEXEC, 0),
      () => `duplicate descriptor ${number}`,
    );
    return new Descriptor(copy, what);
  }

  /** For system calls. `HANDLE_CLOSED` after `close`. */
  get number(): number {
    if (this.#number < 0) {
      throw new PeerbufError("HANDLE_CLOSED", `the descriptor of ${this.what} is closed`);
    }
    return this.#number;
  }

  get isOpen(): boolean {
    return this.#number >= 0;
  }

  duplicate(): Descriptor {
    return Descriptor.duplicateOf(this.number, this.what);
  }

  /** Gives the number away: whoever takes it closes it. */
  release(): number {
    const number = this.number;
    this.#number = -1;
    this.#ticket.close();
    return number;
  }

  /** `HANDLE_CLOSED` the second time. Linux has closed it whatever the answer is, so none is looked at. */
  close(): void {
    libc().close(this.release());
  }

  /** Closes unless `close` did. */
  [Symbol.dispose](): void {
    if (this.isOpen) {
      this.close();
    }
  }
}
