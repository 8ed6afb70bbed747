/**
 * SGL descriptor: 16 bytes that name a piece of data, or where more descriptors are (NVMe 1.4 section 4.4).
 *
 * | Bytes | Field |
 * |---|---|
 * | 0-7 | address; a bit bucket has none |
 * | 8-11 | length in bytes |
 * | 15 | type in bits 7:4, sub type in bits 3:0 |
 */
import { readU64 } from "../little-endian.ts";

export const SGL_DESCRIPTOR_BYTES = 16;

/** Figure 113. Keyed and transport descriptors belong to fabrics. */
export const SGL_TYPE = { DATA_BLOCK: 0, BIT_BUCKET: 1, SEGMENT: 2, LAST_SEGMENT: 3 } as const;

export interface SglDescriptor {
  /** Type and sub type together: a sub type other than 0 (an address) makes it none of `SGL_TYPE`. */
  readonly type: number;
  readonly address: number;
  readonly lengthBytes: number;
}

export function decodeSglDescriptor(view: DataView, offset: number): SglDescriptor {
  const identifier = view.getUint8(offset + 15);
  const subType = identifier & 0xf;
  return {
    type: subType === 0 ? identifier >>> 4 : UNKNOWN_TYPE,
    address: readU64(view, offset),
    lengthBytes: view.getUint32(offset + 8, true),
  };
}

const UNKNOWN_TYPE = 0xff;
