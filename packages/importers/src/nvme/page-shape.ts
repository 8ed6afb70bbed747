/**
 * Page shape: what PRPs can tell (NVMe 1.4 section 4.3).
 *
 * A transfer may begin inside a page, on a multiple of 4, and end inside one; everything between are
 * whole pages.
 */
import { PAGE_BYTES, type SegmentList } from "@peerbuf/core";
import type { PageCursor } from "./page-cursor.ts";

const PRP_ALIGNMENT_BYTES = 4;

/** How many of the cursor's next `lengthBytes` PRPs can tell. Leaves the cursor where it is. */
export function pageShapedBytes(cursor: PageCursor, lengthBytes: number): number {
  if (cursor.address % PRP_ALIGNMENT_BYTES !== 0) {
    return 0;
  }
  const ahead = cursor.fork();
  let done = ahead.advanceInSegment(lengthBytes);
  let end = cursor.address + done;
  while (done < lengthBytes && end % PAGE_BYTES === 0 && ahead.address % PAGE_BYTES === 0) {
    end = ahead.address;
    const step = ahead.advanceInSegment(lengthBytes - done);
    done += step;
    end += step;
  }
  return done;
}

/** Every part of a mapping of these segments that begins on a multiple of 4 can be told by PRPs. */
export function isPageShaped(segments: SegmentList): boolean {
  for (let index = 0; index < segments.count; index++) {
    const isLast = index === segments.count - 1;
    const start = segments.address(index);
    const end = start + segments.lengthBytes(index);
    if ((index > 0 && start % PAGE_BYTES !== 0) || (!isLast && end % PAGE_BYTES !== 0)) {
      return false;
    }
  }
  return segments.address(0) % PRP_ALIGNMENT_BYTES === 0;
}
