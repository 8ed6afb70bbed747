/**
 * SGL: the data of one command, block by block (NVMe 1.4 section 4.4).
 *
 * A single data block fits the command itself; more stand in one segment, the last one. Blocks begin and
 * end at any byte, so each segment of a mapping is one block, whatever its shape.
 */
import { assert } from "@peerbuf/core";
import { putSglDescriptor, type SglPointer } from "./commands.ts";
import type { PageCursor } from "./page-cursor.ts";
import type { ListMemory } from "./prp-list.ts";

export const SGL_DESCRIPTOR_BYTES = 16;

const TYPE = { DATA_BLOCK: 0, LAST_SEGMENT: 3 } as const;

export interface Sgl extends SglPointer {
  /** How much of the list memory is used and must be written to where the device sees it. */
  readonly listBytes: number;
}

/** Describes the next `lengthBytes` (1 or more) of the cursor's mapping and moves the cursor on. */
export function buildSgl(cursor: PageCursor, lengthBytes: number, list: ListMemory): Sgl {
  const address = cursor.address;
  const first = cursor.advanceInSegment(lengthBytes);
  if (first === lengthBytes) {
    return { type: TYPE.DATA_BLOCK, address, lengthBytes, listBytes: 0 };
  }
  const { bytes, deviceAddress } = list;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  putSglDescriptor(view, 0, { type: TYPE.DATA_BLOCK, address, lengthBytes: first });
  let listBytes = SGL_DESCRIPTOR_BYTES;
  for (let left = lengthBytes - first; left > 0; listBytes += SGL_DESCRIPTOR_BYTES) {
    assert(listBytes < bytes.length, "an SGL needs more descriptors than there is room for");
    const block = { type: TYPE.DATA_BLOCK, address: cursor.address, lengthBytes: left };
    const step = cursor.advanceInSegment(left);
    putSglDescriptor(view, listBytes, { ...block, lengthBytes: step });
    left -= step;
  }
  return { type: TYPE.LAST_SEGMENT, address: deviceAddress, lengthBytes: listBytes, listBytes };
}

/** How many of the cursor's next `lengthBytes` fit so many descriptors. Leaves the cursor where it is. */
export function describableBytes(
  cursor: PageCursor,
  lengthBytes: number,
  descriptorsMax: number,
): number {
  const ahead = cursor.fork();
  let done = 0;
  for (let count = 0; count < descriptorsMax && done < lengthBytes; count++) {
    done += ahead.advanceInSegment(lengthBytes - done);
  }
  return done;
}
