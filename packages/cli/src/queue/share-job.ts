/**
 * Share job: what goes through the queue, as JSON.
 *
 * Where the driver is on a machine is that machine's own: the job only says which program it is of.
 */
import type { Campaign, Share, ShareReport } from "@peerbuf/testkit";
import type { Program } from "./program.ts";

export interface ShareJob {
  /** Under this key its owner says that it still waits for the answer. */
  readonly owner: string;
  readonly program: Program;
  readonly campaign: Omit<Campaign, "source">;
  readonly share: Share;
}

/** Null: nobody waited for it any more, so it was not done. */
export type ShareAnswer = ShareReport | null;

/** Told while a share is under way. */
export interface ShareProgress {
  readonly schedules: number;
}

/** Whoever explores a driver of this name meets here; who joins with another one waits at another place. */
export const queueNameOf = ({ driver }: Program): string => `peerbuf-explore-${driver}`;
