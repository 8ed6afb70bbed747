/**
 * Handle ledger: what was given out and not given back yet.
 *
 * For tests and leak reports: after everything is closed every number is what it was before.
 */
export class HandleLedger {
  /** DMA mappings, of buffers and of devices' own memory. */
  mappings = 0;
  /** Coherent allocations. */
  coherent = 0;
}

export interface HandleCounts {
  readonly mappings: number;
  readonly coherent: number;
  /** Host memory allocations, those behind coherent memory and carve-outs included. */
  readonly hostAllocations: number;
  readonly hostPages: number;
  readonly interruptHandlers: number;
}
