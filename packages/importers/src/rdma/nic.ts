/**
 * RDMA NIC, the driver's side: started with its queues, it turns entries into promises.
 *
 * Every entry ends, with the NIC's status or with `NO_ANSWER` when the NIC is stopped. One that does
 * not answer is stopped at once: then it touches no memory any more.
 */
import {
  BARS,
  type Bar,
  CLOCK,
  type Clock,
  type CoherentMemory,
  DEVICE,
  DEVICE_DMA,
  type DeviceDma,
  INTERRUPTS,
  PeerbufError,
  type ScheduledEvent,
  type Services,
} from "@peerbuf/core";
import { COMPLETION_BYTES, type CommandFields, encodeCommand } from "./entries.ts";
import {
  describeCommand,
  ID,
  NO_ANSWER,
  REGISTER,
  REGISTER_BYTES,
  STATUS_READY,
  VECTOR,
} from "./registers.ts";
import { RING_ENTRIES, Ring } from "./ring.ts";

/** Queue pairs of one driver; the completion queue has room for all they can have on their way. */
export const QUEUE_PAIRS_MAX = 32;
const COMPLETION_ENTRIES = 4096;
/** As long as mlx5 waits for a firmware command (6.12: 60 s), halved; retries on the wire end long before. */
const TIMEOUT_NS = 30_000_000_000;

export interface NicResult {
  /** 0: success. */
  readonly status: number;
  readonly result: number;
}

interface Pending {
  readonly ring: Ring;
  readonly watch: ScheduledEvent;
  readonly resolve: (result: NicResult) => void;
}

export class Nic {
  readonly label: string;
  readonly dma: DeviceDma;
  readonly clock: Clock;
  readonly #bar: Bar;
  readonly #completions: CoherentMemory;
  readonly #commands: Ring;
  readonly #interrupt: { off(): void };
  readonly #pending = new Map<number, Pending>();
  readonly #entry = new Uint8Array(COMPLETION_BYTES);
  readonly #entryView = new DataView(this.#entry.buffer);
  #tag = 0;
  #head = 0;
  #phase = 1;
  #stopped: string | undefined;

  /** `DEVICE_FAILED` when the registers do not answer as a NIC's. */
  constructor(services: Services) {
    this.label = `rdma ${services.get(DEVICE).id}`;
    this.dma = services.get(DEVICE_DMA);
    this.clock = services.get(CLOCK);
    this.#bar = findBar(services.get(BARS).memory, this.label);
    this.#completions = this.dma.allocateCoherent(COMPLETION_ENTRIES * COMPLETION_BYTES);
    this.#commands = new Ring(this.dma, (tail) => this.#bar.write32(REGISTER.COMMAND_TAIL, tail));
    this.#interrupt = services.get(INTERRUPTS).on(VECTOR, () => this.#takeIn());
    this.#start();
  }

  /** The NIC's address on the wire. */
  get lid(): number {
    return this.#bar.read32(REGISTER.LID);
  }

  get isRunning(): boolean {
    return this.#stopped === undefined;
  }

  /** The doorbell of a queue pair. */
  ringSends(queuePair: number, tail: number): void {
    this.#bar.write32(REGISTER.SEND_TAILS + 4 * queuePair, tail);
  }

  /** Sends one entry, made for the tag under which its completion will come. Never rejects. */
  async send(ring: Ring, make: (tag: number) => Uint8Array): Promise<NicResult> {
    await ring.room();
    if (this.#stopped !== undefined) {
      ring.finished();
      return NOTHING;
    }
    const tag = this.#nextTag();
    return new Promise((resolve) => {
      const watch = this.clock.schedule(TIMEOUT_NS, () =>
        this.stop(`was stopped: no answer within ${TIMEOUT_NS / 1e9} s`),
      );
      this.#pending.set(tag, { ring, watch, resolve });
      ring.put(make(tag));
    });
  }

  /** Runs a command and gives its result. `DEVICE_FAILED` with the NIC's reason, `DEVICE_GONE` when stopped. */
  async command(fields: CommandFields, what: string): Promise<number> {
    const { status, result } = await this.send(this.#commands, (tag) => encodeCommand(fields, tag));
    if (status === 0) {
      return result;
    }
    const code = status === NO_ANSWER ? "DEVICE_GONE" : "DEVICE_FAILED";
    throw new PeerbufError(code, `${this.label}: ${what} failed: ${describeCommand(status)}`);
  }

  /** Ends all DMA of the NIC; what is on its way gets no answer. Gives back the queues. */
  stop(why: string): void {
    if (this.#stopped !== undefined) {
      return;
    }
    this.#stopped = why;
    this.#bar.write32(REGISTER.CONTROL, 0);
    this.#interrupt.off();
    for (const { ring, watch, resolve } of this.#pending.values()) {
      watch.cancel();
      resolve(NOTHING);
      ring.finished();
    }
    this.#pending.clear();
    this.#commands.free();
    this.dma.freeCoherent(this.#completions);
  }

  #start(): void {
    const bar = this.#bar;
    bar.write32(REGISTER.CONTROL, 0);
    writeRing(bar, REGISTER.COMMAND_RING, this.#commands.memory, RING_ENTRIES);
    writeRing(bar, REGISTER.COMPLETION_RING, this.#completions, COMPLETION_ENTRIES);
    bar.write32(REGISTER.CONTROL, 1);
    if ((bar.read32(REGISTER.STATUS) & STATUS_READY) === 0) {
      this.stop("did not start");
      throw new PeerbufError("DEVICE_FAILED", `${this.label} did not start`);
    }
  }

  #takeIn(): void {
    const before = this.#head;
    for (let tag = this.#next(); tag !== undefined; tag = this.#next()) {
      const pending = this.#pending.get(tag);
      this.#pending.delete(tag);
      pending?.watch.cancel();
      pending?.ring.finished();
      pending?.resolve({
        status: this.#entryView.getUint32(4, true),
        result: this.#entryView.getUint32(12, true),
      });
    }
    if (this.#head !== before) {
      this.#bar.write32(REGISTER.COMPLETION_HEAD, this.#head);
    }
  }

  /** The tag of the next completion whose phase says that it is new. */
  #next(): number | undefined {
    this.#completions.read(this.#head * COMPLETION_BYTES, this.#entry);
    if (this.#entryView.getUint32(28, true) !== this.#phase) {
      return undefined;
    }
    this.#head = (this.#head + 1) % COMPLETION_ENTRIES;
    if (this.#head === 0) {
      this.#phase ^= 1;
    }
    return this.#entryView.getUint32(0, true);
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
