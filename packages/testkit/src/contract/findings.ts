/**
 * Findings: what one check found, in the order of its discovery, and which of it is a mere consequence.
 *
 * The first finding is the one that a report begins with, so it has to be the nearest to the mistake.
 */
import type { Checker } from "../checker/checker.ts";
import type { Violation } from "../checker/violation.ts";

export class Findings {
  readonly #checker: Checker;
  /** What the check demanded in vain, each with the number of things that the checker had found before. */
  readonly #demanded: { readonly after: number; readonly violation: Violation }[] = [];
  /** What was thrown, at a step or at the end: told when nothing else explains it. */
  #consequence: Violation | undefined;

  constructor(checker: Checker) {
    this.#checker = checker;
  }

  demanded(violation: Violation): void {
    this.#demanded.push({ after: this.#checker.violations.length, violation });
  }

  /** The first one is kept. */
  followed(violation: Violation): void {
    this.#consequence ??= violation;
  }

  /** Everything but what follows from something worse. */
  causes(): Violation[] {
    const all = this.#inOrder();
    const own = all.filter((each) => !isOfTheKit(each));
    const kept = own.length > 0 ? own : all;
    return kept.length > 0 || this.#consequence === undefined ? kept : [this.#consequence];
  }

  #inOrder(): Violation[] {
    const { violations: watched } = this.#checker;
    const all: Violation[] = [];
    let taken = 0;
    for (const { after, violation } of this.#demanded) {
      all.push(...watched.slice(taken, after), violation);
      taken = after;
    }
    return [...all, ...watched.slice(taken)];
  }
}

/** Said of a probe or a partner: they go wrong when the driver under test has left them in the lurch. */
const isOfTheKit = ({ subject, text }: Violation): boolean =>
  /^(probe\d|partner|partner-card|contract-memory@|fence partner|fence suite|fence fence suite)/.test(
    subject,
  ) ||
  (!subject.startsWith("fence ") && /release of .* of partner/.test(text));
