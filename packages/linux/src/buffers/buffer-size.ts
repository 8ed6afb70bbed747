/**
 * Buffer size: whole pages, as every exporter of the kernel wants them.
 */
import { PAGE_BYTES, PeerbufError } from "@peerbuf/core";

/** `SIZE_INVALID` for what is no whole number of pages, at least one. */
export function checkSize(sizeBytes: number): void {
  if (!(Number.isSafeInteger(sizeBytes) && sizeBytes > 0 && sizeBytes % PAGE_BYTES === 0)) {
    throw new PeerbufError(
      "SIZE_INVALID",
      `${String(sizeBytes)} bytes: a buffer is a whole number of pages of ${PAGE_BYTES} bytes, at least one`,
    );
  }
}
