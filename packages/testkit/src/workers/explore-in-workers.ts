/**
 * Explore in workers: one campaign on several threads of this machine.
 *
 * Shares are handed out in order. A worker that dies (a driver that exits or eats all memory) is replaced, and its share done
 * again; a share that kills three workers ends the campaign with an error that names it. After a failure no later share is
 * handed out, so the failure with the lowest number is found, with one thread or with many.
 */
import { Worker } from "node:worker_threads";
import { PeerbufError, type PeerbufErrorCode } from "@peerbuf/core";
import type { ExploreProgress, ExploreReport } from "../explorer/explore.ts";
import { type Campaign, mergeShares, type Share, type ShareReport, sharesOf } from "./campaign.ts";
import type { WorkerMessage } from "./campaign-worker.ts";

export interface WorkersOptions {
  /** Threads; 1 to 256. */
  readonly workers: number;
  /** Schedules in a share. */
  readonly shareSchedules?: number;
  /** Heap of each thread, in MiB; default 512. */
  readonly heapMiB?: number;
  readonly onProgress?: (progress: ExploreProgress) => void;
  /** Ends the campaign; what was done until then is the report. */
  readonly signal?: AbortSignal;
}

const WORKERS_MAX = 256;
const TRIES_MAX = 3;
const HEAP_MIB = 512;

export async function exploreInWorkers(
  campaign: Campaign,
  options: WorkersOptions,
): Promise<ExploreReport> {
  const { workers } = options;
  if (!(Number.isInteger(workers) && workers >= 1 && workers <= WORKERS_MAX)) {
    const message = `${workers} workers: 1 to ${WORKERS_MAX} are possible`;
    throw new PeerbufError("ARGUMENT_INVALID", message);
  }
  const crew = new Crew(campaign, options);
  await Promise.all(Array.from({ length: workers }, () => crew.work()));
  return crew.report();
}

class Crew {
  readonly #campaign: Campaign;
  readonly #options: WorkersOptions;
  readonly #shares: Share[];
  readonly #reports: ShareReport[] = [];
  /** Schedules of shares under way. */
  readonly #running = new Map<Share, number>();
  readonly #tries = new Map<Share, number>();
  #hasFailed = false;
  /** Of the worker that was lost last. */
  #lastWord = "";

  constructor(campaign: Campaign, options: WorkersOptions) {
    this.#campaign = campaign;
    this.#options = options;
    this.#shares = sharesOf(campaign, options.shareSchedules);
  }

  /** One hand: takes shares until there are none. */
  async work(): Promise<void> {
    let worker = this.#newWorker();
    try {
      for (let share = this.#next(); share !== undefined; share = this.#next()) {
        const report = await this.#done(worker, share);
        if (report === undefined) {
          await worker.terminate();
          worker = this.#newWorker();
          this.#again(share);
        } else {
          this.#take(share, report);
        }
      }
    } finally {
      await endQuietly(worker);
    }
  }

  report(): ExploreReport {
    return mergeShares(this.#reports);
  }

  #next(): Share | undefined {
    const isOver = this.#hasFailed || this.#options.signal?.aborted === true;
    return isOver && this.#reports.length > 0 ? undefined : this.#shares.shift();
  }

  #take(share: Share, report: ShareReport): void {
    this.#running.delete(share);
    this.#reports.push(report);
    const isFailure = report.failure !== undefined || report.nondeterminism !== undefined;
    this.#hasFailed ||= isFailure && this.#campaign.goesOn !== true;
    this.#progress();
  }

  #again(share: Share): void {
    const tries = (this.#tries.get(share) ?? 1) + 1;
    this.#running.delete(share);
    if (tries > TRIES_MAX) {
      const last = share.first + share.schedules - 1;
      const message = `runs ${share.first} to ${last} of "${this.#campaign.scenario}" have ended ${TRIES_MAX} workers`;
      throw new PeerbufError("DRIVER_BROKEN", `${message}: ${this.#lastWord}`);
    }
    this.#tries.set(share, tries);
    this.#shares.unshift(share);
  }

  /** Undefined: the worker is gone. */
  #done(worker: Worker, share: Share): Promise<ShareReport | undefined> {
    this.#running.set(share, 0);
    return new Promise((resolve, reject) => {
      const heard = (message: WorkerMessage): void => {
        if (message.kind === "progress") {
          this.#running.set(share, message.schedules);
          this.#progress();
          return;
        }
        worker.off("message", heard).off("exit", left);
        if (message.kind === "done") {
          resolve(message.report);
        } else {
          reject(refusal(message));
        }
      };
      const left = (code: number): void => {
        this.#lastWord ||= `exit code ${code}`;
        resolve(undefined);
      };
      worker.on("message", heard).once("exit", left);
      worker.postMessage(share);
    });
  }

  #newWorker(): Worker {
    const maxOldGenerationSizeMb = this.#options.heapMiB ?? HEAP_MIB;
    const worker = new Worker(WORKER_FILE, {
      ...(IS_SOURCE ? { execArgv: [] } : {}),
      workerData: this.#campaign,
      resourceLimits: { maxOldGenerationSizeMb },
    });
    // An exit follows every error.
    return worker.on("error", ({ message }: Error) => {
      this.#lastWord = message;
    });
  }

  #progress(): void {
    const done = this.#reports.reduce((total, { schedules }) => total + schedules, 0);
    const running = [...this.#running.values()].reduce((total, count) => total + count, 0);
    const failures = this.#reports.reduce((total, report) => total + report.failures, 0);
    const ofSchedules = this.#campaign.schedules;
    this.#options.onProgress?.({ schedules: done + running, ofSchedules, failures });
  }
}

/** Threads run JavaScript: beside a TypeScript source that is the built one, without the flags that find sources. */
const IS_SOURCE = import.meta.url.endsWith(".ts");
const WORKER_FILE = new URL(
  IS_SOURCE ? "../../dist/workers/campaign-worker.js" : "./campaign-worker.js",
  import.meta.url,
);

const refusal = ({ text, code }: { text: string; code: string | undefined }): PeerbufError =>
  new PeerbufError((code ?? "DRIVER_BROKEN") as PeerbufErrorCode, text);

/** Longer than V8 needs to finish what it is compiling. */
const QUIET_MS = 100;

/**
 * Ends an idle thread. Not at once: Node 20 aborts the process when a thread ends while V8 still compiles
 * for it in the background (node_platform.cc, `ForIsolate`; seen with 20.20).
 */
async function endQuietly(worker: Worker): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  await worker.terminate();
}
