/**
 * Buffer fences: the fences of a dma-buf as a sync_file, and the other way round (since Linux 6.0).
 */
import { PeerbufError } from "@peerbuf/core";
import {
  DMA_BUF_IOCTL_EXPORT_SYNC_FILE,
  DMA_BUF_IOCTL_IMPORT_SYNC_FILE,
  SYNC_BITS,
  type Use,
} from "../buffers/dma-buf-requests.ts";
import type { LinuxBuffer } from "../buffers/linux-buffer.ts";
import { Descriptor } from "../sys/descriptor.ts";
import { ioctl } from "../sys/ioctl.ts";
import { LinuxSyncFile } from "./linux-sync-file.ts";

/** What a user of the buffer must wait for: writers before a `read`, readers too before a `write`. */
export function exportSyncFile(buffer: LinuxBuffer, use: Use): LinuxSyncFile {
  const argument = argumentOf(use, -1);
  const what = `take the fences that a ${use} waits for`;
  ioctl(dmaBuf(buffer), DMA_BUF_IOCTL_EXPORT_SYNC_FILE, bytesOf(argument), what);
  return new LinuxSyncFile(new Descriptor(argument.getInt32(4, true), "a buffer's sync file"));
}

/** Adds fences to the buffer, as those of a reader or of a writer. The file stays the caller's. */
export function importSyncFile(buffer: LinuxBuffer, file: LinuxSyncFile, use: Use): void {
  const argument = argumentOf(use, file.descriptor.number);
  const what = `add fences of a ${use}`;
  ioctl(dmaBuf(buffer), DMA_BUF_IOCTL_IMPORT_SYNC_FILE, bytesOf(argument), what);
}

/** struct dma_buf_export_sync_file, and _import_: flags @0, fd @4. */
function argumentOf(use: Use, fd: number): DataView {
  const argument = new DataView(new ArrayBuffer(8));
  argument.setUint32(0, SYNC_BITS[use], true);
  argument.setInt32(4, fd, true);
  return argument;
}

const bytesOf = (view: DataView): Uint8Array => new Uint8Array(view.buffer);

function dmaBuf(buffer: LinuxBuffer): Descriptor {
  if (buffer.kind !== "dma-buf") {
    const message = "a memfd has no fences: no device works on it";
    throw new PeerbufError("NOT_A_BUFFER", message, { errno: "ENOTTY" });
  }
  return buffer.descriptor;
}
