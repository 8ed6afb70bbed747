/**
 * Process I/O: the `Io` of a real process.
 *
 * A closed pipe arrives as an error event at some later time; it is kept and told to the next write.
 */
import { COLUMNS_DEFAULT, type Io, type Output, PipeClosed } from "./io.ts";

export function processIo(): Io {
  return {
    stdout: streamOutput(process.stdout),
    stderr: streamOutput(process.stderr),
    cwd: process.cwd(),
    env: process.env,
  };
}

/** What is used of a stream; a terminal's has more than a pipe's. */
type TextStream = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };

export function streamOutput(stream: TextStream): Output {
  let failure: Error | undefined;
  stream.on("error", (error: NodeJS.ErrnoException) => {
    failure = error.code === "EPIPE" ? new PipeClosed("the reader has gone") : error;
  });
  return {
    isTerminal: stream.isTTY === true,
    get columns() {
      return stream.columns ?? COLUMNS_DEFAULT;
    },
    async write(text) {
      if (failure === undefined && !stream.write(text)) {
        await drained(stream);
      }
      if (failure !== undefined) {
        throw failure;
      }
    },
  };
}

function drained(stream: TextStream): Promise<void> {
  return new Promise((resolve) => {
    const events = ["drain", "close", "error"];
    const done = (): void => {
      for (const event of events) {
        stream.removeListener(event, done);
      }
      resolve();
    };
    for (const event of events) {
      stream.on(event, done);
    }
  });
}
