/**
 * Buffer pieces: what one TRB can name.
 *
 * A buffer of a TRB has at most 64 KiB and lies between two multiples of 64 KiB (xHCI 1.2 section 6.4.1), so
 * a segment of a mapping may take several.
 */
const BOUNDARY_BYTES = 65_536;

/** Address and length in turn, of any length; the answer is the same memory, cut as TRBs want it. */
export function cutForTrbs(pieces: readonly number[]): number[] {
  const cut: number[] = [];
  for (let at = 0; at < pieces.length; at += 2) {
    let address = pieces[at] as number;
    for (let left = pieces[at + 1] as number; left > 0; ) {
      const step = Math.min(left, BOUNDARY_BYTES - (address % BOUNDARY_BYTES));
      cut.push(address, step);
      address += step;
      left -= step;
    }
  }
  return cut;
}
