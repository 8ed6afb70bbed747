/**
 * Function draft: what a listing has said of one PCI function so far.
 *
 * Every member but the address may be undefined, which means "not shown". Lines fill a draft, a second
 * listing in the same file completes it; `draft-record.ts` makes the record.
 */

import type { BarRecord, ResizableBar, WindowRecord } from "../../function-record.ts";
import type { ConfigRows } from "./hex-row.ts";

/** Virtual functions of a physical function, as the SR-IOV capability prints them. */
export interface VirtualFunctions {
  readonly count: number;
  /** Routing id of the first one and from one to the next, relative to the physical function. */
  readonly firstOffset: number;
  readonly stride: number;
}

/** `denied`: lspci said so; `shown`: at least one capability was printed. */
export type CapabilitiesShown = "no" | "denied" | "shown";

export interface FunctionDraft {
  /** Canonical. */
  readonly bdf: string;
  /** Where it stands first. */
  readonly line: number;
  /** The bridge above where the form shows it (a tree, `-PP`), null on a root bus. */
  parent?: string | null | undefined;
  /** Bus numbers of a bridge. */
  secondaryBus?: number;
  subordinateBus?: number;
  /** A tree or a path shows it with something below. */
  isBridge?: boolean;
  vendor?: number | undefined;
  device?: number;
  subsystemVendor?: number;
  subsystemDevice?: number;
  /** Base class and subclass. */
  classKind?: number | undefined;
  /** Programming interface; lspci leaves a zero without a name out. */
  programmingInterface?: number;
  /** Vendor and model in words, as printed. */
  modelName?: string;
  rows?: ConfigRows;
  capabilities: CapabilitiesShown;
  /** The details that lspci prints before the capabilities are there, so the block was not made by picking lines. */
  isDetailed: boolean;
  /** Something that comes after the capabilities was seen: none can be missing at the end. */
  isFinished: boolean;
  /** The block shows every capability that lspci could read; set when the block ends. */
  hasAllCapabilities: boolean;
  /** The status register says whether there is a list of capabilities (`Cap+`, `Cap-`). */
  hasCapabilityList?: boolean;
  hasExtendedCapability: boolean;
  hasExpress: boolean;
  portType?: number;
  hasAcs: boolean;
  acsCapability?: number;
  acsControl?: number;
  speedMtps?: number;
  width?: number;
  speedMaxMtps?: number;
  widthMax?: number;
  bars: BarRecord[];
  windows: WindowRecord[];
  resizableBars: ResizableBar[];
  virtualFunctions?: Partial<VirtualFunctions>;
  driver?: string;
  numaNode?: number;
  iommuGroup?: number;
}

export const draftAt = (bdf: string, line: number): FunctionDraft => ({
  bdf,
  line,
  capabilities: "no",
  isDetailed: false,
  isFinished: false,
  hasAllCapabilities: false,
  hasExtendedCapability: false,
  hasExpress: false,
  hasAcs: false,
  bars: [],
  windows: [],
  resizableBars: [],
});
