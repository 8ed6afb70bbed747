/**
 * Machine clock: what a machine needs of time.
 *
 * Every party of a machine, a device's engine, the processor that serves it, the IOMMU, schedules on a lane of its
 * own. Events of one lane run in the order of their times, and of arrival within one time. `VirtualClock` has one
 * order for all, so that its lanes are itself; a harness that looks for trouble may bring a clock that lets lanes
 * pass each other, as hardware does.
 */
import type { Clock, ScheduledEvent } from "@peerbuf/core";

/** The time of one party. */
export interface LaneClock extends Clock {
  /** As `schedule`, at a time that has not passed: `ARGUMENT_INVALID`. */
  scheduleAt(timeNs: number, run: () => void): ScheduledEvent;
}

export interface MachineClock extends LaneClock {
  /** Events that have not run yet. */
  readonly pendingCount: number;
  /** The lane of this name; the same one each time. */
  lane(name: string): LaneClock;
  /** Runs events until none is left. Returns how many ran. */
  run(): number;
  /** Runs the events up to and including `timeNs`. Returns how many ran. */
  runUntil(timeNs: number): number;
}

/** Names of lanes. */
export const engineLane = (bdf: string): string => `engine of ${bdf}`;
/** Interrupts of a function, and what its drivers schedule: the processor's side. */
export const driverLane = (bdf: string): string => `driver of ${bdf}`;
export const LINKS_LANE = "links";
export const IOMMU_LANE = "iommu";
/** Drivers without a device. */
export const SOFTWARE_LANE = "software";
