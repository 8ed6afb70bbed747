/**
 * Sync observer: told of whoever looks at fences and reservations or changes them, and of mappings that end.
 *
 * For tools that have to know which steps of a run depend on their order. There is one at most for all of a domain, and it
 * changes nothing. What a reservation does to find a slot for a fence is between `adding` and `added`: nobody
 * learns anything by it.
 */
import type { Device } from "../device.ts";
import type { Fence } from "./fence.ts";
import type { ReservationUsage } from "./reservation-usage.ts";

/** As far as the observer has to tell one from the other. */
export interface ObservedReservation {
  readonly label: string;
}

export interface SyncObserver {
  /** Somebody asks whether the fence is signaled, or waits for it. */
  looked(fence: Fence): void;
  signaled(fence: Fence): void;
  /**
   * One of several is over (members of an array, mappings of a buffer), or somebody begins to wait for the last of them.
   * `isAwaited`: somebody waits, so what it sets going depends on which is the last.
   */
  counted(what: string, isAwaited: boolean): void;
  /** Somebody asks for the fences of this usage and of all stronger ones. */
  queried(reservation: ObservedReservation, usage: ReservationUsage): void;
  adding(reservation: ObservedReservation): void;
  /** `fence` left out: room was made, and none was added. */
  added(reservation: ObservedReservation, usage: ReservationUsage, fence: Fence | undefined): void;
  /** Fences were put in the place of others. */
  replaced(reservation: ObservedReservation): void;
  /** Somebody finds the lock of this label taken, or gets in line for it. */
  lockMissed(label: string, isInLine: boolean): void;
  lockTaken(label: string): void;
  lockReleased(label: string): void;
  /** A mapping of this device is no more, if it was not dead before: by its unmap, or when a move need not wait any longer. */
  retiring(client: Device): void;
}
