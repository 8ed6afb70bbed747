/**
 * Kit process: runs somebody's driver where it can do no harm, in bounded time and memory.
 *
 * A process of its own, killed when nothing is heard of it for too long or it takes too much. What the driver prints goes to
 * our stderr, as far as anybody wants to read. From TypeScript sources, which Node cannot start a process from, the built
 * files beside them are used.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { InputProblem } from "@peerbuf/core";
import type { Io } from "../io.ts";
import type {
  HelpReport,
  KitMessage,
  KitOrder,
  KitReport,
  KitRequest,
  KitStage,
} from "./kit-order.ts";
import { forwardPrinted } from "./printed.ts";
import { residentBytes } from "./resident.ts";

export interface KitLimits {
  /** For loading the module, and again for opening the driver. */
  readonly openMs: number;
  /** Without any progress. */
  readonly quietMs: number;
  /** Of the process itself, and of each thread that explores. */
  readonly memoryBytes: number;
}

/** It was stopped, or ended by itself. */
export interface KitStopped {
  readonly kind: "stopped";
  readonly stage: KitStage;
  readonly at: string;
  /** The end of a sentence. */
  readonly why: string;
  /** What had been found. */
  readonly report: KitReport | undefined;
}

export type KitEnd =
  | { readonly kind: "report"; readonly report: KitReport }
  | { readonly kind: "helped"; readonly report: HelpReport }
  /** The person had seen enough. */
  | {
      readonly kind: "interrupted";
      readonly stage: KitStage;
      readonly report: KitReport | undefined;
    }
  | { readonly kind: "problem"; readonly problem: InputProblem }
  | { readonly kind: "bug"; readonly stack: string }
  | KitStopped;

export interface KitListener {
  stage(stage: KitStage, total: number): void;
  progress(done: number): void;
}

const MEMORY_POLL_MS = 50;
/** For an answer to "it is enough"; with a queue, shares are given back first. */
const STOP_MS = 3_000;
const QUEUE_STOP_MS = 10_000;
const MIB = 2 ** 20;
/**
 * Nothing of a run outlives it, whatever V8 makes of the first ones: what it takes for long-lived and puts into the old
 * space keeps the runs after it alive until a full collection. With a checker that is more than half of the time.
 */
const SHORT_LIVES = ["--no-allocation-site-pretenuring"];

/** `signal`: the person has seen enough; what was found so far is the answer. */
export function runKit(
  io: Io,
  order: KitOrder,
  limits: KitLimits,
  listener: KitListener,
  signal?: AbortSignal,
): Promise<KitEnd> {
  const child = fork(childPath(), [String(process.pid)], {
    execArgv: [`--max-old-space-size=${Math.ceil(limits.memoryBytes / MIB)}`, ...SHORT_LIVES],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    serialization: "advanced",
  });
  forwardPrinted(child, io);
  const watch = new KitWatch(child, order, limits, listener);
  child.send({ kind: "order", order } satisfies KitRequest);
  if (signal?.aborted === true) {
    watch.interrupt();
  }
  signal?.addEventListener("abort", () => watch.interrupt(), { once: true });
  return watch.ended;
}

const childPath = (): string =>
  fileURLToPath(
    import.meta.url.endsWith(".js")
      ? new URL("./kit-child.js", import.meta.url)
      : new URL("../../dist/driver-kit/kit-child.js", import.meta.url),
  );

/** Waits for the answer, and stops whoever does not give one. */
class KitWatch {
  readonly ended: Promise<KitEnd>;
  readonly #child: ChildProcess;
  readonly #limits: KitLimits;
  readonly #listener: KitListener;
  /** Threads that explore beside the process itself. */
  readonly #threads: number;
  readonly #stopMs: number;
  readonly #memoryTimer: NodeJS.Timeout;
  #quietTimer: NodeJS.Timeout | undefined;
  #stage: KitStage = "load";
  /** The check or scenario under way. */
  #at = "";
  #part: KitReport | undefined;
  #answer: KitEnd | undefined;
  #isInterrupted = false;
  /** It was told that it is enough, and why. */
  #stopWhy: string | undefined;

  constructor(child: ChildProcess, order: KitOrder, limits: KitLimits, listener: KitListener) {
    this.#child = child;
    this.#limits = limits;
    this.#listener = listener;
    this.#threads = order.workers > 1 || order.queue !== undefined ? order.workers : 0;
    this.#stopMs = order.queue === undefined ? STOP_MS : QUEUE_STOP_MS;
    this.#memoryTimer = setInterval(() => this.#watchMemory(), MEMORY_POLL_MS);
    this.#begin("load");
    child.on("message", (message) => this.#hear(message as KitMessage));
    this.ended = new Promise((resolve, reject) => {
      child.on("error", (error) => {
        this.#watchNoMore();
        reject(error);
      });
      child.on("close", (code, signal) => {
        this.#watchNoMore();
        resolve(this.#answer ?? this.#end(endedBy(code, signal, limits)));
      });
    });
  }

  #watchNoMore(): void {
    clearInterval(this.#memoryTimer);
    clearTimeout(this.#quietTimer);
  }

  /** The process may answer with what it has; then it is over either way. */
  interrupt(): void {
    this.#isInterrupted = true;
    this.#stop("");
  }

  #hear(message: KitMessage): void {
    switch (message.kind) {
      case "stage":
        this.#begin(message.stage);
        this.#listener.stage(message.stage, message.total);
        break;
      case "progress":
        this.#at = message.what;
        this.#waitAgain();
        this.#listener.progress(message.done);
        break;
      case "part":
        this.#part = message.report;
        break;
      case "broken":
        this.#kill(this.#end(message.why));
        break;
      case "report":
        this.#part = message.report;
        this.#kill(this.#stopWhy === undefined ? message : this.#end(this.#stopWhy));
        break;
      default:
        this.#kill(message);
    }
  }

  #begin(stage: KitStage): void {
    this.#stage = stage;
    this.#waitAgain();
  }

  /** Loading and opening have limits of their own; who waits for work may do so for ever. */
  #waitAgain(): void {
    if (this.#stopWhy !== undefined) {
      return;
    }
    const { openMs, quietMs } = this.#limits;
    const isFirst = this.#stage === "load" || this.#stage === "open";
    const limitMs = isFirst ? openMs : quietMs;
    clearTimeout(this.#quietTimer);
    if (this.#stage !== "wait") {
      const why = isFirst ? "did not come back" : "made no progress";
      const whole = `${why} within ${limitMs / 1000} s`;
      this.#quietTimer = setTimeout(() => this.#stop(whole), limitMs);
    }
  }

  /** What it has found is worth a short wait, where threads of its own may hang and not it itself. */
  #stop(why: string): void {
    this.#stopWhy ??= why;
    clearTimeout(this.#quietTimer);
    if (this.#child.connected) {
      this.#child.send({ kind: "stop" } satisfies KitRequest, () => undefined);
    }
    const isWorthIt = this.#isInterrupted || this.#threads > 0;
    this.#quietTimer = setTimeout(() => this.#kill(this.#end(why)), isWorthIt ? this.#stopMs : 0);
  }

  #watchMemory(): void {
    const exploring = this.#stage === "explore" || this.#stage === "wait" ? this.#threads : 0;
    if (residentBytes(this.#child.pid) > this.#limits.memoryBytes * (1 + exploring)) {
      this.#kill(this.#end(tooMuchMemory(this.#limits)));
    }
  }

  /** It has said all; timers of the driver's need not run on. */
  #kill(answer: KitEnd): void {
    this.#answer ??= answer;
    this.#child.kill("SIGKILL");
  }

  #end(why: string): KitEnd {
    const [stage, report] = [this.#stage, this.#part];
    return this.#isInterrupted
      ? { kind: "interrupted", stage, report }
      : { kind: "stopped", stage, at: this.#at, why, report };
  }
}

function endedBy(code: number | null, signal: string | null, limits: KitLimits): string {
  if (signal === "SIGABRT" || code === 134) {
    return tooMuchMemory(limits);
  }
  return signal === null ? `ended the process with code ${code}` : `was ended by ${signal}`;
}

const tooMuchMemory = ({ memoryBytes }: KitLimits): string =>
  `took more than ${Math.round(memoryBytes / MIB)} MiB of memory`;
