/**
 * PRP list: the pages of one command's data (NVMe 1.4 section 4.3).
 *
 * Up to two pages fit the command itself; more go into a list, whose pages are chained by their last
 * entry. Only the first page of a transfer can begin, and only the last can end, inside a page: see
 * `page-shape`; data of any other shape is told by SGLs.
 */
import { assert, PAGE_BYTES } from "@peerbuf/core";
import { writeU64 } from "../little-endian.ts";
import type { PrpPointers } from "./commands.ts";
import type { PageCursor } from "./page-cursor.ts";

const ENTRY_BYTES = 8;
const ENTRIES_PER_PAGE = PAGE_BYTES / ENTRY_BYTES;

/** Pages of list memory that a transfer of so many bytes can need, one of them for a first part of a page. */
export function listPagesFor(transferBytes: number): number {
  const entries = Math.ceil(transferBytes / PAGE_BYTES);
  return Math.max(1, Math.ceil((entries - 1) / (ENTRIES_PER_PAGE - 1)));
}

/** Where lists are built: memory of the driver's, and its address for the device. */
export interface ListMemory {
  readonly bytes: Uint8Array;
  readonly deviceAddress: number;
}

export interface PrpList extends PrpPointers {
  /** How much of the list memory is used and must be written to where the device sees it. */
  readonly listBytes: number;
}

/** Describes the next `lengthBytes` (1 or more) of the cursor's mapping and moves the cursor on. */
export function buildPrps(cursor: PageCursor, lengthBytes: number, list: ListMemory): PrpList {
  const prp1 = cursor.address;
  const rest = lengthBytes - cursor.advance(lengthBytes);
  if (rest === 0) {
    return { prp1, prp2: 0, listBytes: 0 };
  }
  if (rest <= PAGE_BYTES) {
    return { prp1, prp2: nextPage(cursor, rest), listBytes: 0 };
  }
  return { prp1, prp2: list.deviceAddress, listBytes: fillList(cursor, rest, list) };
}

function fillList(cursor: PageCursor, lengthBytes: number, list: ListMemory): number {
  const view = new DataView(list.bytes.buffer, list.bytes.byteOffset, list.bytes.byteLength);
  let slot = 0;
  for (let left = lengthBytes; left > 0; left -= PAGE_BYTES) {
    const isLastOfPage = slot % ENTRIES_PER_PAGE === ENTRIES_PER_PAGE - 1;
    if (isLastOfPage && left > PAGE_BYTES) {
      const nextListPage = list.deviceAddress + (slot + 1) * ENTRY_BYTES;
      writeU64(view, slot++ * ENTRY_BYTES, nextListPage);
    }
    writeU64(view, slot++ * ENTRY_BYTES, nextPage(cursor, Math.min(left, PAGE_BYTES)));
  }
  return slot * ENTRY_BYTES;
}

function nextPage(cursor: PageCursor, lengthBytes: number): number {
  const page = cursor.address;
  assert(page % PAGE_BYTES === 0, "a PRP list entry begins inside a page");
  const stepped = cursor.advance(lengthBytes);
  assert(stepped === lengthBytes, "a segment ends inside a page");
  return page;
}
