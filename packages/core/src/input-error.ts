/**
 * Input error: something a person gave us (a capture, a scenario, an argument) cannot be used.
 *
 * Names the file and the place in it, the cause, and what to do. The command turns it into one
 * message on stderr and exit code 2; it never shows a stack for it.
 */
export interface InputProblem {
  /** The file, folder or argument as the person wrote it. */
  readonly source: string;
  /** Where in it: a line and column, a JSON path, a path inside a tar. Left out when it is all of it. */
  readonly place?: string;
  /** What is wrong there, with the value that was found. */
  readonly cause: string;
  /** What the person can do about it. */
  readonly remedy: string;
}

export class InputError extends Error {
  override readonly name = "InputError";
  readonly problem: InputProblem;

  constructor(problem: InputProblem, options?: ErrorOptions) {
    const where =
      problem.place === undefined ? problem.source : `${problem.source}: ${problem.place}`;
    super(`${where}: ${problem.cause}. ${problem.remedy}`, options);
    this.problem = problem;
  }
}
