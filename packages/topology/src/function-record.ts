/**
 * Function record: one PCI function as plain data, the input of `TopologyBuilder`.
 *
 * Readers make records from captures; generated fabrics and tests write them by hand. A member left
 * out is a fact that is not known, and stays unknown in the topology: nothing here has a hopeful
 * default. The one exception is the header type, which follows from having a secondary bus.
 */

/** PCI Express device/port types (PCIe base spec 7.5.3.2, capability flags bits 7:4). */
export const PORT_TYPE = {
  ENDPOINT: 0x0,
  LEGACY_ENDPOINT: 0x1,
  ROOT_PORT: 0x4,
  SWITCH_UPSTREAM: 0x5,
  SWITCH_DOWNSTREAM: 0x6,
  PCIE_TO_PCI: 0x7,
  PCI_TO_PCIE: 0x8,
  ROOT_COMPLEX_ENDPOINT: 0x9,
  EVENT_COLLECTOR: 0xa,
} as const;
/** The function has no PCI Express capability: a conventional PCI function. */
export const PORT_TYPE_NONE = -1;
/** The capture does not show whether the function is PCI Express. */
export const PORT_TYPE_UNKNOWN = -2;

/** Vendor or device id of a function whose id was not captured; no real function answers with it. */
export const ID_UNKNOWN = 0xffff;

export type BarKind = "memory" | "io";

export interface BarRecord {
  /** 0 to 5 as in config space, 6 for the expansion ROM. A 64-bit BAR takes its own index only. */
  readonly index: number;
  /** CPU physical address of the first byte; 0 with `assigned: false` when the BAR has no address. */
  readonly start: number;
  /** Bytes; undefined when only the register was captured, which does not tell the size. */
  readonly size?: number;
  readonly kind: BarKind;
  /** The register pair holds 64 bits. */
  readonly wide: boolean;
  readonly prefetchable: boolean;
  /** False when the firmware or kernel gave it no address. */
  readonly assigned?: boolean;
}

export type WindowKind = "io" | "memory" | "prefetchable";

/** An address range that a bridge forwards downstream. A closed window is left out. */
export interface WindowRecord {
  readonly kind: WindowKind;
  /** First byte, CPU physical. */
  readonly start: number;
  /** Bytes, at least 1. */
  readonly size: number;
}

/** One BAR that can change its size (PCIe 7.8.6). Sizes are bytes. */
export interface ResizableBar {
  readonly index: number;
  readonly size: number;
  /** Ascending; firmware may offer only the present one. */
  readonly sizesSupported: readonly number[];
}

/** Access Control Services of a function (PCIe base spec 7.7.11). */
export interface AcsRecord {
  /** Capability register, +0x04: what can be set. Bits 15:8 are the egress vector's size in bits. */
  readonly capability: number;
  /** Control register, +0x06: what is set. */
  readonly control: number;
  /** Egress control vector, +0x08, as bytes; empty or left out when there is none. */
  readonly egressVector?: Uint8Array;
}

export interface LinkRecord {
  /** Megatransfers a second: 2500, 5000, 8000, 16000, 32000, 64000. */
  readonly speedMtps?: number;
  /** Lanes. */
  readonly width?: number;
  readonly speedMaxMtps?: number;
  readonly widthMax?: number;
}

export interface FunctionRecord {
  /** Any spelling `parseBdf` accepts. */
  readonly bdf: string;
  readonly vendor?: number;
  readonly device?: number;
  /** 24 bits: base class, subclass, programming interface. */
  readonly classCode?: number;
  /** Low seven bits of the header type register: 0 endpoint, 1 bridge, 2 CardBus bridge. */
  readonly headerType?: number;
  /** One of `PORT_TYPE`, `PORT_TYPE_NONE` or (the same as leaving it out) `PORT_TYPE_UNKNOWN`. */
  readonly portType?: number;
  /** The bridge above, null on a root bus. Left out: found by the bridges' secondary bus numbers. */
  readonly parent?: string | null;
  /** The root bus, `dddd:bb`, of a function without parent. Left out: the function's own bus. */
  readonly rootBus?: string;
  /** Bridges only: the bus below. Left out or 0: none assigned. */
  readonly secondaryBus?: number;
  /** Bridges only: the highest bus number below. */
  readonly subordinateBus?: number;
  /** SR-IOV virtual functions only: the physical function. */
  readonly physicalFunction?: string;
  readonly bars?: readonly BarRecord[];
  readonly windows?: readonly WindowRecord[];
  /** BARs that can be resized, where a capture says so without config space. Empty: known to have none. */
  readonly resizableBars?: readonly ResizableBar[];
  /** `"absent"`: known to have no ACS capability. Left out: not captured. */
  readonly acs?: AcsRecord | "absent";
  /** -1 or left out: unknown. */
  readonly numaNode?: number;
  readonly link?: LinkRecord;
  readonly driver?: string;
  readonly iommuGroup?: number;
  /** Raw config space as far as captured. Kept as it is; the other members are not derived from it. */
  readonly config?: Uint8Array;
}
