/**
 * Wait limits: when a wait is given up: by an abort, or after a time.
 *
 * A wait of several steps (for its turn, then for the peer) has one limit for all of them, so the time is
 * turned into a point in time at the beginning.
 */
import { PeerbufError } from "@peerbuf/core";
import { MonotonicClock } from "../clock.ts";

export interface ReadinessOptions {
  readonly signal?: AbortSignal | undefined;
  /** 0 or more, at most 2^31 - 1 (24 days); left out: no limit. */
  readonly timeoutMs?: number | undefined;
}

/** Options that were looked at, and when they end. */
export interface WaitLimits {
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number | undefined;
  readonly deadlineNs: number;
}

/** A wait that can be given up. */
export interface Watching {
  /** No wake after this. Does nothing when it woke before. */
  stop(): void;
}

const TIMEOUT_MS_MAX = 2 ** 31 - 1;
const NS_PER_MS = 1e6;
const NO_LIMITS: WaitLimits = {
  signal: undefined,
  timeoutMs: undefined,
  deadlineNs: Number.POSITIVE_INFINITY,
};
const clock = new MonotonicClock();

/** `ARGUMENT_INVALID` for a time that is none, `WAIT_INTERRUPTED` when it was aborted already. */
export function limitsOf(options: ReadinessOptions | undefined, what: string): WaitLimits {
  if (options === undefined) {
    return NO_LIMITS;
  }
  if (typeof options !== "object" || options === null) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `${String(options)} is no limit of a wait: { timeoutMs, signal } is one`,
    );
  }
  const { signal, timeoutMs } = options;
  checkTime(timeoutMs);
  checkSignal(signal);
  if (signal?.aborted === true) {
    throw interrupted(what, signal);
  }
  const deadlineNs =
    timeoutMs === undefined ? NO_LIMITS.deadlineNs : clock.nowNs + timeoutMs * NS_PER_MS;
  return { signal, timeoutMs, deadlineNs };
}

function checkTime(timeoutMs: number | undefined = 0): void {
  if (!(typeof timeoutMs === "number" && timeoutMs >= 0 && timeoutMs <= TIMEOUT_MS_MAX)) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `a wait of ${String(timeoutMs)} ms: 0 to ${TIMEOUT_MS_MAX} is possible`,
    );
  }
}

function checkSignal(signal: AbortSignal | undefined): void {
  if (signal !== undefined && typeof signal?.addEventListener !== "function") {
    throw new PeerbufError("ARGUMENT_INVALID", "what is to end a wait is no AbortSignal");
  }
}

/**
 * What `begin` resolves with, unless a limit is reached first: `WAIT_TIMED_OUT`, `WAIT_INTERRUPTED`. The
 * wait is stopped on every path. A limit of 0 waits for one turn of the event loop.
 */
export function within<T>(
  limits: WaitLimits,
  what: string,
  begin: (resolve: (value: T) => void) => Watching,
): Promise<T> {
  return limits === NO_LIMITS
    ? new Promise((resolve) => begin(resolve))
    : limited(limits, what, begin);
}

async function limited<T>(
  { signal, timeoutMs, deadlineNs }: WaitLimits,
  what: string,
  begin: (resolve: (value: T) => void) => Watching,
): Promise<T> {
  let stop: (() => void) | undefined;
  try {
    return await new Promise<T>((resolve, reject) => {
      const interrupt = (): void => reject(interrupted(what, signal));
      if (signal?.aborted === true) {
        interrupt();
        return;
      }
      const watching = begin(resolve);
      const leftMs = Math.max(0, (deadlineNs - clock.nowNs) / NS_PER_MS);
      const timer =
        timeoutMs === undefined
          ? undefined
          : setTimeout(() => reject(timedOut(what, timeoutMs)), Math.ceil(leftMs));
      const ignore = signal === undefined ? undefined : onAbort(signal, interrupt);
      stop = () => {
        watching.stop();
        clearTimeout(timer);
        ignore?.();
      };
    });
  } finally {
    stop?.();
  }
}

/** Waits that a signal ends: one listener for all of them, or Node would warn of a leak from the eleventh on. */
const waitsOf = new WeakMap<AbortSignal, { readonly ends: Set<() => void>; close(): void }>();

/** Calls `end` at the abort, until what it answers is called. */
function onAbort(signal: AbortSignal, end: () => void): () => void {
  const waits = waitsOf.get(signal) ?? listenTo(signal);
  waits.ends.add(end);
  return () => {
    if (waits.ends.delete(end) && waits.ends.size === 0) {
      waits.close();
    }
  };
}

function listenTo(signal: AbortSignal): { readonly ends: Set<() => void>; close(): void } {
  const ends = new Set<() => void>();
  const endAll = (): void => {
    for (const end of ends) {
      end();
    }
  };
  const close = (): void => {
    signal.removeEventListener("abort", endAll);
    waitsOf.delete(signal);
  };
  const waits = { ends, close };
  waitsOf.set(signal, waits);
  signal.addEventListener("abort", endAll, { once: true });
  return waits;
}

const interrupted = (what: string, signal: AbortSignal | undefined): PeerbufError =>
  new PeerbufError("WAIT_INTERRUPTED", `interrupted: waiting for ${what}`, {
    cause: signal?.reason,
  });

const timedOut = (what: string, timeoutMs: number): PeerbufError =>
  new PeerbufError("WAIT_TIMED_OUT", `waiting for ${what}: not within ${timeoutMs} ms`);
