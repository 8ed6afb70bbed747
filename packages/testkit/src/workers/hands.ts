/**
 * Hands: worker threads of this machine that do shares, each one at a time.
 *
 * A thread that dies (a driver that exits or eats all memory) takes its share with it, and whoever gave it out is told; the
 * next share gets a new thread.
 */
import { Worker } from "node:worker_threads";
import { InputError, PeerbufError, type PeerbufErrorCode } from "@peerbuf/core";
import type { Campaign, Share, ShareReport } from "./campaign.ts";
import type { WorkerMessage, WorkerOrder } from "./campaign-worker.ts";

export interface HandsOptions {
  /** Threads; 1 to 256. They start when they are needed. */
  readonly workers: number;
  /** Heap of each thread, in MiB; default 512. */
  readonly heapMiB?: number;
}

/** The thread is gone, and the share was not done. */
export class HandLost extends Error {
  override readonly name = "HandLost";
}

const WORKERS_MAX = 256;
const HEAP_MIB = 512;
/** Between two runs a thread hears what it is told. */
const STOP_MS = 1_000;

export class Hands {
  readonly #heapMiB: number;
  readonly #idle: Worker[] = [];
  readonly #busy = new Set<Worker>();
  #isClosed = false;

  /** `ARGUMENT_INVALID` for a number of threads that cannot be. */
  constructor({ workers, heapMiB = HEAP_MIB }: HandsOptions) {
    if (!(Number.isInteger(workers) && workers >= 1 && workers <= WORKERS_MAX)) {
      const message = `${workers} workers: 1 to ${WORKERS_MAX} are possible`;
      throw new PeerbufError("ARGUMENT_INVALID", message);
    }
    this.#heapMiB = heapMiB;
  }

  /**
   * Does a share in a thread of its own; the caller keeps to the number of threads.
   *
   * @throws HandLost when the thread died, and what the share's source or scenario threw
   */
  async run(
    campaign: Campaign,
    share: Share,
    onProgress: (schedules: number) => void,
  ): Promise<ShareReport> {
    if (this.#isClosed) {
      throw new HandLost("there are no hands any more");
    }
    const worker = this.#idle.pop() ?? this.#start();
    this.#busy.add(worker);
    try {
      const report = await answer(worker, { kind: "share", campaign, share }, onProgress);
      this.#idle.push(worker);
      return report;
    } catch (error) {
      await worker.terminate();
      throw error;
    } finally {
      this.#busy.delete(worker);
    }
  }

  /** Shares under way end early, with reports of what was done; a thread that does not even hear of it is ended. */
  stop(): void {
    const told = [...this.#busy];
    for (const worker of told) {
      worker.postMessage({ kind: "stop" } satisfies WorkerOrder);
    }
    setTimeout(() => this.#endBusy(told), STOP_MS).unref();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const all = [...this.#idle.splice(0), ...this.#busy];
    await Promise.all(all.map(endQuietly));
  }

  #endBusy(told: readonly Worker[]): void {
    for (const worker of told) {
      if (this.#busy.has(worker)) {
        worker.terminate().catch(() => undefined); // Its end is told where its share is waited for.
      }
    }
  }

  #start(): Worker {
    const worker = new Worker(WORKER_FILE, {
      ...(IS_SOURCE ? { execArgv: [] } : {}),
      resourceLimits: { maxOldGenerationSizeMb: this.#heapMiB },
    });
    // What a driver left behind may end the thread between two shares, when nobody waits for it.
    worker.on("error", () => undefined).once("exit", () => this.#forget(worker));
    return worker;
  }

  #forget(worker: Worker): void {
    const at = this.#idle.indexOf(worker);
    if (at >= 0) {
      this.#idle.splice(at, 1);
    }
  }
}

function answer(
  worker: Worker,
  order: WorkerOrder,
  onProgress: (schedules: number) => void,
): Promise<ShareReport> {
  return new Promise((resolve, reject) => {
    let lastWord: string | undefined;
    const heard = (message: WorkerMessage): void => {
      if (message.kind === "progress") {
        onProgress(message.schedules);
        return;
      }
      worker.off("message", heard).off("error", failed).off("exit", left);
      if (message.kind === "done") {
        resolve(message.report);
      } else {
        reject(refusal(message));
      }
    };
    // An exit follows every error.
    const failed = ({ message }: Error): void => {
      lastWord = message;
    };
    const left = (code: number): void => reject(new HandLost(lastWord ?? `exit code ${code}`));
    worker.on("message", heard).once("error", failed).once("exit", left);
    worker.postMessage(order);
  });
}

/** Threads run JavaScript: beside a TypeScript source that is the built one, without the flags that find sources. */
const IS_SOURCE = import.meta.url.endsWith(".ts");
const WORKER_FILE = new URL(
  IS_SOURCE ? "../../dist/workers/campaign-worker.js" : "./campaign-worker.js",
  import.meta.url,
);

const refusal = ({ text, code, problem }: Extract<WorkerMessage, { kind: "refused" }>): Error =>
  problem === undefined
    ? new PeerbufError((code ?? "DRIVER_BROKEN") as PeerbufErrorCode, text)
    : new InputError(problem);

/** Longer than V8 needs to finish what it is compiling. */
const QUIET_MS = 100;

/**
 * Ends a thread. Not at once: Node 20 aborts the process when a thread ends while V8 still compiles
 * for it in the background (node_platform.cc, `ForIsolate`; seen with 20.20).
 */
async function endQuietly(worker: Worker): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  await worker.terminate();
}
