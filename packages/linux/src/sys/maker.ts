/**
 * Maker: the line of code that asked for a handle.
 *
 * Found at once and kept as text, 4 µs: a stack kept for later would keep alive every object that it runs
 * through, the handle's owner among them, and no forgotten handle would ever be noticed.
 */

/** Frames of this package say nothing about who forgot. */
const OURS: string = new URL("..", import.meta.url).pathname;
/** Frames looked at; ours are fewer. */
const FRAMES_MAX = 12;

/** `file:line:column` of the first frame outside of this package. */
export function findMaker(): string {
  const { prepareStackTrace, stackTraceLimit } = Error;
  // Refused where a program has frozen Error: handles are made all the same.
  const isOurs = Reflect.set(Error, "prepareStackTrace", firstStranger);
  Reflect.set(Error, "stackTraceLimit", FRAMES_MAX);
  try {
    return isOurs ? stackOf() : UNKNOWN;
  } finally {
    Reflect.set(Error, "prepareStackTrace", prepareStackTrace);
    Reflect.set(Error, "stackTraceLimit", stackTraceLimit);
  }
}

/** What `firstStranger` says. */
function stackOf(): string {
  const trace: { stack?: string } = {};
  Error.captureStackTrace(trace, findMaker);
  return trace.stack ?? UNKNOWN;
}

const UNKNOWN = "an unknown place";

function firstStranger(_: Error, frames: NodeJS.CallSite[]): string {
  for (const frame of frames) {
    const file = frame.getFileName();
    if (file != null && !file.includes(OURS)) {
      return `${file}:${frame.getLineNumber()}:${frame.getColumnNumber()}`;
    }
  }
  return UNKNOWN;
}
