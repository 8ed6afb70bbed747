/**
 * Bulk range: which bytes of the device and which part of the buffer one transfer moves.
 */
import { type DmaBuf, PeerbufError, type SegmentList } from "@peerbuf/core";

export interface BulkRange {
  /** Bytes into the device's own memory. Default 0. */
  readonly deviceOffset?: number;
  /** Bytes into the buffer. Default 0. */
  readonly offset?: number;
  /** Default: from `offset` to the end of the buffer. */
  readonly lengthBytes?: number;
}

/** With every default filled in. `ARGUMENT_INVALID` when it does not lie within buffer and device. */
export function checkedRange(
  { name, sizeBytes }: DmaBuf,
  { deviceOffset = 0, offset = 0, lengthBytes = sizeBytes - offset }: BulkRange,
  localBytes: number,
): Required<BulkRange> {
  const isWhole = [deviceOffset, offset, lengthBytes].every(Number.isSafeInteger);
  if (!(isWhole && offset >= 0 && lengthBytes > 0 && offset + lengthBytes <= sizeBytes)) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `${lengthBytes} bytes from byte ${offset} are not inside "${name}" of ${sizeBytes} bytes`,
    );
  }
  if (!(deviceOffset >= 0 && deviceOffset + lengthBytes <= localBytes)) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `${lengthBytes} bytes from byte ${deviceOffset} are not inside the device's ${localBytes} bytes`,
    );
  }
  return { deviceOffset, offset, lengthBytes };
}

/** Address and length, two by two, of the segments' bytes from `offset` on. */
export function piecesOf(segments: SegmentList, offset: number, lengthBytes: number): number[] {
  const pieces: number[] = [];
  let skip = offset;
  let left = lengthBytes;
  for (let index = 0; index < segments.count && left > 0; index++) {
    const length = segments.lengthBytes(index);
    if (skip < length) {
      const piece = Math.min(left, length - skip);
      pieces.push(segments.address(index) + skip, piece);
      left -= piece;
    }
    skip = Math.max(0, skip - length);
  }
  return pieces;
}
