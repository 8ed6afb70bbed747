/**
 * Reservation usage: for what a fence keeps a buffer busy, and who has to wait for it.
 *
 * The four levels of Linux 6.12 (enum dma_resv_usage, include/linux/dma-resv.h), strongest first.
 * A query for a level sees that level and all stronger ones.
 */

/**
 * - `kernel`: memory management (moves, clears). Everybody waits before touching the memory at all.
 * - `write`: writers that take part in implicit sync. Readers and writers wait.
 * - `read`: readers that take part in implicit sync. Writers wait.
 * - `bookkeep`: everything else that keeps the memory busy. Only memory management waits.
 */
export type ReservationUsage = "kernel" | "write" | "read" | "bookkeep";

/** What somebody is about to do. `move` is everything that takes the memory away: move, evict, free. */
export type ReservationAccess = "read" | "write" | "move";

/** The numbers of enum dma_resv_usage. */
export const USAGE_LEVEL: Readonly<Record<ReservationUsage, number>> = {
  kernel: 0,
  write: 1,
  read: 2,
  bookkeep: 3,
};

export const USAGES: readonly ReservationUsage[] = ["kernel", "write", "read", "bookkeep"];

const USAGE_BEFORE: Readonly<Record<ReservationAccess, ReservationUsage>> = {
  read: "write",
  write: "read",
  move: "bookkeep",
};

/** Up to which usage the access has to wait (dma_resv_usage_rw): readers wait for writers, ... */
export function usageBefore(access: ReservationAccess): ReservationUsage {
  return USAGE_BEFORE[access];
}
