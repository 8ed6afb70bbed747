/**
 * Descriptor: a file descriptor that somebody owns.
 *
 * Closed exactly once, on every path; used after that it is a typed error, never somebody else's file that
 * got the same number. Descriptors are close-on-exec from birth. Numbers belong to the process: whoever
 * closes one behind its owner's back is found out when the kernel gives the number to us again.
 */
import { PeerbufError } from "@peerbuf/core";
import { checked } from "./errno.ts";
import { Ticket } from "./handle-ledger.ts";
import { libc } from "./libc.ts";
import { claimDescriptor, disclaimDescriptor } from "./thread-table.ts";

const F_SETFD = 2;
const FD_CLOEXEC = 1;
const F_DUPFD_CLOEXEC = 1030;
const O_CLOEXEC = 0x80000;
/** The largest number that `int fd` holds. */
const FD_MAX = 2 ** 31 - 1;

/** By number: those that this thread owns. */
const owned: (Ticket | undefined)[] = [];

/** A descriptor in the ledger. */
class DescriptorTicket extends Ticket {
  readonly #number: number;
  readonly #what: string;

  constructor(owner: object, number: number, what: string, madeAt: string | undefined) {
    super(owner, madeAt);
    this.#number = number;
    this.#what = what;
  }

  get what(): string {
    return `descriptor ${this.#number} of ${this.#what}`;
  }

  protected giveBack(): void {
    owned[this.#number] = undefined;
    closeNumber(this.#number);
  }
}

export class Descriptor implements Disposable {
  /** What it is of, for messages. */
  readonly what: string;
  #number: number;
  readonly #ticket: Ticket;

  /**
   * Takes over a number that the kernel has just given: from here on this object closes it. For a number
   * from elsewhere use `adopt`, which looks at it first. `ARGUMENT_INVALID` for what is no number. `madeAt`
   * is the place to report when it is forgotten, where the stack does not say it.
   */
  constructor(number: number, what: string, madeAt?: string) {
    checkNumber(number);
    this.what = what;
    this.#number = number;
    // The kernel gives no number twice: whoever had it does not have it any more.
    owned[number]?.lose(`was closed by somebody else, and its number went to ${what}`);
    this.#ticket = new DescriptorTicket(this, number, what, madeAt);
    owned[number] = this.#ticket;
    claimDescriptor(number);
  }

  /** Opens a device node or file, close-on-exec. `SYSCALL_FAILED` with the kernel's errno. */
  static open(path: string, flags: number): Descriptor {
    if (path.includes("\0")) {
      throw new PeerbufError("ARGUMENT_INVALID", "a path cannot hold a zero byte");
    }
    const number = checked(
      () => libc().open(path, flags | O_CLOEXEC, 0),
      () => `open ${path}`,
    );
    return new Descriptor(number, path);
  }

  /**
   * Takes over a number that came by inheritance or from elsewhere in this process, and makes it
   * close-on-exec. `ARGUMENT_INVALID` when it has an owner here, `SYSCALL_FAILED` (EBADF) when it is not open.
   */
  static adopt(number: number, what: string): Descriptor {
    checkNumber(number);
    if (owned[number] !== undefined) {
      throw new PeerbufError(
        "ARGUMENT_INVALID",
        `descriptor ${number} is owned already: release it first, or use a duplicate`,
      );
    }
    checked(
      () => libc().fcntl(number, F_SETFD, FD_CLOEXEC),
      () => `take over descriptor ${number}`,
    );
    return new Descriptor(number, what);
  }

  /** A descriptor of our own for a number that stays its owner's. */
  static duplicateOf(number: number, what: string): Descriptor {
    return new Descriptor(duplicated(number), what);
  }

  /** For system calls. `HANDLE_CLOSED` after `close`, and when somebody else closed it and we know. */
  get number(): number {
    if (!this.isOpen) {
      throw new PeerbufError("HANDLE_CLOSED", `the descriptor of ${this.what} is closed`);
    }
    return this.#number;
  }

  /** `file:line:column` of the call that made it. */
  get madeAt(): string {
    return this.#ticket.madeAt;
  }

  get isOpen(): boolean {
    return this.#number >= 0 && this.#ticket.isOpen;
  }

  duplicate(): Descriptor {
    return Descriptor.duplicateOf(this.number, this.what);
  }

  /** Gives the number away: whoever takes it closes it. */
  release(): number {
    const { number } = this;
    this.#number = -1;
    owned[number] = undefined;
    disclaimDescriptor(number);
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

/**
 * A duplicate, close-on-exec, that its caller keeps by number and gives to `closeNumber`: for what never leaves
 * this folder.
 */
export function duplicateNumber(number: number): number {
  const duplicate = duplicated(number);
  claimDescriptor(duplicate);
  return duplicate;
}

export function closeNumber(number: number): void {
  disclaimDescriptor(number);
  libc().close(number);
}

function duplicated(number: number): number {
  checkNumber(number);
  return checked(
    () => libc().fcntl(number, F_DUPFD_CLOEXEC, 0),
    () => `duplicate descriptor ${number}`,
  );
}

/** `ARGUMENT_INVALID` for what cannot be the number of a descriptor. */
export function checkNumber(number: number): void {
  if (!(Number.isInteger(number) && number >= 0 && number <= FD_MAX)) {
    throw new PeerbufError("ARGUMENT_INVALID", `${String(number)} is no file descriptor`, {
      errno: "EBADF",
    });
  }
}
