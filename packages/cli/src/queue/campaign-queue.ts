/**
 * Campaign queue: one exploration on many machines, over Redis.
 *
 * Who explores puts the shares of a campaign into a queue and puts the reports together; every machine that helps takes shares
 * out of it. A share whose worker is lost is given to another one (BullMQ's stalled jobs), and does the same runs again. BullMQ and
 * its client are loaded only when a queue is used.
 */
import { InputError } from "@peerbuf/core";
import {
  type Campaign,
  type ExploreProgress,
  type ExploreReport,
  mergeShares,
  runShare,
  type Share,
  type ShareReport,
  sharesOf,
} from "@peerbuf/testkit";
import type { Job } from "bullmq";
import type { RedisOptions } from "ioredis";

export interface QueueOptions {
  /** `redis://host:port`. */
  readonly url: string;
  /** Campaigns and helpers meet by this name; default `peerbuf-explore`. */
  readonly name?: string;
  readonly signal?: AbortSignal;
}

export interface HandOutOptions extends QueueOptions {
  /** Schedules in a share. */
  readonly shareSchedules?: number;
  readonly onProgress?: (progress: ExploreProgress) => void;
}

export interface HelpOptions extends QueueOptions {
  /** After so long without a sign of life a share is given to another helper, in ms; default 30,000. */
  readonly lostAfterMs?: number;
  /** Told when the helper is ready for shares. */
  readonly onReady?: () => void;
}

interface ShareJob {
  readonly campaign: Campaign;
  readonly share: Share;
}

const QUEUE_NAME = "peerbuf-explore";
const LOST_AFTER_MS = 30_000;
const TRIES_MAX = 3;

/** Hands a campaign out and waits for the whole of it. Somebody has to help: this process does no share itself. */
export async function exploreOnQueue(
  campaign: Campaign,
  options: HandOutOptions,
): Promise<ExploreReport> {
  const { Queue, QueueEvents } = await import("bullmq");
  const connection = connectionOf(options.url);
  const name = options.name ?? QUEUE_NAME;
  const queue = new Queue<ShareJob, ShareReport>(name, { connection });
  const events = new QueueEvents(name, { connection });
  try {
    await events.waitUntilReady();
    const shares = sharesOf(campaign, options.shareSchedules);
    const jobs = await queue.addBulk(
      shares.map((share) => ({ name: "share", data: { campaign, share }, opts: JOB })),
    );
    const reports: ShareReport[] = [];
    const reported = async (job: Job<ShareJob, ShareReport>): Promise<void> => {
      reports.push(await job.waitUntilFinished(events));
      options.onProgress?.(progressOf(campaign, reports));
    };
    await Promise.all(jobs.map(reported));
    return mergeShares(reports);
  } finally {
    await events.close();
    await queue.close();
  }
}

const JOB = { attempts: TRIES_MAX, removeOnComplete: { age: 3_600 }, removeOnFail: { age: 3_600 } };

/** Takes shares until the signal says enough; one at a time. */
export async function helpOnQueue(options: HelpOptions): Promise<void> {
  const { Worker } = await import("bullmq");
  const lostAfterMs = options.lostAfterMs ?? LOST_AFTER_MS;
  const worker = new Worker<ShareJob, ShareReport>(
    options.name ?? QUEUE_NAME,
    async ({ data }) => runShare(data.campaign, data.share),
    {
      connection: connectionOf(options.url),
      lockDuration: lostAfterMs,
      stalledInterval: lostAfterMs,
      maxStalledCount: TRIES_MAX,
    },
  );
  await worker.waitUntilReady();
  options.onReady?.();
  await new Promise<void>((resolve) => {
    if (options.signal?.aborted === true) {
      resolve();
    }
    options.signal?.addEventListener("abort", () => resolve(), { once: true });
  });
  await worker.close();
}

/** BullMQ wants its client to wait for a Redis that is away for a while. */
type RequestRetries = { readonly [Key in keyof Pick<RedisOptions, "maxRetriesPerRequest">]: null };

/** `InputError` for what is no address of a Redis. */
function connectionOf(url: string): { readonly url: string } & RequestRetries {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^rediss?:$/.test(parsed.protocol) || parsed.hostname === "") {
    throw new InputError({
      source: url,
      cause: "this is no address of a Redis",
      remedy: "Give one such as redis://127.0.0.1:6379",
    });
  }
  return { url, maxRetriesPerRequest: null };
}

function progressOf(campaign: Campaign, reports: readonly ShareReport[]): ExploreProgress {
  const schedules = reports.reduce((total, report) => total + report.schedules, 0);
  const failures = reports.reduce((total, report) => total + report.failures, 0);
  return { schedules, ofSchedules: campaign.schedules, failures };
}
