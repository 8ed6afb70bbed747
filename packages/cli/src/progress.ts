/**
 * Progress: a bar on stderr for work over a second, when a person is looking.
 *
 * Own code because it is thirty lines: progress packages draw on streams of their own choice and
 * start timers that keep a process alive.
 */
import type { Io } from "./io.ts";

/** Work shorter than this draws nothing, in milliseconds. */
const QUIET_MS = 1000;
/** Time between two pictures, in milliseconds. */
const REDRAW_MS = 100;
const BAR_COLUMNS = 30;
const ERASE_LINE = "\r\u001b[K";

export interface Progress {
  /** `done` of `total` steps are behind us. */
  at(done: number): Promise<void>;
  /** Takes the bar away. */
  end(): Promise<void>;
}

/** `nowMs` for tests; any clock that moves forward. */
export function startProgress(
  io: Io,
  what: string,
  total: number,
  nowMs: () => number = () => performance.now(),
): Progress {
  let drawnMs = nowMs() + QUIET_MS - REDRAW_MS;
  let isDrawn = false;
  return {
    async at(done) {
      if (io.stderr.isTerminal && nowMs() >= drawnMs + REDRAW_MS) {
        drawnMs = nowMs();
        isDrawn = true;
        await io.stderr.write(`${ERASE_LINE}${picture(what, done, total)}`);
      }
    },
    async end() {
      if (isDrawn) {
        await io.stderr.write(ERASE_LINE);
      }
    },
  };
}

function picture(what: string, done: number, total: number): string {
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const full = Math.round(share * BAR_COLUMNS);
  const bar = "█".repeat(full) + "░".repeat(BAR_COLUMNS - full);
  return `${what} ${bar} ${Math.floor(share * 100)} %`;
}
