/**
 * Watch: what all parts of one checker share.
 */
import type { Device, LockHolder, PhysicalRanges, Reservation } from "@peerbuf/core";
import { Actors, placeOfCall, type Task } from "./actors.ts";
import { checkPublished, checkSignaled } from "./device-work.ts";
import { DmaLedger } from "./dma-ledger.ts";
import { FenceBook } from "./fence-book.ts";
import { HostLedger } from "./host-ledger.ts";
import { MoveBook } from "./move-book.ts";
import { type Violation, ViolationLog } from "./violation.ts";

export interface WatchOptions {
  /** The number of the present step, for reports; an explorer counts, others leave it out. */
  readonly step?: () => number;
  /** Told of each violation as it is found. */
  readonly onViolation?: (violation: Violation) => void;
  /** Leaks name the line that made the handle. Costs some microseconds a handle. */
  readonly traceOrigins?: boolean;
}

interface BarRange {
  readonly device: Device;
  readonly start: number;
  readonly end: number;
}

/** What is asked at the end of the run; each says what is left over. */
export interface LastQuestion {
  ask(): void;
}

export class Watch {
  readonly actors: Actors = new Actors();
  readonly log: ViolationLog;
  readonly dma: DmaLedger = new DmaLedger();
  readonly host: HostLedger = new HostLedger();
  readonly fences: FenceBook;
  readonly moves: MoveBook;
  /** Those that are watched already. */
  readonly reservations: Set<Reservation> = new Set();
  /** Locks that tasks hold: who holds one and waits for another may meet somebody who does it the other way round. */
  readonly locks: { label: string; holder: LockHolder; task: Task | undefined }[] = [];
  /** Engines ask before they access: what devices do is seen. */
  seesDevices = false;
  readonly #traces: boolean;
  readonly #bars: BarRange[] = [];
  readonly #atEnd = new Set<LastQuestion>();

  constructor(options: WatchOptions) {
    this.#traces = options.traceOrigins ?? false;
    this.log = new ViolationLog({
      step: options.step ?? (() => 0),
      actor: () => this.actors.current,
      onViolation: options.onViolation,
    });
    this.fences = new FenceBook(this.log, this.actors, {
      published: (fence) => checkPublished(this, fence),
      signaled: (fence) => checkSignaled(this, fence),
    });
    this.moves = new MoveBook(this.log);
  }

  /** Where the present call comes from; `undefined` unless traces are on. */
  origin(): string | undefined {
    return this.#traces ? placeOfCall() : undefined;
  }

  knowBar(device: Device, start: number, sizeBytes: number): void {
    this.#bars.push({ device, start, end: start + sizeBytes });
  }

  /** `undefined` where the device's BARs are not known. */
  isInBarOf(device: Device, ranges: PhysicalRanges): boolean | undefined {
    const bars = this.#bars.filter((bar) => bar.device === device);
    return bars.length === 0 ? undefined : everyRange(ranges, bars);
  }

  /** The device whose BAR holds this address. */
  barAt(address: number): Device | undefined {
    return this.#bars.find(({ start, end }) => address >= start && address < end)?.device;
  }

  /** Asks again at the end of the run, unless it is settled before. */
  atEnd(question: LastQuestion): void {
    this.#atEnd.add(question);
  }

  settled(question: LastQuestion): void {
    this.#atEnd.delete(question);
  }

  finish(): void {
    for (const question of this.#atEnd) {
      question.ask();
    }
    this.#atEnd.clear();
    this.fences.finish();
  }
}

const everyRange = (ranges: PhysicalRanges, bars: readonly BarRange[]): boolean => {
  for (let index = 0; index < ranges.count; index++) {
    const start = ranges.start(index);
    const end = start + ranges.lengthBytes(index);
    if (!bars.some((bar) => start >= bar.start && end <= bar.end)) {
      return false;
    }
  }
  return true;
};
