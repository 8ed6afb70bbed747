/**
 * Route: where the requests of one requester for a stretch of addresses go, and how they come back.
 *
 * Found by `request-walk.ts` and `completion-walk.ts`, kept by `route-cache.ts`.
 */
import type { BarSlot } from "./bar-slot.ts";
import type { Bank } from "./host-memory.ts";
import type { IommuFault } from "./iommu/iommu.ts";

/** Row that stands for the root complex in hops. */
export const ROOT_COMPLEX = -1;

export type HopEvent =
  | "issues"
  | "up"
  | "redirected"
  /** By ACS. */
  | "blocked"
  /** Memory Space or Bus Master Enable is clear. */
  | "refused"
  /** The link below the port is down, or the function itself was taken out. */
  | "link-down"
  | "root-complex"
  | "translated"
  | "faulted"
  | "down"
  | "unclaimed"
  | "dropped"
  | "completion-redirected"
  /** A completion nobody waits for. */
  | "unexpected"
  | "arrives";

export interface Hop {
  /** Row of the function, or `ROOT_COMPLEX`. */
  readonly row: number;
  readonly event: HopEvent;
}

/** Why a request reached nothing. */
export type LossReason =
  /** Nothing claims the address. */
  | "UNCLAIMED"
  /** The function that would claim it has Memory Space Enable clear, or the bridge that leads there has. */
  | "MEMORY_OFF"
  /** The requester, or a bridge above it, has Bus Master Enable clear. */
  | "BUS_MASTER_OFF"
  /** The card was taken out: the target's, or the requester's own. */
  | "LINK_DOWN"
  /** ACS egress control. */
  | "ACS_BLOCKED"
  /** ACS source validation: the requester id is of no bus below the port. */
  | "ACS_SOURCE_INVALID"
  /** ACS translation blocking. */
  | "ACS_TRANSLATED_BLOCKED"
  /** A redirected request targets the port's own egress, and ACS upstream forwarding is off. */
  | "ACS_NOT_FORWARDED"
  /** The root complex does not forward it to another device. */
  | "ROOT_COMPLEX_DROPS"
  /** The completion was sent up (ACS), and the root complex does not forward it. */
  | "COMPLETION_DROPPED"
  /** No bridge leads the completion to its requester id, or it arrived at somebody who did not ask. */
  | "COMPLETION_LOST"
  /** The function answered with Completer Abort: its model does not take such a request. */
  | "COMPLETER_ABORT"
  /** The function's BAR claims it, but no model was placed there. */
  | "NOTHING_BEHIND_BAR"
  /** The IOMMU: no domain, nothing mapped there, not for this kind of access, or translated without leave. */
  | IommuFault
  /** The guard: no mapping of this device holds the address. */
  | "NOT_MAPPED";

export interface Route {
  /** Physical addresses from here ... */
  readonly from: number;
  /** ... up to before here go this way. */
  readonly until: number;
  readonly slot: BarSlot | undefined;
  readonly bank: Bank | undefined;
  /** Undefined: arrives, or meets the IOMMU. */
  readonly loss: LossReason | undefined;
  /** The root complex has to translate the address first; the way from there on is a route of its own. */
  readonly meetsIommu: boolean;
  /** The root complex changes the bytes. */
  readonly isCorrupted: boolean;
  /** The request's way. */
  readonly hops: readonly Hop[];
  /** The way back of a read's completion, from the completer; empty for writes and for what reached nothing. */
  readonly completion: readonly Hop[];
  /** Row of the function of a root bus through which it came to the root complex; -1 when it did not. */
  readonly rootPort: number;
  /** Rows of the bridges, and `ROOT_COMPLEX`, that the request passes: for counting. */
  readonly passes: Int32Array;
}

/** Row where it ended, when it was lost: on its way, or its completion on the way back. */
export function lostAt({ hops, completion, loss }: Route): number {
  const isAnswered = loss === "COMPLETION_DROPPED" || loss === "COMPLETION_LOST";
  const way = isAnswered ? completion : hops;
  return way[way.length - 1]?.row ?? ROOT_COMPLEX;
}
