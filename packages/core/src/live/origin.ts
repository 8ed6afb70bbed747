/**
 * Origin: what a handle is called in errors and, if asked for, the line of code that made it.
 *
 * A stack costs over a microsecond, as much as a whole attach and map, so it is taken only for
 * handles that are rare (buffers) or when the framework was made with `traceHandles`.
 */
export class Origin {
  readonly label: string;
  readonly #trace: { stack?: string } | undefined;

  constructor(label: string, madeBy?: (...args: never[]) => unknown) {
    this.label = label;
    // A limit of 0 asks for no stacks at all, and even an empty one costs as much as a mapping.
    if (madeBy !== undefined && Error.stackTraceLimit !== 0) {
      this.#trace = {};
      Error.captureStackTrace(this.#trace, madeBy);
    }
  }

  /** `mapping 3 of nvme@0000:16:00.0 on "weights", made at file:///.../train.ts:12:31`. */
  toString(): string {
    const line = this.#trace?.stack?.split("\n")[1]?.trim();
    return line === undefined ? this.label : `${this.label}, made ${line}`;
  }
}
