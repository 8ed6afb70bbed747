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

/** What of these limits no engine can have; undefined when they can be. */
export function limitsProblem(limits: DmaLimits): string | undefined {
  const { addressMax, segmentBytesMax, segmentCountMax, boundaryBytes, alignmentBytes } = limits;
  const counts = { addressMax, segmentBytesMax, segmentCountMax };
  const [wrong] = Object.entries(counts).find(([, value]) => !isWhole(value) || value === 0) ?? [];
  if (wrong !== undefined) {
    return `${wrong} is ${counts[wrong as keyof typeof counts]}, not a whole number from 1 to 2^53 - 1`;
  }
  if (boundaryBytes !== 0 && !isPowerOfTwo(boundaryBytes)) {
    return `boundaryBytes is ${boundaryBytes}, neither 0 nor a power of two`;
  }
  return isPowerOfTwo(alignmentBytes)
    ? undefined
    : `alignmentBytes is ${alignmentBytes}, no power of two`;
}

const isWhole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

const isPowerOfTwo = (value: number): boolean =>
  isWhole(value) && value > 0 && 2 ** Math.round(Math.log2(value)) === value;
