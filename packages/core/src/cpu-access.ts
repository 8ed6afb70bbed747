export type CpuUse = "read" | "write" | "read-write";

export interface CpuAccess extends AsyncDisposable {
  readonly use: CpuUse;
  /** `lengthBytes` bytes from `offset`. `ACCESS_FAULT` after end, outside of the buffer or in a write bracket. */
  read(offset: number, lengthBytes: number): Promise<Uint8Array>;
  /** `ACCESS_FAULT` after end, outside of the buffer or in a read bracket. */
  write(offset: number, source: Uint8Array): Promise<void>;
  /** Ends the bracket. A second time is `HANDLE_CLOSED`; `await using` may follow. */
  end(): Promise<void>;
}
