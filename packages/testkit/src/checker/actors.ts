/**
 * Actors: who runs now, as far as a single thread can tell.
 *
 * A driver runs inside its own callbacks, clock events and interrupts; an explorer says by itself who
 * takes a step. After an `await` nobody is known to run unless the work is a task, and then nobody is
 * accused.
 */
import { AsyncLocalStorage } from "node:async_hooks";

export class Actors {
  /** Depth of `invalidateMappings` calls on the stack. */
  invalidating = 0;
  /** Depth of a driver's completions (interrupts, clock events, ends of engine work) on the stack. */
  completing = 0;
  #running = "";
  /** Whose turn it is, as the one says who drives the run. */
  #turnOf = "";

  /** Empty: nobody in particular. */
  get current(): string {
    return this.#running === "" ? (this.task?.actor ?? this.#turnOf) : this.#running;
  }

  set current(actor: string) {
    this.#turnOf = actor;
  }

  /** The task that runs now, across its `await`s. */
  get task(): Task | undefined {
    const task = tasks?.getStore();
    return task?.of === this ? task : undefined;
  }

  run<T>(actor: string, work: () => T): T {
    const before = this.#running;
    this.#running = actor;
    try {
      return work();
    } finally {
      this.#running = before;
    }
  }

  /** A completion of this driver: whatever it waits for, its fences wait for. */
  complete<T>(actor: string, work: () => T): T {
    this.completing++;
    try {
      return this.run(actor, work);
    } finally {
      this.completing--;
    }
  }

  /** The work, and everything that it awaits, is one sequential task of this actor. */
  runTask<T>(actor: string, work: () => T): T {
    tasks ??= new AsyncLocalStorage();
    return tasks.run({ actor, of: this }, work);
  }
}

/** One sequential piece of somebody's work; compared by identity. */
export interface Task {
  readonly actor: string;
  readonly of: Actors;
}

/**
 * One for all checkers, made by the first task: following promises costs something even while unused, and each storage
 * that was ever used costs it again, at every promise to the end of the process.
 */
let tasks: AsyncLocalStorage<Task> | undefined;

/** The line of the first caller outside of this kit and of core; only where traces are asked for. */
export function placeOfCall(): string | undefined {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, placeOfCall);
  const lines = holder.stack?.split("\n").slice(1) ?? [];
  const outside = lines.find((line) => !/\/(testkit|core)\/(src|dist)\//.test(line));
  return outside?.trim();
}
