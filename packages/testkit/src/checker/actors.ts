/**
 * Actors: who runs now, as far as a single thread can tell.
 *
 * A driver runs inside its own callbacks, clock events and interrupts; an explorer says by itself who
 * takes a step. After an `await` nobody is known to run, and then nobody is accused.
 */
export class Actors {
  /** Empty: nobody in particular. */
  current = "";
  /** Depth of `invalidateMappings` calls on the stack. */
  invalidating = 0;

  run<T>(actor: string, work: () => T): T {
    const before = this.current;
    this.current = actor;
    try {
      return work();
    } finally {
      this.current = before;
    }
  }
}

/** The line of the first caller outside of this kit and of core; only where traces are asked for. */
export function placeOfCall(): string | undefined {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, placeOfCall);
  const lines = holder.stack?.split("\n").slice(1) ?? [];
  const outside = lines.find((line) => !/\/(testkit|core)\/(src|dist)\//.test(line));
  return outside?.trim();
}
