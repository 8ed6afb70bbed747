/**
 * DMA-buf: one buffer that devices share.
 *
 * Owned by an exporter, reached through attachments. Its size never changes; where its bytes lie
 * may. It is released when it is closed and the last work on its bytes is over.
 */
import type { Attachment } from "./attachment.ts";
import type { CopyPolicy } from "./copy-policy.ts";
import type { CpuAccess, CpuUse } from "./cpu-access.ts";
import type { Device } from "./device.ts";
import type { Importer } from "./importer.ts";
import type { Fence } from "./sync/fence.ts";
import type { Reservation } from "./sync/reservation.ts";
import type { ReservationUsage } from "./sync/reservation-usage.ts";
import type { WaitOptions } from "./sync/wait.ts";

export interface DmaBuf extends Disposable {
  readonly name: string;
  /** Bytes; a whole number of pages. */
  readonly sizeBytes: number;
  /** Driver and device that own the memory. */
  readonly exporter: string;
  /** The exporter's device; left out for a heap. */
  readonly device: Device | undefined;
  /** Live attachments, oldest first. */
  readonly attachments: readonly Attachment[];
  /**
   * Negotiates with an importer (stages 1 to 4). Synchronous. `NO_COMMON_TYPE` carries each party's reason;
   * `BUFFER_CLOSED` after close, `DEVICE_GONE` while revoked. `copy` says whether the exporter may copy
   * through memory that the importer brings; default `allowed`.
   */
  attach(importer: Importer, options?: { readonly copy?: CopyPolicy }): Attachment;
  /** Who is using the bytes, and who has to wait. */
  readonly reservation: Reservation;
  /**
   * Work on the bytes that others may have to wait for. Reserves the slot and adds the fence, a container
   * by its members;
   * `BUFFER_BUSY` while somebody else holds the reservation's lock.
   */
  addFence(fence: Fence, usage: ReservationUsage): void;
  /**
   * Opens a bracket for the CPU. Waits for the work in the way; `WRONG_ORDER` (EINVAL) if the exporter gives
   * the CPU no access. Ends with `end` or `await using`.
   */
  beginCpuAccess(use: CpuUse, options?: WaitOptions): Promise<CpuAccess>;
  /** One bracket around one read. */
  read(offset: number, lengthBytes: number): Promise<Uint8Array>;
  /** One bracket around one write. */
  write(offset: number, source: Uint8Array): Promise<void>;
  /**
   * `BUFFER_BUSY` while attachments or CPU accesses are open, naming them, and inside of an attach or a
   * move; a second time is `BUFFER_CLOSED`.
   */
  close(): void;
}
