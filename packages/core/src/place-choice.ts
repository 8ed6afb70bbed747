/**
 * Place choice: where a buffer should live so that everyone attached is served best.
 *
 * For exporters that have more than one place and do not want to write this themselves. Whoever is
 * pinned must be served; then as many others as possible; then the nearest and fastest paths win.
 * The exporter decides: this only ranks.
 */
import type { AttachmentView } from "./buffer-control.ts";
import { type PathVerdict, usable } from "./verdict.ts";

/** A place the exporter could put the buffer. */
export interface Place<Name extends string = string> {
  readonly name: Name;
  /**
   * `device`: served are importers that kept P2P, over a path that carries both directions, and those with
   * a way of their own, which is not topology's to judge. `system`: everyone.
   */
  readonly memory: "device" | "system";
  /** The path from this place to an importer, where it is not the one of the attachment (memory of another device). */
  pathTo?(attachment: AttachmentView): PathVerdict;
}

export interface RankedPlace<Name extends string = string> {
  readonly place: Place<Name>;
  /** Attachments that could not map the buffer there. */
  readonly unserved: readonly AttachmentView[];
  /** Some of them are pinned: the buffer must not go there. */
  readonly isExcluded: boolean;
  /**
   * Lower is better; only comparable within one ranking. Hops of all paths, each hop weighted by how much
   * slower its path is than the fastest one of the ranking (1 where a speed is unknown).
   */
  readonly cost: number;
}

/**
 * Ranks places for all of these attachments, best first: not excluded before excluded, fewer unserved
 * first, lower cost first, and in the order given where all is equal. System memory costs more than
 * any device memory that serves as many: the bytes would have to move there, and cross twice.
 */
export function rankPlaces<Name extends string>(
  places: readonly Place<Name>[],
  attachments: readonly AttachmentView[],
): RankedPlace<Name>[] {
  const fastest = fastestOf(places, attachments);
  const ranked = places.map((place) => rank(place, attachments, fastest));
  return ranked.sort(
    (one, other) =>
      Number(one.isExcluded) - Number(other.isExcluded) ||
      one.unserved.length - other.unserved.length ||
      byCost(one, other),
  );
}

function rank<Name extends string>(
  place: Place<Name>,
  attachments: readonly AttachmentView[],
  fastest: number,
): RankedPlace<Name> {
  const unserved = attachments.filter((attachment) => !serves(place, attachment));
  const served = attachments.filter((attachment) => !unserved.includes(attachment));
  const costs = served.map((attachment) =>
    hasOwnWay(attachment) ? 0 : costOf(pathTo(place, attachment), fastest),
  );
  return {
    place,
    unserved,
    isExcluded: unserved.some(({ isPinned }) => isPinned),
    cost: place.memory === "system" ? Number.POSITIVE_INFINITY : sum(costs),
  };
}

function serves(place: Place, attachment: AttachmentView): boolean {
  if (place.memory === "system") {
    return attachment.kept.some(({ type, require }) => type.memory !== "device" || !require);
  }
  if (hasOwnWay(attachment)) {
    return true;
  }
  const path = pathTo(place, attachment);
  const takesPeers = attachment.kept.some(({ type }) => type.memory !== "system");
  return takesPeers && usable(path.reads) && usable(path.writes);
}

/** Its own translation or a private link reaches device memory: no hop of the tree is counted. */
const hasOwnWay = ({ kept }: AttachmentView): boolean =>
  kept.some(({ type }) => type.addresses === "untranslated" && type.memory !== "system");

const pathTo = (place: Place, attachment: AttachmentView): PathVerdict =>
  place.pathTo?.(attachment) ?? attachment.path;

const costOf = ({ distance, bytesPerSecond }: PathVerdict, fastest: number): number =>
  distance * (bytesPerSecond === undefined ? 1 : fastest / bytesPerSecond);

function fastestOf(places: readonly Place[], attachments: readonly AttachmentView[]): number {
  const inDevices = places.filter(({ memory }) => memory === "device");
  const speeds = inDevices.flatMap((place) =>
    attachments.map((attachment) => pathTo(place, attachment).bytesPerSecond ?? 0),
  );
  return Math.max(0, ...speeds);
}

const byCost = (one: RankedPlace, other: RankedPlace): number =>
  one.cost === other.cost ? 0 : one.cost - other.cost;

const sum = (numbers: readonly number[]): number =>
  numbers.reduce((total, each) => total + each, 0);
