/**
 * Digest pool: reads the captures of a fleet on all cores.
 *
 * Each thread holds at most `AHEAD` captures that it has not answered yet, so memory does not grow with
 * the fleet. Without threads, or run from TypeScript sources, which Node cannot start a thread from, the
 * captures are read in this one.
 */
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { DigestAnswer, DigestOrder } from "./digest-worker.ts";
import type { CaptureFile } from "./find-captures.ts";
import { type Digested, digestCapture } from "./machine-digest.ts";

/** Orders that wait in a thread, so that it never waits for us. */
const AHEAD = 4;
/** Small fleets are read before a thread has started. */
const CAPTURES_MIN = 24;

export interface PoolOptions {
  readonly kernel: string;
  /** 0: none. */
  readonly threadCount: number;
  /** Told after each capture. */
  readonly onDone: (doneCount: number) => Promise<void>;
}

/** One digest for each capture, in their order. */
export async function digestAll(
  captures: readonly CaptureFile[],
  options: PoolOptions,
): Promise<Digested[]> {
  const worker = new URL("./digest-worker.js", import.meta.url);
  const isBuilt = import.meta.url.endsWith(".js");
  return options.threadCount > 0 && isBuilt && captures.length >= CAPTURES_MIN
    ? digestInThreads(captures, options, fileURLToPath(worker))
    : digestHere(captures, options);
}

async function digestHere(
  captures: readonly CaptureFile[],
  { kernel, onDone }: PoolOptions,
): Promise<Digested[]> {
  const digests: Digested[] = [];
  for (const { path } of captures) {
    digests.push(await digestCapture(path, kernel));
    await onDone(digests.length);
  }
  return digests;
}

/** Longer than V8 needs to finish what it is compiling. */
const QUIET_MS = 100;

async function digestInThreads(
  captures: readonly CaptureFile[],
  { kernel, threadCount, onDone }: PoolOptions,
  workerPath: string,
): Promise<Digested[]> {
  const order: DigestOrder = { kernel };
  const workers = Array.from(
    { length: Math.min(threadCount, captures.length) },
    () => new Worker(workerPath, { workerData: order }),
  );
  try {
    return await collect(captures, workers, onDone);
  } finally {
    // Not at once: Node 20 aborts when a thread ends while V8 still compiles for it (node_platform.cc).
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/** Hands out orders as answers come in. A thread that dies takes the whole run with it: that is a bug. */
function collect(
  captures: readonly CaptureFile[],
  workers: readonly Worker[],
  onDone: PoolOptions["onDone"],
): Promise<Digested[]> {
  return new Promise((resolve, reject) => {
    const digests: Digested[] = [];
    let nextIndex = 0;
    let doneCount = 0;
    const give = (worker: Worker): void => {
      const capture = captures[nextIndex];
      if (capture !== undefined) {
        worker.postMessage({ index: nextIndex, path: capture.path });
        nextIndex += 1;
      }
    };
    const take = async (worker: Worker, { index, digested }: DigestAnswer): Promise<void> => {
      digests[index] = digested;
      doneCount += 1;
      give(worker);
      await onDone(doneCount);
      if (doneCount === captures.length) {
        resolve(digests);
      }
    };
    for (const worker of workers) {
      worker.on("error", reject);
      worker.on("message", (answer: DigestAnswer) => take(worker, answer).catch(reject));
      for (let ahead = 0; ahead < AHEAD; ahead++) {
        give(worker);
      }
    }
  });
}
