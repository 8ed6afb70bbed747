/** Digest worker: the thread that reads captures of a fleet. Started by `DigestPool`. */
import { parentPort, workerData } from "node:worker_threads";
import { type Digested, digestCapture } from "./machine-digest.ts";

export interface DigestOrder {
  readonly kernel: string;
}

export interface DigestAnswer {
  /** Of the path in the order it was sent. */
  readonly index: number;
  readonly digested: Digested;
}

const { kernel } = workerData as DigestOrder;

parentPort?.on("message", async ({ index, path }: { index: number; path: string }) => {
  const answer: DigestAnswer = { index, digested: await digestCapture(path, kernel) };
  parentPort?.postMessage(answer);
});
