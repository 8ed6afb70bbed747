/**
 * CPU access: a bracket within which the CPU may touch a buffer's bytes.
 *
 * Begin tells the exporter and then waits for the work that stands in the way (DMA_BUF_IOCTL_SYNC,
 * Linux 6.12: a reader waits for writers, a writer for everyone); end tells the exporter again. The
 * view lives exactly as long as the bracket. Brackets may nest; each is ended by itself.
 */
export type CpuUse = "read" | "write" | "read-write";

export interface CpuAccess extends AsyncDisposable {
  readonly use: CpuUse;
  /**
   * `lengthBytes` bytes from `offset`. `ACCESS_FAULT` after end, outside of the buffer or in a write bracket;
   * `DEVICE_GONE` while the buffer is revoked.
   */
  read(offset: number, lengthBytes: number): Promise<Uint8Array>;
  /** `ACCESS_FAULT` after end, outside of the buffer or in a read bracket; `DEVICE_GONE` as `read`. */
  write(offset: number, source: Uint8Array): Promise<void>;
  /** Ends the bracket. A second time is `HANDLE_CLOSED`; `await using` may follow. */
  end(): Promise<void>;
}
