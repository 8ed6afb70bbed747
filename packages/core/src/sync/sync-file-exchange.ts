/**
 * Sync file exchange: carries fences between implicit sync (a buffer's reservation) and explicit
 * sync (a sync file), as DMA_BUF_IOCTL_EXPORT_SYNC_FILE and IMPORT_SYNC_FILE do (Linux 6.0 on,
 * drivers/dma-buf/dma-buf.c).
 *
 * Export is a snapshot. Exporting, merging and importing again is a read-modify-write: two parties
 * that do it at once may interleave, and Linux accepts that too.
 */
import { unwrapFence } from "./fence-merge.ts";
import type { LockOwner } from "./lock-owner.ts";
import type { Reservation } from "./reservation.ts";
import { usageBefore } from "./reservation-usage.ts";
import { stubFence } from "./software-fence.ts";
import { SyncFile } from "./sync-file.ts";
import type { WaitOptions } from "./wait.ts";

/** What somebody who is about to read or write has to wait for now; later additions are not in it. */
export function exportSyncFile(reservation: Reservation, access: "read" | "write"): SyncFile {
  const fence = reservation.getSingleton(usageBefore(access));
  return SyncFile.create(fence ?? stubFence(reservation.domain));
}

/**
 * Adds the file's fences as a reader's or a writer's. Takes the lock without a context, so the owner
 * may hold no other; rejects as `Reservation.lock` and `reserveFences` do, and then adds nothing.
 */
export async function importSyncFile(
  reservation: Reservation,
  file: SyncFile,
  access: "read" | "write",
  owner: LockOwner,
  options?: WaitOptions,
): Promise<void> {
  const fences = unwrapFence(file.fence);
  await reservation.lock(owner, options);
  try {
    reservation.reserveFences(fences.length);
    for (const fence of fences) {
      reservation.addFence(fence, access);
    }
  } finally {
    reservation.unlock(owner);
  }
}
