/**
 * Bracket: CPU access to a buffer, from begin to end.
 *
 * Between the two the bytes are seen in place and the kernel keeps caches in order (DMA_BUF_IOCTL_SYNC).
 * Brackets may nest, in any directions; when the last one of a buffer ends, every view that was given out
 * is detached: later use throws or reads nothing, and cannot hit memory that is gone.
 */
import { PeerbufError } from "@peerbuf/core";
import { checkUse, type Use } from "../buffers/dma-buf-requests.ts";

/** What a bracket needs of its buffer. */
export interface BracketedBuffer {
  readonly what: string;
  /** The bytes, mapped if they are not. */
  bytes(): ArrayBuffer;
  /** The kernel's START or END, with the same direction both times. */
  sync(use: Use, edge: "start" | "end"): void;
  /** The last bracket ended. Where nobody was given the bytes, there are no views to revoke. */
  rest(isSeen: boolean): void;
}

/** An open bracket. `end` it, once; `using` does. */
export interface CpuAccess extends Disposable {
  readonly use: Use;
  /** The whole buffer. `HANDLE_CLOSED` after `end`. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Caches are in order for devices again. A second time is `HANDLE_CLOSED`. */
  end(): void;
}

/** The brackets of one buffer. */
export class Brackets {
  readonly #buffer: BracketedBuffer;
  #openCount = 0;
  /** Whether anybody was given the bytes since they were taken away last. */
  #isSeen = false;

  constructor(buffer: BracketedBuffer) {
    this.#buffer = buffer;
  }

  get openCount(): number {
    return this.#openCount;
  }

  get what(): string {
    return this.#buffer.what;
  }

  /** Waits in the kernel for work on the buffer that is in the way; `idle` first keeps the event loop going. */
  begin(use: Use): CpuAccess {
    checkUse(use);
    const bytes = this.#buffer.bytes();
    this.#buffer.sync(use, "start");
    this.#openCount++;
    return new Bracket(use, bytes, this);
  }

  /** Views are to be taken away when the last bracket ends. */
  see(): void {
    this.#isSeen = true;
  }

  /** For the bracket itself. Counted as ended even if the kernel refuses the END, so that the views go on every path. */
  end(use: Use): void {
    this.#openCount--;
    try {
      this.#buffer.sync(use, "end");
    } finally {
      if (this.#openCount === 0) {
        const isSeen = this.#isSeen;
        this.#isSeen = false;
        this.#buffer.rest(isSeen);
      }
    }
  }
}

/** Runs `work` with the bytes of an access, which ends on every path. `ARGUMENT_INVALID` for asynchronous work. */
export function within<T>(access: CpuAccess, work: (bytes: Uint8Array<ArrayBuffer>) => T): T {
  using open = access;
  const result = work(open.bytes);
  if (isThenable(result)) {
    // What it comes to is told to nobody: this error is what went wrong.
    Promise.resolve(result).catch(() => undefined);
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      "asynchronous work in withBytesSync: its bytes end before it does, so use withBytes",
    );
  }
  return result;
}

/** Also promises of other realms, and what only looks like one. */
const isThenable = (result: unknown): result is PromiseLike<unknown> =>
  typeof (result as { then?: unknown } | null | undefined)?.then === "function";

class Bracket implements CpuAccess {
  readonly use: Use;
  readonly #brackets: Brackets;
  #bytes: ArrayBuffer | undefined;

  constructor(use: Use, bytes: ArrayBuffer, brackets: Brackets) {
    this.use = use;
    this.#bytes = bytes;
    this.#brackets = brackets;
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    const bytes = this.#open();
    if (bytes.byteLength === 0) {
      throw new PeerbufError(
        "HANDLE_CLOSED",
        `the bytes of ${this.#brackets.what} were moved to another ArrayBuffer: end this access and begin anew`,
      );
    }
    this.#brackets.see();
    return new Uint8Array(bytes);
  }

  end(): void {
    this.#open();
    this.#bytes = undefined;
    this.#brackets.end(this.use);
  }

  [Symbol.dispose](): void {
    if (this.#bytes !== undefined) {
      this.end();
    }
  }

  #open(): ArrayBuffer {
    if (this.#bytes === undefined) {
      throw new PeerbufError(
        "HANDLE_CLOSED",
        `this CPU access to ${this.#brackets.what} has ended`,
      );
    }
    return this.#bytes;
  }
}
