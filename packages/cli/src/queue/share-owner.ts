/**
 * Share owner: puts the shares of campaigns into the queue, and the reports that come back together.
 *
 * Shares that a failure has made idle are taken out again, and so is all that is left when the owner stops. An owner that dies
 * is noticed by the helpers: what nobody waits for is not done.
 */
import { randomUUID } from "node:crypto";
import type { PeerbufError } from "@peerbuf/core";
import {
  type Campaign,
  type ExploreProgress,
  type ExploreReport,
  SHARE_TRIES_MAX,
  ShareBook,
  shareSizeFor,
  tooOften,
  type Work,
} from "@peerbuf/testkit";
import type { Queue, QueueEvents } from "bullmq";
import type { Program } from "./program.ts";
import type { RedisDoor } from "./redis-door.ts";
import { queueNameOf, type ShareAnswer, type ShareJob, type ShareProgress } from "./share-job.ts";

export interface OwnerOptions {
  readonly door: RedisDoor;
  readonly program: Program;
  /** Schedules in a share; default by the length of the campaigns. */
  readonly shareSchedules?: number;
  readonly onProgress?: (progress: ExploreProgress) => void;
  /** Ends it; what was done until then is the report. */
  readonly signal?: AbortSignal;
}

/** How many hands there may be is not known beforehand. */
const HANDS_EXPECTED = 16;
/** Answers are kept for so long for an owner that has lost its connection, in s. */
const KEPT_SECONDS = 600;

/** `DRIVER_BROKEN`: the same runs have ended three helpers. `InputError`: Redis has gone. */
export async function handOut(
  campaigns: readonly Campaign[],
  options: OwnerOptions,
): Promise<ExploreReport[]> {
  const { Queue: BullQueue, QueueEvents: BullEvents } = await import("bullmq");
  const name = queueNameOf(options.program);
  const { connection } = options.door;
  const queue = new BullQueue<ShareJob, ShareAnswer>(name, { connection });
  const events = new BullEvents(name, { connection });
  // Whether Redis has gone is the door's to say.
  queue.on("error", () => undefined);
  events.on("error", () => undefined);
  const owner = new Owner(campaigns, options, queue);
  try {
    return await owner.reports(events);
  } finally {
    await atMost(CLOSING_MS, Promise.all([events.close(), queue.close()]));
  }
}

/** A client whose Redis has gone does not end by itself. */
const CLOSING_MS = 1_000;

async function atMost(limitMs: number, work: Promise<unknown>): Promise<void> {
  await Promise.race([
    work.catch(() => undefined), // What cannot be closed any more is gone.
    new Promise((resolve) => {
      setTimeout(resolve, limitMs);
    }),
  ]);
}

class Owner {
  readonly #key = `peerbuf-campaign-${randomUUID()}`;
  readonly #options: OwnerOptions;
  readonly #queue: Queue<ShareJob, ShareAnswer>;
  readonly #book: ShareBook;
  /** Under way or waiting, by the id of the job. */
  readonly #outstanding = new Map<string, Work>();
  #finish: () => void = () => undefined;
  #fail: (error: Error) => void = () => undefined;

  constructor(
    campaigns: readonly Campaign[],
    options: OwnerOptions,
    queue: Queue<ShareJob, ShareAnswer>,
  ) {
    const size = options.shareSchedules ?? shareSizeFor(campaigns, HANDS_EXPECTED);
    this.#options = options;
    this.#queue = queue;
    this.#book = new ShareBook(campaigns, size);
  }

  async reports(events: QueueEvents): Promise<ExploreReport[]> {
    const { door, signal } = this.#options;
    const finished = new Promise<void>((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
    const stop = (): void => this.#finish();
    signal?.addEventListener("abort", stop);
    this.#listen(events);
    try {
      await Promise.race([door.lost, this.#begin(events)]);
      await Promise.race([door.lost, finished]);
      return this.#book.reports();
    } finally {
      signal?.removeEventListener("abort", stop);
      await atMost(CLOSING_MS, this.#takeBack([...this.#outstanding.keys()]));
    }
  }

  async #begin(events: QueueEvents): Promise<void> {
    const { door, program, signal } = this.#options;
    await events.waitUntilReady();
    await door.announce(this.#key);
    for (let work = this.#book.next(); work !== undefined; work = this.#book.next()) {
      this.#outstanding.set(`${this.#key}-${this.#outstanding.size}`, work);
    }
    const jobs = [...this.#outstanding].map(([jobId, work]) => {
      const { source: _ours, ...campaign } = work.campaign;
      const data: ShareJob = { owner: this.#key, program, campaign, share: work.share };
      return { name: "share", data, opts: { ...JOB, jobId } };
    });
    await this.#queue.addBulk(jobs);
    if (signal?.aborted === true) {
      this.#finish();
    }
  }

  #listen(events: QueueEvents): void {
    events.on("completed", ({ jobId, returnvalue }) => {
      this.#take(jobId, returnvalue as unknown as ShareAnswer);
    });
    events.on("failed", ({ jobId, failedReason }) => {
      const work = this.#outstanding.get(jobId);
      if (work !== undefined) {
        this.#fail(failureOf(work, failedReason));
      }
    });
    events.on("progress", ({ jobId, data }) => {
      const work = this.#outstanding.get(jobId);
      if (work !== undefined) {
        this.#book.heard(work, (data as unknown as ShareProgress).schedules);
        this.#options.onProgress?.(this.#book.progress);
      }
    });
  }

  #take(jobId: string, report: ShareAnswer): void {
    const work = this.#outstanding.get(jobId);
    if (work === undefined || report === null) {
      return;
    }
    this.#outstanding.delete(jobId);
    this.#book.take(work, report);
    const idle = [...this.#outstanding].flatMap(([id, each]) =>
      this.#book.isWanted(each) ? [] : [id],
    );
    for (const id of idle) {
      this.#outstanding.delete(id);
    }
    this.#takeBack([jobId, ...idle]).catch(() => undefined); // They expire anyway.
    this.#options.onProgress?.(this.#book.progress);
    if (this.#outstanding.size === 0) {
      this.#finish();
    }
  }

  /** Those that somebody works on stay until they are done. */
  async #takeBack(jobIds: readonly string[]): Promise<void> {
    await Promise.all(jobIds.map((jobId) => this.#queue.remove(jobId)));
  }
}

const JOB = {
  attempts: SHARE_TRIES_MAX,
  removeOnComplete: { age: KEPT_SECONDS },
  removeOnFail: { age: KEPT_SECONDS },
};

/** BullMQ's own words for a job whose workers were lost say nothing to a driver's author. */
function failureOf(work: Work, reason: string): PeerbufError {
  const why = /stalled/.test(reason) ? "whoever did them was not heard of again" : reason;
  return tooOften(work, why);
}
