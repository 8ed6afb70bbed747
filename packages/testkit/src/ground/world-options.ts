/**
 * World options: what a world is made of, and who looks over its shoulder.
 */
import type {
  Device,
  DmaLimits,
  Framework,
  FrameworkOptions,
  PathType,
  SegmentList,
} from "@peerbuf/core";
import type { Decisions } from "../explorer/decisions.ts";
import type { FaultKind } from "./fault-kind.ts";
import type { GroundMaker } from "./ground.ts";
import type { TransitionCounts } from "./transition.ts";

/** What kind of world it is: the same for every run of a scenario. */
export interface WorldKind {
  /** What it stands on; default the light ground, which the next seven are about. */
  readonly ground?: GroundMaker;
  /** Default: gpu0, nic0, nic1. Each has an engine and memory behind a BAR. */
  readonly devices?: readonly string[];
  /** What a device's DMA can follow; default anything. */
  readonly limits?: Readonly<Record<string, Partial<DmaLimits>>>;
  /** Topology's word on a pair; default `bus-addr` for all. */
  readonly path?: (providerId: string, clientId: string) => PathType;
  /** Host memory in bytes; default 16 MiB. */
  readonly hostBytesMax?: number;
  /** Behind the BAR of each device; default 64 KiB. */
  readonly deviceMemoryBytes?: number;
  /** `true`: DMA addresses keep the gaps of the memory behind them. */
  readonly isDirect?: boolean;
  /** Where DMA addresses begin; default 0x10_0000. */
  readonly firstDmaAddress?: number;
  /** Events of different lanes change places when they are due within so many ns; default 10,000. */
  readonly slackNs?: number;
}

/** What one run brings along. */
export interface WorldRun {
  readonly decisions: Decisions;
  /** Faults that may happen at calls; default none. */
  readonly faults?: readonly FaultKind[] | undefined;
  /** How many in a run; default 1. */
  readonly faultsMax?: number | undefined;
  /** Numbers of subjects; one for a whole campaign. */
  readonly subjects?: Map<string, number> | undefined;
  /** Counts transitions; one for a whole campaign. */
  readonly counts?: TransitionCounts | undefined;
  /** Looks over the run's shoulder. */
  readonly checker?: RunChecker | undefined;
  /** Takes the story down. */
  readonly isTold?: boolean | undefined;
}

export interface WorldOptions extends WorldKind, WorldRun {}

/** What a world needs of a checker: it makes the framework, and has its say on accesses. */
export interface RunChecker {
  /** Who runs now. */
  actor: string;
  deviceWork(segments: SegmentList): { end(): void };
  framework(options: FrameworkOptions): Framework;
  /** Work of one actor, followed across its `await`s. */
  task?<T>(actor: string, work: () => T): T;
  deviceAccess(access: {
    client: Device;
    address: number;
    lengthBytes: number;
    kind: "read" | "write";
    /** The engine says nothing of its work but this. */
    isWork?: boolean;
  }): boolean;
}

/** One line of a story. */
export interface StoryLine {
  readonly step: number;
  readonly actor: string;
  readonly text: string;
}
