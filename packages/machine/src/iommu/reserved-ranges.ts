/**
 * Reserved ranges: device addresses that are never given out, because they mean something on the way.
 *
 * A request for an address in a window of the host bridge may turn round below the root complex and
 * never meet the IOMMU; one at the interrupt range is a message, not memory. Linux keeps both free
 * (`iova_reserve_pci_windows` and the reserved regions of the x86 drivers, 6.12).
 */
import { WINDOW_IO, WINDOW_SLOTS } from "@peerbuf/topology";
import type { FabricMap } from "../fabric-map.ts";
import type { ReservedRange } from "./iova-allocator.ts";

/** Where x86 takes message-signalled interrupts. */
const INTERRUPTS: ReservedRange = { start: 0xfee0_0000, end: 0xfef0_0000 };

/** For devices below one root bus (by index), as bus addresses there. */
export function reservedRanges(
  { topology, slots }: FabricMap,
  rootBus: number,
  busOffset: number,
): ReservedRange[] {
  const { windowStart, windowSize, rootBus: rootOf } = topology.table;
  const ranges: ReservedRange[] = [INTERRUPTS];
  const add = (row: number, start: number, sizeBytes: number): void => {
    if (rootOf[row] === rootBus && sizeBytes > 0) {
      ranges.push({ start: start + busOffset, end: start + busOffset + sizeBytes });
    }
  };
  for (const { row, start, sizeBytes } of slots) {
    add(row, start, sizeBytes);
  }
  for (let at = 0; at < topology.count * WINDOW_SLOTS; at++) {
    if (at % WINDOW_SLOTS !== WINDOW_IO) {
      add(Math.floor(at / WINDOW_SLOTS), windowStart[at] as number, windowSize[at] as number);
    }
  }
  return ranges;
}
