/**
 * Unheard: what a driver throws where nobody can catch it: in a timer of its own, and in a promise that nobody awaits.
 *
 * An exception ends the run, as it would end any process. Rejections are counted, by all threads of the process together,
 * and told once with the answer, as what they are: work of the driver's own that failed without a word.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { BroadcastChannel } from "node:worker_threads";
import { ruleOf } from "@peerbuf/testkit";
import { oneLine } from "../report-error.ts";
import type { FoundViolation, KitReport } from "./kit-order.ts";

const CHANNEL = "peerbuf-unheard";
const RULE = "PLT-035";
const WORDS_MAX = 300;

/** Of one thread, since it last told. */
interface Rejections {
  readonly count: number;
  /** What the first one said. */
  readonly first: string;
}

/** A worker thread: its exception becomes the error that ends it, its rejections go to the process that answers. */
export function sendUnheard(): void {
  const channel = new BroadcastChannel(CHANNEL);
  channel.unref();
  let untold: Rejections | undefined;
  process.on("unhandledRejection", (reason) => {
    if (untold === undefined) {
      setImmediate(() => {
        channel.postMessage(untold);
        untold = undefined;
      });
    }
    untold = { count: (untold?.count ?? 0) + 1, first: untold?.first ?? wordsOf(reason) };
  });
  process.on("uncaughtException", (error) => {
    throw new Error(thrown(error));
  });
}

/** The process that answers. */
export class UnheardBook {
  readonly #channel = new BroadcastChannel(CHANNEL);
  #count = 0;
  #first = "";

  /** `onThrown` hears why the run is over, as the end of a sentence. */
  constructor(onThrown: (why: string) => void) {
    this.#channel.unref();
    this.#channel.onmessage = (event) => {
      this.#note((event as { readonly data: Rejections }).data);
    };
    process.on("unhandledRejection", (reason) => this.#note({ count: 1, first: wordsOf(reason) }));
    process.on("uncaughtException", (error) => onThrown(thrown(error)));
  }

  /** Says the count on stderr; Node tells of a rejection in the turn after it. */
  async close(): Promise<void> {
    await nextTurn();
    await nextTurn();
    if (this.#count > 0) {
      const whose = this.#count === 1 ? "a promise" : `${this.#count} promises`;
      const were = this.#count === 1 ? "was" : "were";
      process.stderr.write(
        `${whose} of the driver ${were} rejected and nobody looked: ${this.#first}\n`,
      );
    }
  }

  /** The report with the finding, if there is one: without the count, which hangs on who did which runs. */
  addedTo(report: KitReport): KitReport {
    return this.#count === 0
      ? report
      : { ...report, violations: [...report.violations, this.#finding(report)] };
  }

  #note({ count, first }: Rejections): void {
    this.#first ||= first;
    this.#count += count;
  }

  #finding({ driver, checks }: KitReport): FoundViolation {
    const { text: ruleText, source } = ruleOf(RULE);
    const text = `a promise of its own was rejected and nobody looked: ${this.#first}`;
    const by = checks.length > 0 ? "contract" : "explorer";
    const where = { in: "a promise of its own", by, actor: "", step: 0 } as const;
    return { rule: RULE, ruleText, source, subject: driver.name, text, ...where };
  }
}

const thrown = (error: unknown): string =>
  `threw in a timer or callback of its own (${wordsOf(error)})`;

/** Anything can be thrown, also what has no text. */
function wordsOf(thrown: unknown): string {
  try {
    const text = thrown instanceof Error ? thrown.message || thrown.name : String(thrown);
    return oneLine(text).slice(0, WORDS_MAX);
  } catch {
    return "something without a text";
  }
}
