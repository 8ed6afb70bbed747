/**
 * NVMe controller, the driver's side: from reset to one I/O queue pair, and back.
 *
 * Starting takes the device's time, so it runs by itself after `open`; whoever needs the controller
 * awaits it. A controller that does not answer a command is stopped at once: then it touches no
 * memory any more, and what it was given can safely be taken back.
 */
import {
  BARS,
  type Bar,
  CLOCK,
  type Clock,
  DEVICE,
  DEVICE_DMA,
  type DeviceDma,
  INTERRUPTS,
  PAGE_BYTES,
  PeerbufError,
  type Services,
} from "@peerbuf/core";
import {
  createCompletionQueue,
  createSubmissionQueue,
  flush,
  IDENTIFY_CONTROLLER,
  IDENTIFY_NAMESPACE,
  identify,
  setQueueCount,
} from "./commands.ts";
import { type NvmeIdentity, readIdentity } from "./identity.ts";
import { QUEUE_ENTRIES, QueuePair, type QueuePairParts } from "./queue-pair.ts";
import {
  ENABLE,
  NOT_THERE,
  REGISTER,
  REGISTER_BYTES,
  readCapabilities,
  STATUS_FATAL,
  STATUS_READY,
  writeAddress,
} from "./registers.ts";
import { describeStatus } from "./status.ts";

/** Linux's nvme_core.io_timeout and admin_timeout are 30 s and 60 s (6.12); we take the shorter for both. */
const COMMAND_TIMEOUT_NS = 30_000_000_000;
/** The first pause between two looks at the status; each one is twice as long, up to the second. */
const POLL_NS = 100_000;
const POLL_NS_MAX = 50_000_000;
const ADMIN_QUEUE = 0;
const IO_QUEUE = 1;

export class NvmeController {
  readonly label: string;
  /** Resolves when commands can be sent; rejects with `DEVICE_FAILED`. */
  readonly started: Promise<NvmeIdentity>;
  readonly #bar: Bar;
  readonly #dma: DeviceDma;
  readonly #clock: Clock;
  readonly #queueParts: QueuePairParts;
  readonly #queues: QueuePair[] = [];
  readonly #hasAnswered: boolean;
  #stopped: string | undefined;

  constructor(services: Services) {
    this.label = `nvme ${services.get(DEVICE).id}`;
    this.#bar = findBar(services.get(BARS).memory, this.label);
    this.#dma = services.get(DEVICE_DMA);
    this.#clock = services.get(CLOCK);
    this.#hasAnswered = this.#bar.read32(REGISTER.STATUS) !== NOT_THERE;
    this.#queueParts = {
      bar: this.#bar,
      dma: this.#dma,
      interrupts: services.get(INTERRUPTS),
      doorbellBytes: readCapabilities(this.#bar).doorbellBytes,
      watch: () => this.#clock.schedule(COMMAND_TIMEOUT_NS, () => this.#silent()),
    };
    this.started = this.#start();
    this.started.catch(() => undefined); // Whoever awaits it hears of it; nobody has to.
  }

  /** The I/O queue pair. `DEVICE_GONE` once stopped. */
  get io(): QueuePair {
    const queue = this.#queues[IO_QUEUE];
    if (queue === undefined || this.#stopped !== undefined) {
      throw new PeerbufError("DEVICE_GONE", `${this.label} ${this.#stopped ?? "is not started"}`);
    }
    return queue;
  }

  async flush(): Promise<void> {
    await this.started;
    await this.#run(this.io, flush(), "flush");
  }

  /** Disables the controller, which ends all its DMA, then gives back the queues. */
  stop(why: string): void {
    if (this.#stopped === undefined) {
      this.#stopped = why;
      this.#bar.write32(REGISTER.CONFIGURATION, 0);
      for (const queue of this.#queues) {
        queue.close();
      }
    }
  }

  async #start(): Promise<NvmeIdentity> {
    try {
      await this.#enable();
      const identity = await this.#identify();
      await this.#createIoQueues();
      return identity;
    } catch (error) {
      this.stop("could not be started");
      throw error;
    }
  }

  /** Controller initialisation (NVMe 1.4 section 7.6.1). */
  async #enable(): Promise<void> {
    const bar = this.#bar;
    bar.write32(REGISTER.CONFIGURATION, 0);
    await this.#untilReady(false);
    const admin = new QueuePair(ADMIN_QUEUE, this.#queueParts);
    this.#queues.push(admin);
    const entries = QUEUE_ENTRIES - 1;
    bar.write32(REGISTER.ADMIN_QUEUE_ATTRIBUTES, (entries << 16) | entries);
    writeAddress(bar, REGISTER.ADMIN_SQ, admin.submissions.deviceAddress);
    writeAddress(bar, REGISTER.ADMIN_CQ, admin.completions.deviceAddress);
    bar.write32(REGISTER.CONFIGURATION, ENABLE);
    await this.#untilReady(true);
  }

  async #untilReady(ready: boolean): Promise<void> {
    this.#status(); // Capabilities of a controller that is not there are none.
    const { readyTimeoutNs, queueEntriesMax, takes4KiBPages } = readCapabilities(this.#bar);
    if (queueEntriesMax < QUEUE_ENTRIES || !takes4KiBPages) {
      throw new PeerbufError(
        "DEVICE_FAILED",
        `${this.label} takes queues of ${queueEntriesMax} entries: ${QUEUE_ENTRIES} and 4 KiB pages are needed`,
      );
    }
    const deadlineNs = this.#clock.nowNs + readyTimeoutNs;
    for (let pauseNs = POLL_NS; ; pauseNs = Math.min(2 * pauseNs, POLL_NS_MAX)) {
      const status = this.#status();
      this.#requireRunning();
      if (((status & STATUS_READY) !== 0) === ready && (status & STATUS_FATAL) === 0) {
        return;
      }
      if ((ready && (status & STATUS_FATAL) !== 0) || this.#clock.nowNs >= deadlineNs) {
        const state = ready ? "ready" : "disabled";
        const text = `${this.label} did not become ${state}: CSTS is 0x${status.toString(16)}`;
        throw new PeerbufError("DEVICE_FAILED", text);
      }
      await this.#pause(pauseNs);
    }
  }

  /** `DEVICE_GONE` when it was taken out, `DEVICE_FAILED` when it never was there. */
  #status(): number {
    const status = this.#bar.read32(REGISTER.STATUS);
    if (status === NOT_THERE) {
      throw this.#hasAnswered
        ? new PeerbufError("DEVICE_GONE", `${this.label} does not answer: it was taken out`)
        : new PeerbufError("DEVICE_FAILED", `${this.label}: no NVMe controller answers`);
    }
    return status;
  }

  async #identify(): Promise<NvmeIdentity> {
    const page = this.#dma.allocateCoherent(PAGE_BYTES);
    try {
      const controller = new Uint8Array(PAGE_BYTES);
      const namespace = new Uint8Array(PAGE_BYTES);
      await this.#admin(identify(IDENTIFY_CONTROLLER, page.deviceAddress), "identify controller");
      page.read(0, controller);
      await this.#admin(identify(IDENTIFY_NAMESPACE, page.deviceAddress), "identify namespace");
      page.read(0, namespace);
      return readIdentity(controller, namespace);
    } finally {
      this.#dma.freeCoherent(page);
    }
  }

  async #createIoQueues(): Promise<void> {
    await this.#admin(setQueueCount(), "set number of queues");
    const io = new QueuePair(IO_QUEUE, this.#queueParts);
    this.#queues.push(io);
    const { completions, submissions } = io;
    await this.#admin(
      createCompletionQueue(IO_QUEUE, completions.deviceAddress, QUEUE_ENTRIES, IO_QUEUE),
      "create completion queue",
    );
    await this.#admin(
      createSubmissionQueue(IO_QUEUE, submissions.deviceAddress, QUEUE_ENTRIES),
      "create submission queue",
    );
  }

  async #admin(command: Uint8Array, what: string): Promise<void> {
    await this.#run(this.#queues[ADMIN_QUEUE] as QueuePair, command, what);
  }

  async #run(queue: QueuePair, command: Uint8Array, what: string): Promise<void> {
    const slot = await queue.takeSlot();
    this.#requireRunning();
    const { status } = await queue.send(slot as number, command);
    queue.giveSlot(slot as number);
    this.#requireRunning();
    if (status !== 0) {
      const text = `${this.label}: ${what} failed: ${describeStatus(status)}`;
      throw new PeerbufError("DEVICE_FAILED", text);
    }
  }

  /** It may have been closed or have fallen silent while we waited. */
  #requireRunning(): void {
    if (this.#stopped !== undefined) {
      throw new PeerbufError("DEVICE_GONE", `${this.label} ${this.#stopped}`);
    }
  }

  #silent(): void {
    const isFatal = (this.#bar.read32(REGISTER.STATUS) & STATUS_FATAL) !== 0;
    const what = isFatal ? ", and it reports a fatal error (CSTS.CFS)" : "";
    this.stop(`was stopped: no answer within ${COMMAND_TIMEOUT_NS / 1e9} s${what}`);
  }

  #pause(delayNs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.schedule(delayNs, resolve);
    });
  }
}

function findBar(memory: readonly Bar[], label: string): Bar {
  const bar = memory.find(({ index, sizeBytes }) => index === 0 && sizeBytes >= REGISTER_BYTES);
  if (bar === undefined) {
    throw new PeerbufError("DEVICE_FAILED", `${label} has no memory BAR0 with NVMe registers`);
  }
  return bar;
}
