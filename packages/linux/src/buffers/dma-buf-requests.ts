/**
 * dma-buf requests: the ioctls of a dma-buf descriptor and their structures (include/uapi/linux/dma-buf.h,
 * 6.12). Little-endian, as every processor this package runs on.
 */
import { PeerbufError } from "@peerbuf/core";
import { request } from "../sys/ioctl.ts";

export const DMA_BUF_IOCTL_SYNC: number = request("write", "b", 0, 8);
/** On 64-bit systems DMA_BUF_SET_NAME is the form with 8 bytes. */
export const DMA_BUF_SET_NAME: number = request("write", "b", 1, 8);
export const DMA_BUF_IOCTL_EXPORT_SYNC_FILE: number = request("both", "b", 2, 8);
export const DMA_BUF_IOCTL_IMPORT_SYNC_FILE: number = request("write", "b", 3, 8);

/** f_type of a dma-buf: "DMAB". */
export const DMA_BUF_MAGIC = 0x444d_4142;

/** A name has at most 32 bytes, the closing zero included. */
export const NAME_BYTES_MAX = 31;

/** What the CPU, or whoever waits, is about to do with the bytes. */
export type Use = "read" | "write" | "read-write";

/** DMA_BUF_SYNC_READ and _WRITE. */
export const SYNC_BITS: Readonly<Record<Use, number>> = { read: 1, write: 2, "read-write": 3 };
const SYNC_END = 4;

/** struct dma_buf_sync: flags (u64). Made once: a bracket is to cost little more than its system calls. */
export const SYNC_ARGUMENTS: Readonly<Record<"start" | "end", Readonly<Record<Use, Uint8Array>>>> =
  {
    start: argumentsOf(0),
    end: argumentsOf(SYNC_END),
  };

function argumentsOf(edge: number): Record<Use, Uint8Array> {
  const bytes = (use: Use): Uint8Array => Uint8Array.of(SYNC_BITS[use] | edge, 0, 0, 0, 0, 0, 0, 0);
  return { read: bytes("read"), write: bytes("write"), "read-write": bytes("read-write") };
}

/** `ARGUMENT_INVALID` for what is no use. */
export function checkUse(use: Use): void {
  if (use !== "write" && use !== "read" && use !== "read-write") {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `"${String(use)}" is no use of bytes: ${Object.keys(SYNC_BITS).join(", ")} are`,
    );
  }
}
