/**
 * Addressing: by which way a device reaches device memory, and what it is given (stage 6).
 */
import { type Reason, reason } from "../decision.ts";
import { type Direction, deviceReads, deviceWrites } from "../direction.ts";
import type { DmaRoute } from "../platform.ts";
import type { PhysicalRanges } from "../ranges.ts";
import { SegmentList } from "../segments.ts";
import { type PathType, type PathVerdict, usable } from "../verdict.ts";

/** The way for this direction; `undefined` where the path does not carry it or nobody knows. */
export function routeFor(path: PathVerdict, direction: Direction): DmaRoute | undefined {
  const way = pathFor(path, direction);
  return way === "bus-addr" || way === "host-bridge" ? way : undefined;
}

/** The way for this direction: the worse of reads and writes where both happen. */
function pathFor(path: PathVerdict, direction: Direction): PathType {
  if (!deviceWrites(direction)) {
    return path.reads;
  }
  if (!deviceReads(direction) || path.reads === path.writes) {
    return path.writes;
  }
  const bad = [path.reads, path.writes].find((type) => !usable(type));
  return bad ?? "host-bridge";
}

/** Ranges as they are, for importers that run their own translation. */
export function untranslated(ranges: PhysicalRanges): SegmentList {
  const table = new Float64Array(3 * ranges.count);
  for (let index = 0; index < ranges.count; index++) {
    table[3 * index] = ranges.start(index);
    table[3 * index + 1] = ranges.lengthBytes(index);
  }
  return new SegmentList(table, ranges.sizeBytes);
}

export const ADDRESSED: Record<DmaRoute, Reason> = {
  "bus-addr": reason(
    "BUS_ADDRESS",
    "bus addresses: the traffic turns round below the root complex",
  ),
  "host-bridge": reason(
    "THROUGH_HOST_BRIDGE",
    "addresses of device memory, reached through the host bridge",
  ),
  system: reason("SYSTEM_MEMORY", "addresses of system memory"),
};

export const UNTRANSLATED: Reason = reason(
  "UNTRANSLATED",
  "the importer runs its own translation: no DMA addresses are made",
);

export const PATH_ONE_WAY: Reason = reason(
  "PATH_ONE_WAY",
  "the path does not carry this direction of traffic",
);
