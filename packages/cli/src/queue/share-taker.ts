/**
 * Share taker: takes shares out of the queue and does them with the hands of this machine.
 *
 * A share whose helper is lost is given to another one (BullMQ's stalled jobs), and does the same runs again. A share of
 * another program is put back, and ends the helper: its results would be of another driver.
 */
import { InputError, PeerbufError } from "@peerbuf/core";
import {
  type Campaign,
  HandLost,
  type Hands,
  type ScenarioSource,
  SHARE_TRIES_MAX,
} from "@peerbuf/testkit";
import type { Job, Worker } from "bullmq";
import { type Program, requireSame } from "./program.ts";
import type { RedisDoor } from "./redis-door.ts";
import { queueNameOf, type ShareAnswer, type ShareJob, type ShareProgress } from "./share-job.ts";

export interface TakerOptions {
  readonly door: RedisDoor;
  readonly program: Program;
  /** The driver on this machine. */
  readonly source: ScenarioSource;
  /** For messages: the driver's file. */
  readonly file: string;
  readonly hands: Hands;
  /** How many shares at once. */
  readonly workers: number;
  /** After so long without a sign of life a share is given to another helper, in ms; default 30,000. */
  readonly lostAfterMs?: number;
  /** Schedules of a share that are behind us. */
  readonly onProgress?: (schedules: number, campaign: Campaign) => void;
  /** A share is begun (1) or ended (-1). */
  readonly onBusy?: (change: 1 | -1) => void;
}

const LOST_AFTER_MS = 30_000;
const TOLD_EVERY_MS = 500;

export class ShareTaker {
  /** Done by this helper. */
  shares = 0;
  schedules = 0;
  /** Rejects when it is asked for runs of another program. Never resolves. */
  readonly refused: Promise<never>;
  readonly #options: TakerOptions;
  #worker: Worker<ShareJob, ShareAnswer> | undefined;
  #isOver = false;
  #ended = Promise.resolve();
  #refuse: (error: unknown) => void = () => undefined;

  constructor(options: TakerOptions) {
    this.#options = options;
    this.refused = new Promise((_resolve, reject) => {
      this.#refuse = reject;
    });
    this.refused.catch(() => undefined); // Whoever waits for it hears of it.
  }

  /** Resolves when it is ready for shares. */
  async begin(): Promise<void> {
    const { Worker: BullWorker } = await import("bullmq");
    const { door, program, workers, lostAfterMs = LOST_AFTER_MS } = this.#options;
    this.#worker = new BullWorker<ShareJob, ShareAnswer>(
      queueNameOf(program),
      (job, token) => this.#answer(job, token),
      {
        connection: door.connection,
        concurrency: workers,
        lockDuration: lostAfterMs,
        stalledInterval: lostAfterMs,
        maxStalledCount: SHARE_TRIES_MAX - 1,
      },
    );
    this.#worker.on("error", () => undefined); // Whether Redis has gone is the door's to say.
    await this.#worker.waitUntilReady();
  }

  /** Shares under way are put back. */
  end(): Promise<void> {
    if (!this.#isOver) {
      this.#isOver = true;
      this.#ended = this.#worker?.close() ?? this.#ended;
      this.#options.hands.stop();
    }
    return this.#ended;
  }

  async #answer(job: Job<ShareJob, ShareAnswer>, token?: string): Promise<ShareAnswer> {
    const { door, program, file, onBusy } = this.#options;
    try {
      requireSame(file, program, job.data.program);
    } catch (error) {
      // First given back: whoever hears of the refusal may end this process.
      return await this.#putBack(job, token).finally(() => this.#refuse(error));
    }
    if (!(await door.isAnnounced(job.data.owner))) {
      return null;
    }
    onBusy?.(1);
    try {
      return await this.#run(job, token);
    } finally {
      onBusy?.(-1);
    }
  }

  async #run(job: Job<ShareJob, ShareAnswer>, token?: string): Promise<ShareAnswer> {
    const { hands, source } = this.#options;
    const campaign: Campaign = { ...job.data.campaign, source };
    try {
      const report = await hands.run(campaign, job.data.share, this.#teller(job, campaign));
      if (this.#isOver) {
        return await this.#putBack(job, token);
      }
      this.shares++;
      this.schedules += report.schedules;
      return report;
    } catch (error) {
      if (this.#isOver && error instanceof HandLost) {
        return await this.#putBack(job, token);
      }
      throw await forTheQueue(error);
    }
  }

  #teller(job: Job<ShareJob, ShareAnswer>, campaign: Campaign): (schedules: number) => void {
    let toldMs = 0;
    return (schedules) => {
      this.#options.onProgress?.(schedules, campaign);
      if (performance.now() - toldMs > TOLD_EVERY_MS) {
        toldMs = performance.now();
        // A word that is lost costs nothing: the next one says the same.
        job.updateProgress({ schedules } satisfies ShareProgress).catch(() => undefined);
      }
    };
  }

  async #putBack(job: Job<ShareJob, ShareAnswer>, token?: string): Promise<never> {
    const { WaitingError } = await import("bullmq");
    await job.moveToWait(token);
    throw new WaitingError();
  }
}

/** A lost thread may have been bad luck; what a driver or scenario refuses, it refuses everywhere. */
async function forTheQueue(error: unknown): Promise<unknown> {
  if (error instanceof InputError || error instanceof PeerbufError) {
    const { UnrecoverableError } = await import("bullmq");
    return new UnrecoverableError(error.message);
  }
  return error;
}
