/**
 * Signalling sections: finds code that waits on its way to a signal.
 *
 * Between publishing a fence and signaling it, nothing may wait for a fence or take a reservation
 * lock: whoever waits for this fence may hold that lock. Linux finds it with lockdep
 * (dma_fence_begin_signalling, drivers/dma-buf/dma-fence.c); here a driver marks the path and such a
 * wait is refused with `WAIT_IN_SIGNALLING`. Costs one comparison per wait while unused.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { PeerbufError } from "../error.ts";

/** What `begin` gives and `end` takes. */
export interface SignallingSection {
  readonly label: string;
  readonly depth: number;
}

export class SignallingAnnotation {
  private readonly sections: SignallingSection[] = [];
  private storage: AsyncLocalStorage<string> | undefined = undefined;

  /** Opens a section for the synchronous code up to `end`. Sections nest. */
  begin(label: string): SignallingSection {
    const section = { label, depth: this.sections.length };
    this.sections.push(section);
    return section;
  }

  /** Closes the innermost section; another one is `WRONG_ORDER` and changes nothing. */
  end(section: SignallingSection): void {
    if (this.sections.at(-1) !== section) {
      const message = `signalling section "${section.label}" is not the innermost open one`;
      throw new PeerbufError("WRONG_ORDER", message);
    }
    this.sections.pop();
  }

  /** Marks `work` and everything it awaits, but nothing of other tasks that run in between. */
  run<T>(label: string, work: () => T): T {
    this.storage ??= new AsyncLocalStorage<string>();
    return this.storage.run(label, work);
  }

  /** The refusal for whoever wants to wait now; undefined when waiting is fine. */
  refusal(what: string): PeerbufError | undefined {
    if (this.sections.length === 0 && this.storage === undefined) {
      return undefined;
    }
    const label = this.sections.at(-1)?.label ?? this.storage?.getStore();
    return label === undefined
      ? undefined
      : new PeerbufError(
          "WAIT_IN_SIGNALLING",
          `${what} inside signalling section "${label}": whoever waits for its fence may hold what this waits for`,
        );
  }
}
