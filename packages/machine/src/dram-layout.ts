/**
 * DRAM layout: where RAM lies in the physical address space of a captured machine.
 *
 * A capture tells where PCI memory lies (BARs and bridge windows) but not where RAM was, so RAM is
 * laid around it as firmware does: from 1 MiB up to the hole below 4 GiB, then from 4 GiB on,
 * leaving out whatever PCI occupies. Address 0 is never RAM, so a zero is never a valid address.
 */
import { PeerbufError } from "@peerbuf/core";
import {
  BAR_EXISTS,
  BAR_IO,
  BAR_SLOTS,
  BAR_UNASSIGNED,
  type Topology,
  WINDOW_IO,
  WINDOW_SLOTS,
} from "@peerbuf/topology";

/** Where x86 firmware ends low RAM at the latest: what lies above up to 4 GiB is for devices. */
const LOW_RAM_END = 0xc000_0000;
const FOUR_GIB = 2 ** 32;
/** Legacy video memory and firmware. */
const RAM_START = 2 ** 20;
/** Borders of banks are on multiples of this, so that no page lies across one. */
const BANK_ALIGNMENT = 2 ** 20;
/** RAM is looked for below this address, in bytes: the 52 bits of a wide x86 processor. */
const ADDRESS_END = 2 ** 52;

/** A stretch of RAM of one NUMA node. */
export interface BankShape {
  readonly node: number;
  readonly start: number;
  readonly sizeBytes: number;
}

/** One or more banks a node, in address order. `ARGUMENT_INVALID` for sizes that are no whole MiB. */
export function layOutDram(topology: Topology, bytesPerNode: readonly number[]): BankShape[] {
  const gaps = freeGaps(pciRanges(topology));
  const banks: BankShape[] = [];
  bytesPerNode.forEach((bytes, node) => {
    checkNodeSize(bytes, node);
    for (let left = bytes; left > 0; ) {
      const gap = gaps[0];
      if (gap === undefined) {
        throw new PeerbufError("MEMORY_EXHAUSTED", `no room for RAM of node ${node} around PCI`);
      }
      const sizeBytes = Math.min(left, gap.end - gap.start);
      banks.push({ node, start: gap.start, sizeBytes });
      gap.start += sizeBytes;
      left -= sizeBytes;
      if (gap.start === gap.end) {
        gaps.shift();
      }
    }
  });
  return banks;
}

function checkNodeSize(bytes: number, node: number): void {
  if (!(Number.isSafeInteger(bytes) && bytes >= 0 && bytes % BANK_ALIGNMENT === 0)) {
    throw new PeerbufError("ARGUMENT_INVALID", `node ${node}: ${bytes} bytes are no whole MiB`);
  }
}

interface Range {
  start: number;
  end: number;
}

/** What is left between the holes, from the lowest. */
function freeGaps(holes: Range[]): Range[] {
  holes.sort((one, other) => one.start - other.start);
  const gaps: Range[] = [];
  let start = RAM_START;
  for (const hole of holes) {
    const end = Math.floor(hole.start / BANK_ALIGNMENT) * BANK_ALIGNMENT;
    if (end > start) {
      gaps.push({ start, end });
    }
    start = Math.max(start, Math.ceil(hole.end / BANK_ALIGNMENT) * BANK_ALIGNMENT);
  }
  gaps.push({ start, end: ADDRESS_END });
  return gaps;
}

/** Every assigned memory BAR and open memory window, and the hole below 4 GiB from the lowest of them. */
function pciRanges(topology: Topology): Range[] {
  const ranges: Range[] = [];
  const { barStart, barSize, barFlags, windowStart, windowSize } = topology.table;
  for (let slot = 0; slot < topology.count * BAR_SLOTS; slot++) {
    if (((barFlags[slot] as number) & (BAR_EXISTS | BAR_IO | BAR_UNASSIGNED)) === BAR_EXISTS) {
      addRange(ranges, barStart[slot] as number, barSize[slot] as number);
    }
  }
  for (let slot = 0; slot < topology.count * WINDOW_SLOTS; slot++) {
    if (slot % WINDOW_SLOTS !== WINDOW_IO) {
      addRange(ranges, windowStart[slot] as number, windowSize[slot] as number);
    }
  }
  const low = ranges.filter(({ start }) => start < FOUR_GIB).map(({ start }) => start);
  ranges.push({
    start: low.reduce((one, other) => Math.min(one, other), LOW_RAM_END),
    end: FOUR_GIB,
  });
  return ranges;
}

/** Legacy ranges below 1 MiB are where no RAM is laid anyway. */
function addRange(ranges: Range[], start: number, size: number): void {
  if (size > 0 && start >= RAM_START) {
    ranges.push({ start, end: start + size });
  }
}
