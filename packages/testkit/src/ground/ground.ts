/**
 * Ground: what a world stands on where it is not the light one.
 *
 * Brings platform, judge and engines, and takes over what a world can do to its hardware. Its events go into lanes of the
 * world's clock, its questions to the world's decisions; so a run on it is as determined as any.
 */
import type { Device, Judge, Platform } from "@peerbuf/core";
import type { DmaEngine } from "./dma-engine.ts";
import type { World } from "./world.ts";

export interface Ground {
  readonly platform: Platform;
  readonly judge: Judge;
  /** The kit's engine in this device. `DEVICE_UNKNOWN` where it has none. */
  engineOf(device: Device): DmaEngine;
  /** Devices that can be lost now, by id. */
  removable(): readonly string[];
  /** This device is lost. */
  unplug(id: string): void;
  isGone(device: Device): boolean;
  /** Faults that were decided on and have not happened yet: they count as faults of the run. */
  readonly plannedFaults: number;
  /** Faults that last hold back work that will go on when they are over. */
  readonly hasHeldBack: boolean;
  /** The faults are over: what they held back goes on. */
  endFaults(): void;
  /** Everything is closed: reports what is still out. */
  judgeLeaks(): void;
}

/** Makes the ground of one world; clock, decisions and reports of the world are ready by then, nothing else of it is. */
export type GroundMaker = (world: World) => Ground;
