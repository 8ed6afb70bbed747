/**
 * Sync touches: what a turn touches of fences, reservations and their locks.
 *
 * A fence is a subject of its own, and so is each level of a reservation: who adds a fence for reading and who asks for
 * those of writers commute. A lock that is taken and given back within one turn was only looked at: nobody else could see
 * it taken.
 */
import type {
  Device,
  Fence,
  ObservedReservation,
  ReservationUsage,
  SyncObserver,
} from "@peerbuf/core";
import { ADD, READ, type Touches, WRITE } from "./touches.ts";

/** What is mapped for a device. */
export function touchWindows(touches: Touches, client: Device, kind: number): void {
  touches.touch(touches.subject(`mapped for ${client.id}`), kind);
}

const USAGES: readonly ReservationUsage[] = ["kernel", "write", "read", "bookkeep"];

/** Drivers that wait for a fence are called when it signals. */
interface CalledBack {
  calledBack(): void;
}

export class SyncTouches implements SyncObserver {
  readonly #touches: Touches;
  readonly #drivers: CalledBack;
  /** In this run, to any reservation. */
  readonly #added: { readonly label: string; readonly level: number; readonly fence: number }[] =
    [];
  #isAdding = false;

  constructor(touches: Touches, drivers: CalledBack) {
    this.#touches = touches;
    this.#drivers = drivers;
  }

  looked(fence: Fence): void {
    if (this.#touches.isOn && !this.#isAdding) {
      this.#touches.read(this.#fence(fence));
    }
  }

  signaled(fence: Fence): void {
    if (this.#touches.isOn) {
      this.#touches.write(this.#fence(fence));
      if (fence.waiters().length > 0) {
        this.#drivers.calledBack();
      }
    }
  }

  counted(what: string, isAwaited: boolean): void {
    if (this.#touches.isOn) {
      const left = this.#touches.subject(`those left of ${what}`);
      this.#touches.touch(left, isAwaited ? WRITE : ADD);
    }
  }

  /** Whoever asks depends on all fences that were ever added, also on those whose slot has been taken over since. */
  queried({ label }: ObservedReservation, usage: ReservationUsage): void {
    if (!this.#touches.isOn) {
      return;
    }
    const last = USAGES.indexOf(usage);
    for (let level = 0; level <= last; level++) {
      this.#touches.read(this.#level(label, USAGES[level] as ReservationUsage));
    }
    for (const added of this.#added) {
      if (added.label === label && added.level <= last) {
        this.#touches.read(added.fence);
      }
    }
  }

  adding(): void {
    this.#isAdding = true;
  }

  added({ label }: ObservedReservation, usage: ReservationUsage, fence: Fence | undefined): void {
    this.#isAdding = false;
    if (this.#touches.isHeard && fence !== undefined) {
      this.#added.push({ label, level: USAGES.indexOf(usage), fence: this.#fence(fence) });
    }
    if (this.#touches.isOn && fence !== undefined) {
      this.#touches.add(this.#level(label, usage));
    }
  }

  replaced({ label }: ObservedReservation): void {
    if (this.#touches.isOn) {
      for (const usage of USAGES) {
        this.#touches.write(this.#level(label, usage));
      }
    }
  }

  lockMissed(label: string, isInLine: boolean): void {
    if (this.#touches.isOn) {
      const lock = this.#lock(label);
      this.#touches.read(lock);
      if (isInLine) {
        this.#touches.write(lock);
      }
    }
  }

  lockTaken(label: string): void {
    if (this.#touches.isOn) {
      this.#touches.take(this.#lock(label));
    }
  }

  lockReleased(label: string): void {
    if (this.#touches.isOn) {
      this.#touches.giveBack(this.#lock(label));
    }
  }

  retiring(client: Device): void {
    if (this.#touches.isOn) {
      touchWindows(this.#touches, client, READ);
    }
  }

  #fence({ driverName, timelineName, seqno }: Fence): number {
    return this.#touches.subject(`fence ${driverName} ${timelineName} ${seqno}`);
  }

  #level(label: string, usage: ReservationUsage): number {
    return this.#touches.subject(`${usage} fences of ${label}`);
  }

  #lock(label: string): number {
    return this.#touches.subject(`lock of ${label}`);
  }
}
