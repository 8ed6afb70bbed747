/**
 * Campaign worker: what runs in a worker thread: does shares as they come, and says how far it is.
 */
import { parentPort, workerData } from "node:worker_threads";
import { type Campaign, runShare, type Share, type ShareReport } from "./campaign.ts";

export type WorkerMessage =
  | { readonly kind: "progress"; readonly schedules: number }
  | { readonly kind: "done"; readonly report: ShareReport }
  /** The share cannot be done, whoever does it. */
  | { readonly kind: "refused"; readonly text: string; readonly code: string | undefined };

const campaign = workerData as Campaign;
const tell = (message: WorkerMessage): void => parentPort?.postMessage(message);

parentPort?.on("message", (share: Share) => {
  const onProgress = ({ schedules }: { schedules: number }): void =>
    tell({ kind: "progress", schedules });
  runShare(campaign, share, onProgress).then(
    (report) => tell({ kind: "done", report }),
    (error: Error & { code?: string }) =>
      tell({ kind: "refused", text: error.message, code: error.code }),
  );
});
