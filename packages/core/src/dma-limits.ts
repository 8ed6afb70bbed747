/**
 * DMA limits: what one importer's engine can follow.
 *
 * The same five numbers that Linux keeps in `struct device_dma_parameters` and the DMA mask.
 */
import { ADDRESS_MAX } from "./address.ts";

export interface DmaLimits {
  /** The last byte of a segment may not lie above this address. A 64-bit device: `ADDRESS_MAX`. */
  readonly addressMax: number;
  /** Longest segment, in bytes. */
  readonly segmentBytesMax: number;
  /** Most segments in one mapping. */
  readonly segmentCountMax: number;
  /** No segment may cross a multiple of this many bytes (a power of two); 0 = no boundary. */
  readonly boundaryBytes: number;
  /** Every segment starts on a multiple of this many bytes (a power of two). */
  readonly alignmentBytes: number;
}

/** A device that can follow anything: the default of a platform whose driver set a 64-bit mask. */
export const UNLIMITED: DmaLimits = Object.freeze({
  addressMax: ADDRESS_MAX,
  segmentBytesMax: ADDRESS_MAX,
  segmentCountMax: ADDRESS_MAX,
  boundaryBytes: 0,
  alignmentBytes: 1,
});
