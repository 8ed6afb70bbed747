/**
 * Buffer control: what an exporter may see of a buffer of its own, and do to it while it is shared.
 *
 * Handed to `allocate` with each buffer. Importers never see it.
 */
import type { Reason } from "./decision.ts";
import type { Device } from "./device.ts";
import type { KeptPair } from "./mapping-type.ts";
import type { Fence } from "./sync/fence.ts";
import type { Reservation } from "./sync/reservation.ts";
import type { WaitOptions } from "./sync/wait.ts";
import type { PathVerdict } from "./verdict.ts";

/**
 * What an importer does when its mapping is invalidated (Linux 7.1: the three lifetimes):
 * - `movable`: drops the addresses and maps again at its next use;
 * - `revocable`: needs the memory pinned, and gives it up for good when it is revoked;
 * - `pinned`: needs the memory pinned and cannot be stopped; it unmaps when it is done.
 */
export type Lifetime = "movable" | "revocable" | "pinned";

export interface BufferControl {
  readonly reservation: Reservation;
  /** Who is attached now, oldest first. */
  readonly attachments: readonly AttachmentView[];
  /** Somebody needs the memory to stay where it is: `move` is refused. */
  readonly isPinned: boolean;
  /**
   * Moves the bytes. Mappings become stale, newest attachment first, and each importer is told; then
   * `start` is called once with a fence that signals when the last work on the old place is over. It
   * returns the fence of the copy, which must begin only after the given one. From the moment that
   * fence signals the old addresses fault; every mapping made from now on carries the copy's fence.
   *
   * `why` goes on every attachment's record. `BUFFER_PINNED`, `BUFFER_BUSY` (the reservation is locked
   * by somebody else), `DEVICE_GONE` after `revoke`, `WRONG_ORDER` inside of another move. An importer that
   * throws when it is told stops the move with `DRIVER_BROKEN`, after all others were told: the bytes stay,
   * and everyone maps again.
   */
  move(why: Reason, start: (after: Fence) => Fence): Fence;
  /**
   * Takes the memory away from everyone: attach, pin, map and CPU access fail with `DEVICE_GONE` from now on,
   * importers are told, and the promise resolves when all work is over and every mapping is unmapped.
   * After that no device reaches a byte; bytes that an importer holds in memory of its own are not copied
   * back. `WAIT_TIMED_OUT` names those who still hold it. `DRIVER_BROKEN` at the end if an importer threw
   * when it was told: all others were told and waited for.
   */
  revoke(why: Reason, options?: WaitOptions): Promise<void>;
  /** The memory is back (after a reset): attach and map work again. `WRONG_ORDER` while `revoke` runs. */
  restore(): void;
}

/** One attachment, as its exporter may see it. */
export interface AttachmentView {
  readonly client: Device;
  /** Driver and device. */
  readonly importerName: string;
  /** What it could take: the choice of a place starts from here. */
  readonly kept: readonly KeptPair[];
  readonly lifetime: Lifetime;
  /** It needs the memory to stay where it is now. */
  readonly isPinned: boolean;
  readonly mappingCount: number;
  readonly path: PathVerdict;
}
