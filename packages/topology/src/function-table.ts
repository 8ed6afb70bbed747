/**
 * Function table: every fact about every PCI function, one flat column a fact, one row a function.
 *
 * Rows are named by their index; -1 means none. The columns are shared, not copied, and belong to
 * one `Topology`: nobody writes to them after it is built.
 */
import type { ResizableBar } from "./function-record.ts";

export const ACS_ABSENT = 0;
export const ACS_PRESENT = 1;
/** The capture does not reach the extended capabilities of this function. */
export const ACS_UNKNOWN = 2;

/** BARs a function has room for: six and the expansion ROM. */
export const BAR_SLOTS = 7;
export const BAR_ROM = 6;
/** Bits of `barFlags`; a slot without `BAR_EXISTS` holds no BAR. */
export const BAR_EXISTS = 0x01;
export const BAR_IO = 0x02;
export const BAR_WIDE = 0x04;
export const BAR_PREFETCHABLE = 0x08;
export const BAR_UNASSIGNED = 0x10;

/** Windows a bridge has, in the order of their slots. */
export const WINDOW_SLOTS = 3;
export const WINDOW_IO = 0;
export const WINDOW_MEMORY = 1;
export const WINDOW_PREFETCHABLE = 2;

/** Header types with a bus below: PCI-to-PCI bridge and CardBus bridge (PCI spec 6.1). */
export const isBridgeHeader = (headerType: number): boolean => headerType === 1 || headerType === 2;

export interface FunctionTable {
  /** Rows. */
  readonly count: number;
  /** Canonical BDF of each row. */
  readonly bdf: readonly string[];
  readonly domain: Uint32Array;
  readonly bus: Uint8Array;
  readonly devfn: Uint8Array;
  readonly vendor: Uint16Array;
  readonly device: Uint16Array;
  readonly classCode: Uint32Array;
  /** 0 endpoint, 1 bridge, 2 CardBus bridge. */
  readonly headerType: Uint8Array;
  /** `PORT_TYPE`, or -1 no PCI Express, -2 unknown. */
  readonly portType: Int8Array;
  /** Row of the bridge above, -1 on a root bus. A virtual function has its own, not its PF's. */
  readonly parent: Int32Array;
  /** Row of the physical function of an SR-IOV virtual function, otherwise -1. */
  readonly physicalFunction: Int32Array;
  /** Index into `Topology.rootBuses`. */
  readonly rootBus: Uint16Array;
  /** Bus numbers of a bridge, -1 when it is none or none are assigned. */
  readonly secondaryBus: Int16Array;
  readonly subordinateBus: Int16Array;
  /** `ACS_ABSENT`, `ACS_PRESENT` or `ACS_UNKNOWN`. */
  readonly acsState: Uint8Array;
  readonly acsCapability: Uint16Array;
  readonly acsControl: Uint16Array;
  /** -1 unknown. */
  readonly numaNode: Int32Array;
  /** -1: in none, or not captured. */
  readonly iommuGroup: Int32Array;
  /** Link facts, 0 unknown: megatransfers a second, and lanes. */
  readonly linkSpeedMtps: Uint32Array;
  readonly linkWidth: Uint8Array;
  readonly linkSpeedMaxMtps: Uint32Array;
  readonly linkWidthMax: Uint8Array;
  /** `BAR_SLOTS` entries a row. Size 0 in an existing slot: the size is not known. */
  readonly barStart: Float64Array;
  readonly barSize: Float64Array;
  readonly barFlags: Uint8Array;
  /** `WINDOW_SLOTS` entries a row. Size 0: closed or not captured. */
  readonly windowStart: Float64Array;
  readonly windowSize: Float64Array;
  /** Resizable BARs by row, where they were captured other than as config space. */
  readonly resizableBars: ReadonlyMap<number, readonly ResizableBar[]>;
  /** Name of the driver bound, "" for none or not captured. */
  readonly driver: readonly string[];
  /** All config spaces in one buffer; row i holds `configLength[i]` bytes from `configOffset[i]`. */
  readonly config: Uint8Array;
  readonly configOffset: Uint32Array;
  readonly configLength: Uint16Array;
  /** All ACS egress control vectors, laid out the same way. */
  readonly egress: Uint8Array;
  readonly egressOffset: Uint32Array;
  readonly egressLength: Uint8Array;
  /** Children of row i: `children[childStart[i] .. childStart[i + 1])`, in bus list order. */
  readonly childStart: Int32Array;
  readonly children: Int32Array;
}
