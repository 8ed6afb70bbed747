/**
 * Process I/O: the `Io` of a real process.
 *
 * A closed pipe arrives as an error event at some later time; it is kept and told to the next write.
 */
import { COLUMNS_DEFAULT, type Io, type Output, OutputFailed, PipeClosed } from "./io.ts";

export function processIo(): Io {
  return {
    stdout: streamOutput(process.stdout),
    stderr: streamOutput(process.stderr),
    cwd: process.cwd(),
    env: process.env,
    loadNames: async () => (await import("@peerbuf/topology")).loadDeviceNames(),
    interrupted,
  };
}

/** Whoever asks for it takes the place of the signals' own effect, which would be an end with exit code 130. */
function interrupted(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => controller.abort());
  }
  return controller.signal;
}

/** What is used of a stream; a terminal's has more than a pipe's. */
type TextStream = NodeJS.WritableStream & {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
};

export function streamOutput(stream: TextStream): Output {
  let failure: Error | undefined;
  stream.on("error", (error: NodeJS.ErrnoException) => {
    failure = failureOf(error);
  });
  return {
    isTerminal: stream.isTTY === true,
    get columns() {
      // A serial console says 0: it does not know.
      return stream.columns || COLUMNS_DEFAULT;
    },
    get rows() {
      return stream.rows || undefined;
    },
    async write(content) {
      if (failure === undefined && !taken(stream, content)) {
        await drained(stream);
      }
      if (failure !== undefined) {
        throw failure;
      }
    },
  };
}

const failureOf = ({ code, message }: NodeJS.ErrnoException): Error =>
  code === "EPIPE"
    ? new PipeClosed("the reader has gone")
    : new OutputFailed(`the output could not be written (${message})`);

/** Files are written at once and throw at once; pipes tell later. */
function taken(stream: TextStream, content: string | Uint8Array): boolean {
  try {
    return stream.write(content);
  } catch (error) {
    throw failureOf(error as NodeJS.ErrnoException);
  }
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
