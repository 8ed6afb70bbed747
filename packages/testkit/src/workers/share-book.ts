/**
 * Share book: what of several campaigns is to be done, under way and done, whoever does it.
 *
 * Shares are handed out in order. After a failure no later share of its campaign is handed out, and all earlier ones are waited
 * for: so the failure with the lowest number is the one that is found. A share that ends three workers ends everything.
 */
import { PeerbufError } from "@peerbuf/core";
import type { ExploreProgress, ExploreReport } from "../explorer/explore.ts";
import { TransitionCounts } from "../ground/transition.ts";
import {
  type Campaign,
  isLast,
  mergeShares,
  SHARE_SCHEDULES,
  type Share,
  type ShareReport,
  sharesOf,
} from "./campaign.ts";

/** A share, and whose it is. */
export interface Work {
  readonly campaign: Campaign;
  readonly share: Share;
}

/** How often a share is given out when its workers are lost. */
export const SHARE_TRIES_MAX = 3;
/** Shares for each hand, where the campaign is long enough: so that none is idle for long at the end. */
const SHARES_PER_HAND = 8;
const SHARE_SCHEDULES_MIN = 100;

/** How large shares should be for so many hands. */
export function shareSizeFor(campaigns: readonly Campaign[], hands: number): number {
  const all = campaigns.reduce((sum, { schedules }) => sum + schedules, 0);
  const wanted = Math.ceil(all / (hands * SHARES_PER_HAND));
  return Math.min(SHARE_SCHEDULES, Math.max(SHARE_SCHEDULES_MIN, wanted));
}

export class ShareBook {
  readonly #campaigns: readonly Campaign[];
  readonly #waiting: Work[];
  readonly #running = new Map<Work, number>();
  readonly #tries = new Map<Work, number>();
  readonly #done = new Map<Campaign, ShareReport[]>();
  /** Where a campaign that does not go on has failed. */
  readonly #ends = new Map<Campaign, number>();
  #schedules = 0;
  #failures = 0;

  constructor(campaigns: readonly Campaign[], shareSchedules?: number) {
    this.#campaigns = campaigns;
    this.#waiting = campaigns.flatMap((campaign) =>
      sharesOf(campaign, shareSchedules).map((share) => ({ campaign, share })),
    );
  }

  /** The next share to be done, which is under way from now on; undefined: none is left. */
  next(): Work | undefined {
    for (let work = this.#waiting.shift(); work !== undefined; work = this.#waiting.shift()) {
      if (this.isWanted(work)) {
        this.#running.set(work, 0);
        return work;
      }
    }
    return undefined;
  }

  /** False: its campaign has failed before it. */
  isWanted({ campaign, share }: Work): boolean {
    return share.first <= (this.#ends.get(campaign) ?? Number.POSITIVE_INFINITY);
  }

  heard(work: Work, schedules: number): void {
    if (this.#running.has(work)) {
      this.#running.set(work, schedules);
    }
  }

  take(work: Work, report: ShareReport): void {
    const { campaign } = work;
    this.#running.delete(work);
    this.#done.set(campaign, [...(this.#done.get(campaign) ?? []), report]);
    this.#schedules += report.schedules + report.cut;
    this.#failures += report.failures;
    if (isLast(report) && campaign.goesOn !== true) {
      this.#ends.set(campaign, Math.min(report.first, this.#ends.get(campaign) ?? report.first));
    }
  }

  /** Its worker is lost: it waits again. `DRIVER_BROKEN` when that was the last try. */
  again(work: Work, why: string): void {
    const tries = (this.#tries.get(work) ?? 1) + 1;
    this.#running.delete(work);
    if (tries > SHARE_TRIES_MAX) {
      throw tooOften(work, why);
    }
    this.#tries.set(work, tries);
    this.#waiting.unshift(work);
  }

  get progress(): ExploreProgress {
    let running = 0;
    for (const schedules of this.#running.values()) {
      running += schedules;
    }
    const ofSchedules = this.#campaigns.reduce((sum, { schedules }) => sum + schedules, 0);
    return { schedules: this.#schedules + running, ofSchedules, failures: this.#failures };
  }

  /** One for each campaign, in their order; of what has been done so far. */
  reports(): ExploreReport[] {
    return this.#campaigns.map((campaign) => {
      const done = this.#done.get(campaign);
      return done === undefined ? nothingOf(campaign) : mergeShares(done, campaign);
    });
  }
}

/** A share that ends whoever does it. */
export function tooOften({ campaign, share }: Work, why: string): PeerbufError {
  const last = share.first + share.schedules - 1;
  const what = `runs ${share.first} to ${last} of "${campaign.scenario}"`;
  return new PeerbufError("DRIVER_BROKEN", `${what} have ended ${SHARE_TRIES_MAX} workers: ${why}`);
}

/** Of a campaign that was interrupted before it began. */
const nothingOf = ({ scenario, strategy = "random", seed = 1 }: Campaign): ExploreReport => ({
  scenario,
  strategy,
  seed,
  schedules: 0,
  cut: 0,
  failures: 0,
  failure: undefined,
  failureAt: undefined,
  hash: 0,
  isComplete: false,
  transitions: new TransitionCounts(),
  faults: {},
  nondeterminism: undefined,
});
