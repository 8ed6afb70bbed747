/**
 * Queue pair: a submission and a completion queue, and the commands on their way.
 *
 * A command takes a slot, which is its identifier; who finds none free waits in turn. Completions
 * are taken in when the interrupt comes. Every command ends: with the controller's status, or with
 * `NO_ANSWER` when the controller is stopped.
 */
import {
  allOrNone,
  type Bar,
  type CoherentMemory,
  type DeviceDma,
  type Interrupts,
  PAGE_BYTES,
  type ScheduledEvent,
} from "@peerbuf/core";
import { COMMAND_BYTES } from "./commands.ts";
import { REGISTER } from "./registers.ts";
import { NO_ANSWER } from "./status.ts";

const COMPLETION_BYTES = 16;
/** Both rings fit a page each. One slot stays empty. */
export const QUEUE_ENTRIES: number = PAGE_BYTES / COMMAND_BYTES;
const COMMANDS_MAX = QUEUE_ENTRIES - 1;

export interface QueuePairParts {
  readonly bar: Bar;
  readonly dma: DeviceDma;
  readonly interrupts: Interrupts;
  readonly doorbellBytes: number;
  /** Arms a watch over one command; the controller decides what a silent command means. */
  readonly watch: () => ScheduledEvent;
}

/** What came back. */
export interface CommandResult {
  /** 0: success. */
  readonly status: number;
  readonly result: number;
}

interface Pending {
  readonly watch: ScheduledEvent;
  readonly resolve: (result: CommandResult) => void;
}

export class QueuePair {
  readonly id: number;
  readonly submissions: CoherentMemory;
  readonly completions: CoherentMemory;
  readonly #parts: QueuePairParts;
  readonly #interrupt: { off(): void };
  readonly #pending = new Map<number, Pending>();
  readonly #freeSlots: number[] = Array.from({ length: COMMANDS_MAX }, (_, slot) => slot);
  readonly #waiting: ((slot: number | undefined) => void)[] = [];
  readonly #entry = new Uint8Array(COMPLETION_BYTES);
  readonly #entryView = new DataView(this.#entry.buffer);
  #tail = 0;
  #head = 0;
  #phase = 1;
  #open = true;

  /** The vector of a queue pair is its number. */
  constructor(id: number, parts: QueuePairParts) {
    this.id = id;
    this.#parts = parts;
    [this.submissions, this.completions] = allOrNone(
      [
        () => parts.dma.allocateCoherent(QUEUE_ENTRIES * COMMAND_BYTES),
        () => parts.dma.allocateCoherent(QUEUE_ENTRIES * COMPLETION_BYTES),
      ],
      (memory) => parts.dma.freeCoherent(memory),
    ) as [CoherentMemory, CoherentMemory];
    this.#interrupt = parts.interrupts.on(id, () => this.#takeIn());
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** A slot for one command, in turn. `undefined`: the queue pair is closed. */
  takeSlot(): Promise<number | undefined> {
    const slot = this.#open ? this.#freeSlots.pop() : undefined;
    if (slot !== undefined || !this.#open) {
      return Promise.resolve(slot);
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  giveSlot(slot: number): void {
    const next = this.#waiting.shift();
    if (next === undefined) {
      this.#freeSlots.push(slot);
    } else {
      next(slot);
    }
  }

  /** Sends the command under the slot's identifier. Never rejects. */
  send(slot: number, command: Uint8Array): Promise<CommandResult> {
    if (!this.#open) {
      return Promise.resolve(NOTHING);
    }
    new DataView(command.buffer).setUint16(2, slot, true);
    this.submissions.write(this.#tail * COMMAND_BYTES, command);
    this.#tail = (this.#tail + 1) % QUEUE_ENTRIES;
    return new Promise((resolve) => {
      this.#pending.set(slot, { resolve, watch: this.#parts.watch() });
      this.#ring(0, this.#tail);
    });
  }

  /** The controller is stopped and touches nothing any more: commands on their way get no answer. */
  close(): void {
    this.#open = false;
    this.#interrupt.off();
    for (const { resolve, watch } of this.#pending.values()) {
      watch.cancel();
      resolve(NOTHING);
    }
    this.#pending.clear();
    for (const waiting of this.#waiting.splice(0)) {
      waiting(undefined);
    }
    this.#parts.dma.freeCoherent(this.completions);
    this.#parts.dma.freeCoherent(this.submissions);
  }

  #takeIn(): void {
    const before = this.#head;
    for (let entry = this.#next(); entry !== undefined; entry = this.#next()) {
      const pending = this.#pending.get(entry.slot);
      this.#pending.delete(entry.slot);
      pending?.watch.cancel();
      pending?.resolve(entry);
    }
    if (this.#head !== before) {
      this.#ring(1, this.#head);
    }
  }

  /** The next completion whose phase says that it is new. */
  #next(): (CommandResult & { slot: number }) | undefined {
    this.completions.read(this.#head * COMPLETION_BYTES, this.#entry);
    const last = this.#entryView.getUint16(14, true);
    if ((last & 1) !== this.#phase) {
      return undefined;
    }
    this.#head = (this.#head + 1) % QUEUE_ENTRIES;
    if (this.#head === 0) {
      this.#phase ^= 1;
    }
    return {
      slot: this.#entryView.getUint16(12, true),
      status: (last >>> 1) & 0x7ff,
      result: this.#entryView.getUint32(0, true),
    };
  }

  /** `which`: 0 submission tail, 1 completion head. */
  #ring(which: 0 | 1, value: number): void {
    const { bar, doorbellBytes } = this.#parts;
    bar.write32(REGISTER.DOORBELLS + (2 * this.id + which) * doorbellBytes, value);
  }
}

const NOTHING: CommandResult = { status: NO_ANSWER, result: 0 };
