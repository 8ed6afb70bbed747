/**
 * Fence merge: makes one fence of many without stacking containers.
 *
 * Flattens first, then keeps only the latest of each timeline, because a timeline signals in order
 * (Linux 6.12, drivers/dma-buf/dma-fence-unwrap.c). Work grows with n log n of the flat list.
 */
import { type Fence, isLater } from "./fence.ts";
import { FenceArray } from "./fence-array.ts";
import { chainLinks, containedFence } from "./fence-chain.ts";
import type { FenceContext, FenceDomain } from "./fence-context.ts";
import { stubFence } from "./software-fence.ts";

/** The flat list behind a fence: chain nodes newest first, within each the members of an array. */
export function unwrapFence(fence: Fence): Fence[] {
  const flat: Fence[] = [];
  for (const link of chainLinks(fence)) {
    const contained = containedFence(link);
    if (contained instanceof FenceArray) {
      for (const member of contained.members) {
        flat.push(member);
      }
    } else {
      flat.push(contained);
    }
  }
  return flat;
}

/**
 * A fence that is signaled when all of them are. Nothing active: a stub with the latest timestamp
 * seen. One: that very fence. More: an array of one fence for each timeline, sorted by context id.
 * Signaled inputs vanish, and their errors with them.
 */
export function mergeFences(domain: FenceDomain, fences: Iterable<Fence>): Fence {
  const latest = new Map<FenceContext, Fence>();
  let newestNs = 0;
  for (const fence of fences) {
    for (const member of unwrapFence(fence)) {
      if (member.poll()) {
        newestNs = Math.max(newestNs, member.timestampNs);
      } else {
        keepLatest(latest, member);
      }
    }
  }
  const kept = [...latest.values()].sort((one, other) => one.context.id - other.context.id);
  const [only] = kept;
  if (only === undefined) {
    return stubFence(domain, newestNs);
  }
  return kept.length === 1 ? only : new FenceArray(domain, kept);
}

function keepLatest(latest: Map<FenceContext, Fence>, fence: Fence): void {
  const kept = latest.get(fence.context);
  if (kept === undefined || isLater(fence, kept)) {
    latest.set(fence.context, fence);
  }
}
