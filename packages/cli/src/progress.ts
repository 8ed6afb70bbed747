/**
 * Progress: a bar on stderr for work over a second, when a person is looking: how much is done, how fast, and how long it will
 * take.
 *
 * Own code because it is short: progress packages draw on streams of their own choice and start timers that keep a process alive.
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
  const startMs = nowMs();
  let drawnMs = startMs + QUIET_MS - REDRAW_MS;
  let isDrawn = false;
  return {
    async at(done) {
      const now = nowMs();
      if (io.stderr.isTerminal && now >= drawnMs + REDRAW_MS) {
        drawnMs = now;
        isDrawn = true;
        const line = picture({ what, done, total, elapsedMs: now - startMs }, io.stderr.columns);
        await io.stderr.write(`${ERASE_LINE}${line}`);
      }
    },
    async end() {
      if (isDrawn) {
        await io.stderr.write(ERASE_LINE);
      }
    },
  };
}

interface Moment {
  readonly what: string;
  readonly done: number;
  readonly total: number;
  readonly elapsedMs: number;
}

/** As many of the figures as the line has room for: one that wraps cannot be taken away again. */
function picture({ what, done, total, elapsedMs }: Moment, columns: number): string {
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const full = Math.round(share * BAR_COLUMNS);
  const bar = "█".repeat(full) + "░".repeat(BAR_COLUMNS - full);
  const perSecond = elapsedMs === 0 ? 0 : (done * 1000) / elapsedMs;
  const figures = [
    `${what} ${bar} ${Math.floor(share * 100)} %`,
    `${grouped(done)}/${grouped(total)}`,
    `${perSecond < 10 ? perSecond.toFixed(1) : grouped(perSecond)}/s`,
    `${clockText(elapsedMs)} gone`,
    ...(done > 0 && done < total ? [`${clockText(((total - done) / perSecond) * 1000)} left`] : []),
  ];
  let line = "";
  for (const figure of figures) {
    const longer = line === "" ? figure : `${line}  ${figure}`;
    if (longer.length >= columns) {
      break;
    }
    line = longer;
  }
  return line;
}

const grouped = (count: number): string => Math.round(count).toLocaleString("en-US");

/** Minutes and seconds, with hours when there are any. */
function clockText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const hours = Math.floor(seconds / 3600);
  const [minutes, rest] = [Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (part: number): string => String(part).padStart(2, "0");
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}
