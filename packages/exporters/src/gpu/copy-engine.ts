/**
 * GPU copy engine, the driver's side: jobs go in, fences come out.
 *
 * A job is a list of commands that ends with the fence's number written to memory and an interrupt.
 * Jobs run in order and never wait for each other's callers: what does not fit the ring yet stays in
 * a queue. When the engine halts or stays silent, the job it was at fails, the engine is started
 * again and the jobs behind go on.
 */
import {
  allOrNone,
  type Bar,
  type Clock,
  type CoherentMemory,
  type DeviceDma,
  type Fence,
  type FenceDomain,
  FenceError,
  type Interrupts,
  PeerbufError,
  type ScheduledEvent,
  type SoftwareFence,
  Timeline,
} from "@peerbuf/core";
import { readU64, writeU64 } from "../little-endian.ts";
import { COMMAND_FIELDS, type CommandTable } from "./commands.ts";
import { COMMAND_BYTES, FAULT_TEXT, OPCODE, REGISTER, STATUS_HALTED, VECTOR } from "./registers.ts";

const RING_ENTRIES = 256;
/** Jobs waiting or running. Beyond it the device is hopelessly behind. */
const JOBS_MAX = 4096;
/** A long job interrupts in between, so that the ring can be filled again. */
const COMMANDS_PER_INTERRUPT = 64;
/** As long as amdgpu waits for a job before it resets the ring (6.12: 10 s). */
const TIMEOUT_NS = 10_000_000_000;

export interface CopyEngineParts {
  readonly label: string;
  readonly registers: Bar;
  readonly dma: DeviceDma;
  readonly interrupts: Interrupts;
  readonly clock: Clock;
  readonly fences: FenceDomain;
}

interface Job {
  readonly commands: CommandTable;
  readonly fence: SoftwareFence;
  /** Commands already in the ring, the fence as the last one. */
  issued: number;
}

export class CopyEngine {
  readonly #parts: CopyEngineParts;
  readonly #ring: CoherentMemory;
  readonly #fenceMemory: CoherentMemory;
  readonly #timeline: Timeline;
  readonly #interrupt: { off(): void };
  /** Not yet over, oldest first. */
  readonly #jobs: Job[] = [];
  readonly #entry = new Uint8Array(COMMAND_BYTES);
  readonly #entryView = new DataView(this.#entry.buffer);
  readonly #fenceBytes = new Uint8Array(8);
  readonly #fenceView = new DataView(this.#fenceBytes.buffer);
  #tail = 0;
  #watch: ScheduledEvent | undefined;

  constructor(parts: CopyEngineParts) {
    this.#parts = parts;
    [this.#ring, this.#fenceMemory] = allOrNone(
      [
        () => parts.dma.allocateCoherent(RING_ENTRIES * COMMAND_BYTES),
        () => parts.dma.allocateCoherent(this.#fenceBytes.length),
      ],
      (memory) => parts.dma.freeCoherent(memory),
    ) as [CoherentMemory, CoherentMemory];
    this.#timeline = new Timeline(parts.fences, {
      driverName: "gpu",
      timelineName: `${parts.label} copy engine`,
      seqnoBits: 64,
    });
    this.#interrupt = parts.interrupts.on(VECTOR, () => this.#interrupted());
    this.#start();
  }

  /** Queues a job. The fence signals when it is over, with an error if it failed. */
  submit(commands: CommandTable): Fence {
    if (this.#jobs.length === JOBS_MAX) {
      throw new PeerbufError(
        "MEMORY_EXHAUSTED",
        `${this.#parts.label} has ${JOBS_MAX} copy jobs waiting`,
      );
    }
    const fence = this.#timeline.next();
    this.#jobs.push({ commands, fence, issued: 0 });
    if (this.#jobs.length === 1) {
      this.#watchFirst();
    }
    this.#fillRing();
    return fence;
  }

  /** Stops the engine; jobs that are not over fail. Gives back rings and interrupt. */
  close(): void {
    this.#watch?.cancel();
    this.#parts.registers.write32(REGISTER.CONTROL, 0);
    this.#interrupt.off();
    this.#jobs.length = 0;
    this.#timeline.close(new FenceError("ESHUTDOWN", `${this.#parts.label} was closed`));
    this.#parts.dma.freeCoherent(this.#fenceMemory);
    this.#parts.dma.freeCoherent(this.#ring);
  }

  #start(): void {
    const { registers } = this.#parts;
    this.#tail = 0;
    registers.write32(REGISTER.CONTROL, 0);
    this.#writeAddress(REGISTER.RING_LOW, this.#ring);
    registers.write32(REGISTER.RING_ENTRIES, RING_ENTRIES);
    this.#writeAddress(REGISTER.FENCE_LOW, this.#fenceMemory);
    registers.write32(REGISTER.CONTROL, 1);
  }

  #writeAddress(lowRegister: number, memory: CoherentMemory): void {
    const { registers } = this.#parts;
    registers.write32(lowRegister, memory.deviceAddress % 2 ** 32);
    registers.write32(lowRegister + 4, Math.floor(memory.deviceAddress / 2 ** 32));
  }

  #interrupted(): void {
    this.#fenceMemory.read(0, this.#fenceBytes);
    this.#finishUpTo(readU64(this.#fenceView, 0));
    const { registers } = this.#parts;
    if ((registers.read32(REGISTER.STATUS) & STATUS_HALTED) !== 0) {
      const fault = FAULT_TEXT[registers.read32(REGISTER.FAULT)] ?? "an unknown fault";
      this.#restart(new FenceError("EIO", `${this.#parts.label} halted: ${fault}`));
    }
    this.#fillRing();
  }

  /** Jobs leave the list before their fences signal: a callback may submit. */
  #finishUpTo(seqno: number): void {
    let done = 0;
    while (done < this.#jobs.length && (this.#jobs[done] as Job).fence.seqno <= seqno) {
      done++;
    }
    if (done > 0) {
      this.#jobs.splice(0, done);
      this.#watchFirst();
      this.#timeline.advanceTo(seqno);
    }
  }

  /** The job the engine was at is lost; what is behind it in the ring was not begun and goes in again. */
  #restart(error: FenceError): void {
    this.#start();
    for (const job of this.#jobs) {
      job.issued = 0;
    }
    const lost = this.#jobs[0];
    if (lost !== undefined) {
      lost.fence.setError(error);
      this.#finishUpTo(lost.fence.seqno);
    }
  }

  #watchFirst(): void {
    this.#watch?.cancel();
    this.#watch = undefined;
    if (this.#jobs.length > 0) {
      this.#watch = this.#parts.clock.schedule(TIMEOUT_NS, () => {
        const seconds = TIMEOUT_NS / 1e9;
        const text = `${this.#parts.label} did not finish a job within ${seconds} s`;
        this.#restart(new FenceError("ETIMEDOUT", text));
        this.#fillRing();
      });
    }
  }

  #fillRing(): void {
    const { registers } = this.#parts;
    const before = this.#tail;
    let room = this.#room(registers.read32(REGISTER.HEAD));
    for (const job of this.#jobs) {
      while (room > 0 && job.issued < stepsOf(job)) {
        this.#issue(job, job.issued++);
        room--;
      }
    }
    if (this.#tail !== before) {
      registers.write32(REGISTER.TAIL, this.#tail);
    }
  }

  /** One slot stays empty, so that a full ring is not taken for an empty one. */
  #room(head: number): number {
    return (head - this.#tail - 1 + RING_ENTRIES) % RING_ENTRIES;
  }

  /** Step `step` of a job: its commands, an interrupt after each so many, and its fence at the end. */
  #issue(job: Job, step: number): void {
    const group = COMMANDS_PER_INTERRUPT + 1;
    if (step === stepsOf(job) - 1) {
      this.#put([OPCODE.FENCE, 0, 0, job.fence.seqno, 0], 0);
    } else if (step % group === COMMANDS_PER_INTERRUPT) {
      this.#put([OPCODE.FENCE, 0, 0, job.fence.seqno - 1, 0], 0);
    } else {
      this.#put(job.commands, COMMAND_FIELDS * (step - Math.floor(step / group)));
    }
  }

  #put(row: CommandTable, at: number): void {
    const view = this.#entryView;
    view.setUint32(0, row[at] as number, true);
    view.setUint32(4, row[at + 1] as number, true);
    writeU64(view, 8, row[at + 2] as number);
    writeU64(view, 16, row[at + 3] as number);
    writeU64(view, 24, row[at + 4] as number);
    this.#ring.write(this.#tail * COMMAND_BYTES, this.#entry);
    this.#tail = (this.#tail + 1) % RING_ENTRIES;
  }
}

/** Commands of a job with its interrupts in between and its fence. */
function stepsOf({ commands }: Job): number {
  const count = commands.length / COMMAND_FIELDS;
  return count + Math.floor(count / COMMANDS_PER_INTERRUPT) + 1;
}
