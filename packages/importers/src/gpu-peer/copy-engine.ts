/**
 * GPU copy engine, as an importer drives it: jobs go in, fences come out, in order.
 *
 * One job is in the ring at a time, in batches of what the ring holds; the rest wait in a queue. When
 * the engine halts or stays silent, the job it was at fails, the engine is started again and the jobs
 * behind go on. The exporter `gpu` drives the same engine in its own way: a GPU is open with one of them.
 */
import {
  allOrNone,
  BARS,
  type Bar,
  CLOCK,
  type Clock,
  type CoherentMemory,
  DEVICE_DMA,
  type DeviceDma,
  FENCES,
  type Fence,
  FenceError,
  INTERRUPTS,
  PAGE_BYTES,
  PeerbufError,
  type ScheduledEvent,
  type Services,
  type SoftwareFence,
  Timeline,
} from "@peerbuf/core";
import { readU64, writeU64 } from "../little-endian.ts";
import {
  COMMAND_BYTES,
  FAULT_TEXT,
  ID,
  OPCODE,
  REGISTER,
  REGISTER_BYTES,
  STATUS_HALTED,
  VECTOR,
} from "./registers.ts";

const RING_ENTRIES = 256;
/** One slot stays empty, so that a full ring is not taken for an empty one; one is for the fence. */
const BATCH_MAX: number = RING_ENTRIES - 2;
/** Jobs waiting or running. Beyond it the device is hopelessly behind. */
const JOBS_MAX = 4096;
/** As long as amdgpu waits for a job before it resets the ring (6.12: 10 s). */
const TIMEOUT_NS = 10_000_000_000;

/** One copy. Addresses are VRAM offsets on the GPU's side, DMA addresses on the other. */
export interface CopyCommand {
  readonly toVram: boolean;
  readonly vramOffset: number;
  readonly address: number;
  readonly lengthBytes: number;
}

interface Job {
  readonly commands: readonly CopyCommand[];
  readonly fence: SoftwareFence;
  /** Commands that are over. */
  done: number;
}

export class CopyEngine {
  readonly vramBytes: number;
  readonly #label: string;
  readonly #registers: Bar;
  readonly #dma: DeviceDma;
  readonly #clock: Clock;
  readonly #ring: CoherentMemory;
  readonly #fenceMemory: CoherentMemory;
  readonly #timeline: Timeline;
  readonly #interrupt: { off(): void };
  /** Not yet over, oldest first: the first is in the ring. */
  readonly #jobs: Job[] = [];
  readonly #entry = new DataView(new ArrayBuffer(COMMAND_BYTES));
  readonly #fenceValue = new DataView(new ArrayBuffer(8));
  #tail = 0;
  /** Counts batches; its number is what the engine writes when one is over. */
  #batch = 0;
  #batchLength = 0;
  #watch: ScheduledEvent | undefined;

  /** `DEVICE_FAILED` when the registers do not answer as a GPU's. */
  constructor(services: Services, label: string) {
    this.#label = label;
    this.#registers = findRegisters(services.get(BARS).memory, label);
    this.#dma = services.get(DEVICE_DMA);
    this.#clock = services.get(CLOCK);
    this.vramBytes = this.#registers.read32(REGISTER.VRAM_PAGES) * PAGE_BYTES;
    [this.#ring, this.#fenceMemory] = allOrNone(
      [
        () => this.#dma.allocateCoherent(RING_ENTRIES * COMMAND_BYTES),
        () => this.#dma.allocateCoherent(PAGE_BYTES),
      ],
      (memory) => this.#dma.freeCoherent(memory),
    ) as [CoherentMemory, CoherentMemory];
    const timelineName = `${label} copy engine`;
    const names = { driverName: "gpu-peer", timelineName, seqnoBits: 64 } as const;
    this.#timeline = new Timeline(services.get(FENCES), names);
    this.#interrupt = services.get(INTERRUPTS).on(VECTOR, () => this.#interrupted());
    this.#start();
  }

  /**
   * Queues a job. `announce` is given the job's fence before anything runs; when it throws, nothing
   * will. The fence signals when the job is over, with an error if it failed.
   */
  submit(commands: readonly CopyCommand[], announce: (fence: Fence) => void): Fence {
    if (this.#jobs.length === JOBS_MAX) {
      const message = `${this.#label} has ${JOBS_MAX} copy jobs waiting`;
      throw new PeerbufError("MEMORY_EXHAUSTED", message);
    }
    const fence = this.#timeline.next();
    announce(fence);
    this.#jobs.push({ commands, fence, done: 0 });
    if (this.#jobs.length === 1) {
      this.#issue();
    }
    return fence;
  }

  /** Stops the engine; jobs that are not over fail. Gives back ring and interrupt. */
  close(): void {
    this.#watch?.cancel();
    this.#registers.write32(REGISTER.CONTROL, 0);
    this.#interrupt.off();
    this.#jobs.length = 0;
    this.#timeline.close(new FenceError("ESHUTDOWN", `${this.#label} was closed`));
    this.#dma.freeCoherent(this.#fenceMemory);
    this.#dma.freeCoherent(this.#ring);
  }

  #start(): void {
    const registers = this.#registers;
    this.#tail = 0;
    registers.write32(REGISTER.CONTROL, 0);
    this.#writeAddress(REGISTER.RING, this.#ring.deviceAddress);
    registers.write32(REGISTER.RING_ENTRIES, RING_ENTRIES);
    this.#writeAddress(REGISTER.FENCE, this.#fenceMemory.deviceAddress);
    registers.write32(REGISTER.CONTROL, 1);
  }

  #writeAddress(lowRegister: number, address: number): void {
    this.#registers.write32(lowRegister, address % 2 ** 32);
    this.#registers.write32(lowRegister + 4, Math.floor(address / 2 ** 32));
  }

  /** Puts the next batch of the first job into the ring. */
  #issue(): void {
    const job = this.#jobs[0];
    if (job === undefined) {
      return;
    }
    const batch = job.commands.slice(job.done, job.done + BATCH_MAX);
    for (const { toVram, vramOffset, address, lengthBytes } of batch) {
      if (toVram) {
        this.#put(OPCODE.DMA_TO_VRAM, address, vramOffset, lengthBytes);
      } else {
        this.#put(OPCODE.VRAM_TO_DMA, vramOffset, address, lengthBytes);
      }
    }
    this.#batchLength = batch.length;
    this.#put(OPCODE.FENCE, 0, ++this.#batch, 0);
    this.#registers.write32(REGISTER.TAIL, this.#tail);
    this.#watch = this.#clock.schedule(TIMEOUT_NS, () =>
      this.#fail("ETIMEDOUT", `did not finish a job within ${TIMEOUT_NS / 1e9} s`),
    );
  }

  #put(opcode: number, source: number, target: number, lengthBytes: number): void {
    const entry = this.#entry;
    entry.setUint32(0, opcode, true);
    writeU64(entry, 8, source);
    writeU64(entry, 16, target);
    writeU64(entry, 24, lengthBytes);
    this.#ring.write(this.#tail * COMMAND_BYTES, new Uint8Array(entry.buffer));
    this.#tail = (this.#tail + 1) % RING_ENTRIES;
  }

  #interrupted(): void {
    const registers = this.#registers;
    if ((registers.read32(REGISTER.STATUS) & STATUS_HALTED) !== 0) {
      this.#fail("EIO", `halted: ${FAULT_TEXT[registers.read32(REGISTER.FAULT)] ?? "no reason"}`);
      return;
    }
    this.#fenceMemory.read(0, new Uint8Array(this.#fenceValue.buffer));
    const job = this.#jobs[0];
    if (job === undefined || readU64(this.#fenceValue, 0) !== this.#batch) {
      return; // The late interrupt of a batch that was given up.
    }
    job.done += this.#batchLength;
    if (job.done < job.commands.length) {
      this.#watch?.cancel();
      this.#issue();
    } else {
      this.#finish(job);
    }
  }

  /** The job leaves the queue before its fence signals: a callback may submit. */
  #finish(job: Job): void {
    this.#watch?.cancel();
    this.#jobs.shift();
    this.#issue();
    this.#timeline.advanceTo(job.fence.seqno);
  }

  #fail(errno: "EIO" | "ETIMEDOUT", what: string): void {
    this.#start();
    const job = this.#jobs[0];
    if (job !== undefined) {
      job.fence.setError(new FenceError(errno, `${this.#label} ${what}`));
      this.#finish(job);
    }
  }
}

/** The smallest memory BAR that is not prefetchable and holds the registers. */
function findRegisters(memory: readonly Bar[], label: string): Bar {
  const [registers] = memory
    .filter(({ prefetchable, sizeBytes }) => !prefetchable && sizeBytes >= REGISTER_BYTES)
    .sort((one, other) => one.sizeBytes - other.sizeBytes);
  const id = registers?.read32(REGISTER.ID);
  if (registers === undefined || id !== ID) {
    const found = id === undefined ? "no BAR for them" : `0x${id.toString(16)}`;
    throw new PeerbufError("DEVICE_FAILED", `${label}: no GPU registers answer (${found})`);
  }
  return registers;
}
