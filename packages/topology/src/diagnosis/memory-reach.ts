/**
 * Memory reach: how much of a device's memory its peers can address, and who limits it.
 *
 * Only what a BAR shows has a bus address. The largest memory BAR counts; the Resizable BAR capability
 * (PCIe 7.8.6) says which sizes the card offers. How much memory the card has is in no config space, so
 * "small" is only claimed where the card itself offers more, or for the classic 256 MiB aperture.
 */
import type { Topology } from "../topology.ts";
import { kindOf } from "./device-kind.ts";

const MIB = 2 ** 20;
/** The aperture of cards from the time of 32-bit firmware, and the most they offer without newer firmware. */
const CLASSIC_APERTURE_BYTES = 256 * MIB;

/**
 * Who keeps the BAR from being larger: the card's firmware offers no more; the system firmware or the
 * bridges above left no room; nobody.
 */
export type ReachLimit =
  | "card-firmware"
  | "system-firmware"
  | "bridge-windows"
  | "none"
  | "unknown";

export interface MemoryReach {
  /** BAR index 0 to 5. */
  readonly index: number;
  /** Bytes; undefined where the size is not in the capture. */
  readonly sizeBytes?: number;
  /** Ascending, from the Resizable BAR capability; empty when it has none, undefined when not captured. */
  readonly sizesSupported?: readonly number[];
  readonly isAssigned: boolean;
  readonly limit: ReachLimit;
}

/** The largest memory BAR of a function; undefined when it has none. */
export function memoryReachOf(topology: Topology, row: number): MemoryReach | undefined {
  const bars = topology.barsOf(row).filter(({ kind, index }) => kind === "memory" && index < 6);
  const resizable = topology.resizableBarsOf(row);
  const sizeOf = (index: number, size: number | undefined): number | undefined =>
    size ?? resizable?.find((each) => each.index === index)?.size;
  const largest = bars.toSorted(
    (one, other) =>
      (sizeOf(other.index, other.size) ?? 0) - (sizeOf(one.index, one.size) ?? 0) ||
      Number(other.prefetchable) - Number(one.prefetchable),
  )[0];
  if (largest === undefined) {
    return undefined;
  }
  const sizeBytes = sizeOf(largest.index, largest.size);
  const sizesSupported =
    resizable === undefined
      ? undefined
      : (resizable.find(({ index }) => index === largest.index)?.sizesSupported ?? []);
  const reach = {
    index: largest.index,
    ...(sizeBytes !== undefined && { sizeBytes }),
    ...(sizesSupported !== undefined && { sizesSupported }),
    isAssigned: largest.assigned !== false,
  };
  return { ...reach, limit: limitOf(topology, row, reach) };
}

/** True when peers reach less of an accelerator's memory than the card could show, or the classic aperture only. */
export const isSmall = (topology: Topology, row: number, reach: MemoryReach): boolean =>
  kindOf(topology, row) === "accelerator" &&
  (!reach.isAssigned ||
    (reach.sizeBytes !== undefined &&
      (reach.sizeBytes < (reach.sizesSupported?.at(-1) ?? 0) ||
        reach.sizeBytes === CLASSIC_APERTURE_BYTES)));

function limitOf(topology: Topology, row: number, reach: Omit<MemoryReach, "limit">): ReachLimit {
  const { sizeBytes, sizesSupported } = reach;
  if (sizesSupported === undefined || sizeBytes === undefined) {
    return "unknown";
  }
  const largest = sizesSupported.at(-1) ?? sizeBytes;
  if (largest <= sizeBytes) {
    return sizeBytes <= CLASSIC_APERTURE_BYTES ? "card-firmware" : "none";
  }
  return hasRoom(topology, row, largest) ? "system-firmware" : "bridge-windows";
}

/** Are the windows of all bridges above at least as large as the BAR would be? */
function hasRoom(topology: Topology, row: number, sizeBytes: number): boolean {
  for (let above = topology.upstreamOf(row); above >= 0; above = topology.upstreamOf(above)) {
    const roomBytes = topology
      .windowsOf(above)
      .reduce((most, { kind, size }) => (kind === "io" ? most : Math.max(most, size)), 0);
    if (roomBytes < sizeBytes) {
      return false;
    }
  }
  return true;
}
