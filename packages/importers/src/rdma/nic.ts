/**
 * RDMA NIC, the driver's side: started with its queues, it turns entries into promises.
 *
 * Every entry ends, with the NIC's status or with `NO_ANSWER` when the NIC is stopped. One that does
 * not answer is stopped at once: then it touches no memory any more, and whoever waits for that hears it.
 */
import {
  allOrNone,
  BARS,
  type Bar,
  CLOCK,
  type Clock,
  type CoherentMemory,
  DEVICE,
  DEVICE_DMA,
  type DeviceDma,
  FENCES,
  type FenceDomain,
  INTERRUPTS,
  PeerbufError,
  type ScheduledEvent,
  type Services,
} from "@peerbuf/core";
import { type CommandFields, encodeCommand } from "./entries.ts";
import {
  describeCommand,
  EVENT,
  FLUSHED,
  ID,
  NO_ANSWER,
  REGISTER,
  REGISTER_BYTES,
  STATUS_READY,
  VECTOR,
} from "./registers.ts";
import { ReportQueue } from "./report-queue.ts";
import { RING_ENTRIES, Ring } from "./ring.ts";

/** Queue pairs of one driver; the completion queue has room for all they can have on their way. */
export const QUEUE_PAIRS_MAX = 32;
const COMPLETION_ENTRIES = 4096;
/** Regions that may fault; each has at most one fault with the driver at a time. */
export const ON_DEMAND_REGIONS_MAX = 64;
/** Room for all those faults, and for one zap that each queue pair may have to end with. */
const EVENT_ENTRIES = 256;
/** As long as mlx5 waits for a firmware command (6.12: 60 s), halved; retries on the wire end long before. */
const TIMEOUT_NS = 30_000_000_000;

export interface NicResult {
  /** 0: success. */
  readonly status: number;
  readonly result: number;
}

/** What the NIC tells about one region. */
export interface RegionEvents {
  /** An access waits until the region is mapped. */
  pageFault(): void;
  /** The accesses that were under way at the zap of this number are over. */
  drained(zap: number): void;
  /** The NIC is stopped, and touches nothing any more. */
  stopped(): void;
}

/** Whether a time limit is on the answer to an entry. */
type Patience = "limited" | "endless";

interface Pending {
  readonly ring: Ring;
  readonly watch: ScheduledEvent | undefined;
  readonly resolve: (result: NicResult) => void;
}

export class Nic {
  readonly label: string;
  readonly dma: DeviceDma;
  readonly clock: Clock;
  readonly fences: FenceDomain;
  readonly #bar: Bar;
  readonly #completions: ReportQueue;
  readonly #events: ReportQueue;
  readonly #commands: Ring;
  readonly #interrupt: { off(): void };
  readonly #pending = new Map<number, Pending>();
  readonly #regions = new Map<number, RegionEvents>();
  /** By number: called with the status that broke the queue pair. */
  readonly #queuePairs = new Map<number, (status: number) => void>();
  #tag = 0;
  #isStopped = false;

  /** `DEVICE_FAILED` when the registers do not answer as a NIC's. */
  constructor(services: Services) {
    this.label = `rdma ${services.get(DEVICE).id}`;
    this.dma = services.get(DEVICE_DMA);
    this.clock = services.get(CLOCK);
    this.fences = services.get(FENCES);
    const bar = findBar(services.get(BARS).memory, this.label);
    this.#bar = bar;
    const [completions, events, commands] = allOrNone<ReportQueue | Ring>(
      [
        () =>
          new ReportQueue(this.dma, COMPLETION_ENTRIES, (head) =>
            bar.write32(REGISTER.COMPLETION_HEAD, head),
          ),
        () =>
          new ReportQueue(this.dma, EVENT_ENTRIES, (head) =>
            bar.write32(REGISTER.EVENT_HEAD, head),
          ),
        () => new Ring(this.dma, (tail) => bar.write32(REGISTER.COMMAND_TAIL, tail)),
      ],
      (queue) => queue.free(),
    ) as [ReportQueue, ReportQueue, Ring];
    this.#completions = completions;
    this.#events = events;
    this.#commands = commands;
    this.#interrupt = services.get(INTERRUPTS).on(VECTOR, () => this.#takeIn());
    this.#start();
  }

  /** The NIC's address on the wire. */
  get lid(): number {
    return this.#bar.read32(REGISTER.LID);
  }

  get isRunning(): boolean {
    return !this.#isStopped;
  }

  /** The doorbells of a queue pair. */
  ringSends(queuePair: number, tail: number): void {
    this.#bar.write32(REGISTER.SEND_TAILS + 4 * queuePair, tail);
  }

  ringReceives(queuePair: number, tail: number): void {
    this.#bar.write32(REGISTER.RECEIVE_TAILS + 4 * queuePair, tail);
  }

  /** Sends one entry, made for the tag under which its completion will come. Never rejects. */
  async send(
    ring: Ring,
    make: (tag: number) => Uint8Array,
    patience: Patience = "limited",
  ): Promise<NicResult> {
    await ring.room();
    if (this.#isStopped) {
      ring.finished();
      return NOTHING;
    }
    const tag = this.#nextTag();
    return new Promise((resolve) => {
      const watch = patience === "limited" ? this.expectAnswer() : undefined;
      this.#pending.set(tag, { ring, watch, resolve });
      ring.put(make(tag));
    });
  }

  /** Stops the NIC unless it is cancelled in time. */
  expectAnswer(): ScheduledEvent {
    return this.clock.schedule(TIMEOUT_NS, () => this.stop());
  }

  /** Runs a command. Never rejects. */
  run(fields: CommandFields): Promise<NicResult> {
    return this.send(this.#commands, (tag) => encodeCommand(fields, tag));
  }

  /** Runs a command and gives its result. `DEVICE_FAILED` with the NIC's reason, `DEVICE_GONE` when stopped. */
  async command(fields: CommandFields, what: string): Promise<number> {
    const { status, result } = await this.run(fields);
    if (status === 0) {
      return result;
    }
    throw this.failure(status, what);
  }

  /** What became of a command, as an error. */
  failure(status: number, what: string): PeerbufError {
    const code = status === NO_ANSWER ? "DEVICE_GONE" : "DEVICE_FAILED";
    return new PeerbufError(code, `${this.label}: ${what} failed: ${describeCommand(status)}`);
  }

  /** The NIC has forgotten this queue: what was in it ends as flushed. */
  abandon(ring: Ring): void {
    for (const [tag, { watch, resolve, ring: its }] of [...this.#pending]) {
      if (its === ring) {
        this.#pending.delete(tag);
        watch?.cancel();
        resolve({ status: FLUSHED, result: 0 });
        ring.finished();
      }
    }
  }

  /** From now on `events` hears about the region behind the key ... */
  watch(key: number, events: RegionEvents): void {
    this.#regions.set(key, events);
  }

  /** ... and no longer. */
  unwatch(key: number): void {
    this.#regions.delete(key);
  }

  /** From now on `broken` hears when the queue pair breaks without a request of its own ... */
  watchQueuePair(queuePair: number, broken: (status: number) => void): void {
    this.#queuePairs.set(queuePair, broken);
  }

  /** ... and no longer. */
  unwatchQueuePair(queuePair: number): void {
    this.#queuePairs.delete(queuePair);
  }

  /**
   * Takes the region's memory away from the NIC, at once. Returns how many accesses are still under
   * way; if there are any, `drained` is called. The read also sees to it that the write has arrived.
   */
  zap(key: number): number {
    if (this.#isStopped) {
      return 0;
    }
    this.#bar.write32(REGISTER.ZAP, key);
    return this.#bar.read32(REGISTER.ZAP);
  }

  /** Ends all DMA of the NIC; what is on its way gets no answer. Gives back the queues. */
  stop(): void {
    if (this.#isStopped) {
      return;
    }
    this.#isStopped = true;
    this.#bar.write32(REGISTER.CONTROL, 0);
    this.#interrupt.off();
    for (const { ring, watch, resolve } of this.#pending.values()) {
      watch?.cancel();
      resolve(NOTHING);
      ring.finished();
    }
    this.#pending.clear();
    this.#commands.free();
    this.#events.free();
    this.#completions.free();
    for (const region of [...this.#regions.values()]) {
      region.stopped();
    }
  }

  #start(): void {
    const bar = this.#bar;
    bar.write32(REGISTER.CONTROL, 0);
    writeRing(bar, REGISTER.COMMAND_RING, this.#commands.memory, RING_ENTRIES);
    writeRing(bar, REGISTER.COMPLETION_RING, this.#completions.memory, COMPLETION_ENTRIES);
    writeRing(bar, REGISTER.EVENT_RING, this.#events.memory, EVENT_ENTRIES);
    bar.write32(REGISTER.CONTROL, 1);
    if ((bar.read32(REGISTER.STATUS) & STATUS_READY) === 0) {
      this.stop();
      throw new PeerbufError("DEVICE_FAILED", `${this.label} did not start`);
    }
  }

  #takeIn(): void {
    this.#completions.takeIn((tag, status, _queuePair, result) => {
      const pending = this.#pending.get(tag);
      this.#pending.delete(tag);
      pending?.watch?.cancel();
      pending?.ring.finished();
      pending?.resolve({ status, result });
    });
    this.#events.takeIn((kind, about, number) => {
      if (kind === EVENT.PAGE_FAULT) {
        this.#regions.get(about)?.pageFault();
      } else if (kind === EVENT.DRAINED) {
        this.#regions.get(about)?.drained(number);
      } else if (kind === EVENT.QUEUE_PAIR_ERROR) {
        this.#queuePairs.get(about)?.(number);
      }
    });
  }

  /** Far more tags than entries can be on their way. */
  #nextTag(): number {
    this.#tag = (this.#tag + 1) >>> 0;
    return this.#tag;
  }
}

const NOTHING: NicResult = { status: NO_ANSWER, result: 0 };

function writeRing(bar: Bar, register: number, memory: CoherentMemory, entries: number): void {
  bar.write32(register, memory.deviceAddress % 2 ** 32);
  bar.write32(register + 4, Math.floor(memory.deviceAddress / 2 ** 32));
  bar.write32(register + 8, entries);
}

/** The registers are in the first memory BAR that can hold them. */
function findBar(memory: readonly Bar[], label: string): Bar {
  const bar = memory.find(({ sizeBytes }) => sizeBytes >= REGISTER_BYTES);
  const id = bar?.read32(REGISTER.ID);
  if (bar === undefined || id !== ID) {
    const found = id === undefined ? "no BAR for them" : `0x${id.toString(16)}`;
    throw new PeerbufError("DEVICE_FAILED", `${label}: no NIC registers answer (${found})`);
  }
  return bar;
}
