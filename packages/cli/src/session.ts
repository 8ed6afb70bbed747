/** Session: one run of the command, as the subcommands see it. */
import type { DeviceNames } from "@peerbuf/topology";
import { EXIT, type ExitCode } from "./exit-code.ts";
import type { Io } from "./io.ts";
import { type Paint, paintFor } from "./paint.ts";

export class Session {
  readonly io: Io;
  /** Colours for stdout. */
  readonly paint: Paint;
  /** What the process will answer. */
  exitCode: ExitCode = EXIT.OK;
  #names: Promise<DeviceNames> | undefined;

  constructor(io: Io) {
    this.io = io;
    this.paint = paintFor(io.stdout, io.env);
  }

  /** What people call devices. */
  names(): Promise<DeviceNames> {
    this.#names ??= this.io.loadNames?.() ?? builtInNames();
    return this.#names;
  }

  /** A whole human answer, line by line. */
  async printLines(lines: Iterable<string>): Promise<void> {
    await this.io.stdout.write([...lines, ""].join("\n"));
  }

  /** A whole JSON answer of moderate size. Matrices are streamed instead. */
  async printJson(answer: unknown): Promise<void> {
    await this.io.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
  }
}

async function builtInNames(): Promise<DeviceNames> {
  const topology = await import("@peerbuf/topology");
  return new topology.DeviceNames();
}
