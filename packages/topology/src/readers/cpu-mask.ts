/**
 * CPU mask: bit masks of CPUs or NUMA nodes as tools write them, as numbers and as a list.
 *
 * Groups of up to eight hex digits with commas between them, the highest first. hwloc writes 0x before
 * each group and leaves out those that are zero; NCCL writes all of them without 0x.
 */

/** Groups in a mask, at most: 16,384 CPUs. */
const GROUP_COUNT_MAX = 512;
const GROUP_BITS = 32;

/** Numbers of the bits that are set, ascending; undefined when the text is no mask, or endless (`0xf...f`). */
export function bitsOfMask(text: string): number[] | undefined {
  const groups = text.trim().split(",").reverse();
  if (groups.length > GROUP_COUNT_MAX || !groups.every((group) => GROUP.test(group))) {
    return undefined;
  }
  return groups.flatMap((group, index) => bitsOf(group, index * GROUP_BITS));
}

const GROUP = /^(?:(?:0x)?[0-9a-f]{1,8})?$/i;

function bitsOf(group: string, first: number): number[] {
  const value = group === "" ? 0 : Number.parseInt(group, 16);
  const bits: number[] = [];
  for (let bit = 0; bit < GROUP_BITS; bit++) {
    if (((value >>> bit) & 1) === 1) {
      bits.push(first + bit);
    }
  }
  return bits;
}

/** A list as the kernel prints it, `0-15,32-47`; "" for no bits or no mask. */
export function listOfMask(text: string): string {
  const ranges: { first: number; last: number }[] = [];
  for (const bit of bitsOfMask(text) ?? []) {
    const range = ranges.at(-1);
    if (range !== undefined && range.last + 1 === bit) {
      range.last = bit;
    } else {
      ranges.push({ first: bit, last: bit });
    }
  }
  return ranges
    .map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`))
    .join(",");
}
