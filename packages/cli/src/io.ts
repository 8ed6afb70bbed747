/**
 * Io: everything a command may use of the world around it.
 *
 * `main` gets it handed in, so a test runs the whole command in its own process and reads what was
 * printed. Results go to `stdout`, everything else to `stderr`.
 */
import type { DeviceNames } from "@peerbuf/topology";

export interface Output {
  /** Resolves when the content is taken; slow readers hold the writer back. @throws PipeClosed, OutputFailed */
  write(content: string | Uint8Array): Promise<void>;
  /** A person is looking: colour and progress make sense. */
  readonly isTerminal: boolean;
  /** Characters in a line. */
  readonly columns: number;
  /** Lines that a terminal shows; left out where there is none. */
  readonly rows?: number | undefined;
}

export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Relative paths of the person start here. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Names of devices, asked for once. Left out: the built-in ones, which are the same on every machine. */
  readonly loadNames?: () => Promise<DeviceNames>;
  /** Aborted when the person has seen enough (ctrl-C). Asked only by what runs until then. */
  readonly interrupted?: () => AbortSignal;
}

/** The reader went away (`| head`): there is nobody left to tell, so the command just ends. */
export class PipeClosed extends Error {
  override readonly name = "PipeClosed";
}

/** The output takes no more (a full disk): nothing that peerbuf could mend. */
export class OutputFailed extends Error {
  override readonly name = "OutputFailed";
}

/** Width of text that does not go to a terminal. */
export const COLUMNS_DEFAULT = 100;
