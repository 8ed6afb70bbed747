/**
 * Campaign worker: what runs in a worker thread: does shares as they come, and says how far it is.
 */
import { parentPort } from "node:worker_threads";
import { InputError, type InputProblem } from "@peerbuf/core";
import { type Campaign, runShare, type Share, type ShareReport } from "./campaign.ts";

export type WorkerOrder =
  | { readonly kind: "share"; readonly campaign: Campaign; readonly share: Share }
  /** The share under way ends early. */
  | { readonly kind: "stop" };

export type WorkerMessage =
  | { readonly kind: "progress"; readonly schedules: number }
  | { readonly kind: "done"; readonly report: ShareReport }
  /** The share cannot be done, whoever does it. */
  | {
      readonly kind: "refused";
      readonly text: string;
      readonly code: string | undefined;
      readonly problem: InputProblem | undefined;
    };

const tell = (message: WorkerMessage): void => parentPort?.postMessage(message);
let stop = new AbortController();

parentPort?.on("message", (order: WorkerOrder) => {
  if (order.kind === "stop") {
    stop.abort();
    return;
  }
  stop = new AbortController();
  const { campaign, share } = order;
  const onProgress = ({ schedules }: { schedules: number }): void =>
    tell({ kind: "progress", schedules });
  runShare(campaign, share, { onProgress, signal: stop.signal }).then(
    (report) => tell({ kind: "done", report }),
    (error: unknown) => tell(refusal(campaign, error)),
  );
});

function refusal({ scenario }: Campaign, error: unknown): WorkerMessage {
  const why = error instanceof Error ? error.message : String(error);
  const text = `"${scenario}": ${why}`;
  const { code } = (error ?? {}) as { readonly code?: string };
  const problem = error instanceof InputError ? error.problem : undefined;
  return { kind: "refused", text, code, problem };
}
