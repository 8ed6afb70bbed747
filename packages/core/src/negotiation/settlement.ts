/**
 * Settlement: one mapping found among the kept pairs (stages 5 to 7), and what it rests on.
 *
 * How it is found is in `settling.ts`.
 */
import type { Lifetime } from "../buffer-control.ts";
import type { Direction } from "../direction.ts";
import type { Placement } from "../exporter.ts";
import type { KeptPair, MappingType } from "../mapping-type.ts";
import type { Route } from "../platform.ts";
import type { PhysicalRanges } from "../ranges.ts";
import type { SegmentList } from "../segments.ts";
import type { Fence } from "../sync/fence.ts";

/** What a mapping rests on. */
export interface Settlement {
  readonly pair: KeptPair;
  /** The exporter pinned the memory for this mapping. */
  readonly pinned: boolean;
  readonly type: MappingType;
  readonly route: Route;
  readonly segments: SegmentList;
  /** Left out when the importer brought the memory: the exporter then places nothing for this mapping. */
  readonly placement: Placement | undefined;
  /** Memory of the importer's that the exporter's engine copies to and from. */
  readonly ownTarget: PhysicalRanges | undefined;
  /** Signals when the bytes have arrived. */
  readonly ready: Fence | undefined;
}

/** What is asked for. */
export interface SettlementRequest {
  readonly direction: Direction;
  /** The importer cannot follow moves: pin before mapping. */
  readonly pins: boolean;
  /** What was chosen before, to be tried first. */
  readonly preferred: KeptPair | undefined;
  readonly lifetime: Lifetime;
}
