/**
 * Explore in workers: campaigns on several threads of this machine.
 *
 * The reports are those that one thread would give, whatever the number of threads: see `share-book.ts`.
 */
import type { ExploreProgress, ExploreReport } from "../explorer/explore.ts";
import type { Campaign } from "./campaign.ts";
import { HandLost, Hands, type HandsOptions } from "./hands.ts";
import { ShareBook, shareSizeFor } from "./share-book.ts";

export interface WorkersOptions extends HandsOptions {
  /** Schedules in a share; default by the length of the campaigns and the number of workers. */
  readonly shareSchedules?: number;
  /** Over all campaigns. */
  readonly onProgress?: (progress: ExploreProgress) => void;
  /** Ends it; what was done until then is the report. */
  readonly signal?: AbortSignal;
}

/** `DRIVER_BROKEN`: the same runs have ended three workers. */
export async function exploreInWorkers(
  campaign: Campaign,
  options: WorkersOptions,
): Promise<ExploreReport> {
  const [report] = await exploreAllInWorkers([campaign], options);
  return report as ExploreReport;
}

/** Several campaigns, which share the threads. A report for each, in their order. */
export async function exploreAllInWorkers(
  campaigns: readonly Campaign[],
  options: WorkersOptions,
): Promise<ExploreReport[]> {
  const { workers, shareSchedules = shareSizeFor(campaigns, workers), signal } = options;
  const hands = new Hands(options);
  const book = new ShareBook(campaigns, shareSchedules);
  const stop = (): void => hands.stop();
  signal?.addEventListener("abort", stop);
  try {
    await Promise.all(Array.from({ length: workers }, () => workThrough(book, hands, options)));
    return book.reports();
  } finally {
    signal?.removeEventListener("abort", stop);
    await hands.close();
  }
}

/** One hand: takes shares until there are none. */
async function workThrough(
  book: ShareBook,
  hands: Hands,
  { onProgress, signal }: WorkersOptions,
): Promise<void> {
  const isOver = (): boolean => signal?.aborted === true || hands.isClosed;
  while (!isOver()) {
    const work = book.next();
    if (work === undefined) {
      return;
    }
    const heard = (schedules: number): void => {
      book.heard(work, schedules);
      onProgress?.(book.progress);
    };
    try {
      book.take(work, await hands.run(work.campaign, work.share, heard));
    } catch (error) {
      if (!(error instanceof HandLost)) {
        throw error;
      }
      if (isOver()) {
        return;
      }
      book.again(work, error.message);
    }
    onProgress?.(book.progress);
  }
}
