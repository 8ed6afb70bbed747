/**
 * NVMe controller: the register-level model of a drive with one namespace (NVMe 1.4).
 *
 * A driver sees a real NVMe interface: registers and doorbells in BAR0, commands fetched by DMA,
 * completions posted by DMA with phase bits, one MSI-X vector for each completion queue; and, where
 * asked for, a controller memory buffer for data. Left out: SGLs, log pages, asynchronous events,
 * arbitration classes; writing a wrong value to a doorbell is ignored, where a drive would raise an
 * asynchronous event.
 *
 * Work in flight belongs to one life of the controller: disabling or resetting it starts a new life,
 * and events of an older one do nothing.
 */
import type { BarModel, DeviceModel, DevicePort } from "../../device-model.ts";
import type { SparseMemory } from "../../sparse-memory.ts";
import { requireBar } from "../bar-choice.ts";
import { joinU64 } from "../little-endian.ts";
import { registerWindow } from "../register-window.ts";
import { runAdminCommand } from "./admin-commands.ts";
import { decodeCommand, type NvmeCommand } from "./command.ts";
import type { ControllerIdentity } from "./identify.ts";
import { prepareIo } from "./io-commands.ts";
import { ADMIN_NS, DOORBELL_NS, ENABLE_NS, ioLatencyNs } from "./latency.ts";
import { CAP_HIGH_CMB, type MemoryBuffer, placeMemoryBuffer } from "./memory-buffer.ts";
import { Namespace } from "./namespace.ts";
import { CompletionQueue, SubmissionQueue } from "./queues.ts";
import {
  CAP_HIGH,
  CAP_LOW,
  CQ_ENTRY_BYTES,
  decodeConfiguration,
  NVME_PAGE_BYTES,
  REGISTER,
  SQ_ENTRY_BYTES,
  STATUS_FATAL,
  STATUS_READY,
  STATUS_SHUTDOWN_COMPLETE,
  VERSION_1_4,
} from "./registers.ts";
import type { Status } from "./status.ts";

export interface NvmeControllerOptions {
  /** Size of the namespace in bytes, a multiple of the block size. Default 1 GiB; only what is written takes memory. */
  readonly capacityBytes?: number;
  /** Default 512. */
  readonly blockBytes?: 512 | 4096;
  /** Largest transfer of one command: 2^mdts pages of 4 KiB; 0: no limit. Default 7, which is 512 KiB. */
  readonly mdts?: number;
  /** Up to 20 ASCII characters. */
  readonly serial?: string;
  /** `true`: a controller memory buffer fills the function's largest prefetchable BAR, if it has one. Default `false`. */
  readonly memoryBuffer?: boolean;
}

export interface NvmeController extends DeviceModel {
  /** Test instrument: the bytes of the namespace, reached past the controller. */
  inspect(): {
    readonly namespace: SparseMemory;
    /** The bytes of the controller memory buffer, where there is one. */
    readonly memoryBuffer: SparseMemory | undefined;
  };
}

/** A model to be placed behind a function with a memory BAR0 of at least 8 KiB. */
export function createNvmeController(options: NvmeControllerOptions = {}): NvmeController {
  const namespace = new Namespace(options.capacityBytes ?? 2 ** 30, options.blockBytes ?? 512);
  const identity = {
    serial: options.serial ?? "PEERBUF0001",
    model: "peerbuf modelled NVMe controller",
    firmware: "1.0",
    mdts: options.mdts ?? 7,
  };
  let controller: ControllerState | undefined;

  return {
    name: "nvme",
    connect(port, bars): ReadonlyMap<number, BarModel> {
      const found = bars.find((bar) => bar.index === 0 && bar.sizeBytes >= 2 * REGISTER.DOORBELLS);
      const bar = requireBar(found, port.bdf, "nvme", "a memory BAR0 of at least 8 KiB", bars);
      const memoryBuffer = options.memoryBuffer === true ? placeMemoryBuffer(bars) : undefined;
      controller = new ControllerState(port, identity, namespace, memoryBuffer);
      const answers = new Map([[bar.index, registerWindow(controller)]]);
      return memoryBuffer === undefined
        ? answers
        : answers.set(memoryBuffer.barIndex, memoryBuffer.bar);
    },
    reset: () => controller?.powerOn(),
    inspect: () => ({
      namespace: namespace.media,
      memoryBuffer: controller?.memoryBuffer?.memory,
    }),
  };
}

class ControllerState {
  readonly memoryBuffer: MemoryBuffer | undefined;
  readonly #port: DevicePort;
  readonly #identity: ControllerIdentity;
  readonly #namespace: Namespace;
  readonly #submissionQueues = new Map<number, SubmissionQueue>();
  readonly #completionQueues = new Map<number, CompletionQueue>();
  /** The registers that only remember what was written. */
  readonly #written = new Map<number, number>();
  readonly #entry = new Uint8Array(SQ_ENTRY_BYTES);
  readonly #entryView = new DataView(this.#entry.buffer);
  #status = 0;
  #life = 0;

  constructor(
    port: DevicePort,
    identity: ControllerIdentity,
    namespace: Namespace,
    memoryBuffer: MemoryBuffer | undefined,
  ) {
    this.memoryBuffer = memoryBuffer;
    this.#port = port;
    this.#identity = identity;
    this.#namespace = namespace;
  }

  powerOn(): void {
    this.#written.clear();
    this.memoryBuffer?.powerOn();
    this.#stop();
  }

  read32(offset: number): number {
    switch (offset) {
      case REGISTER.CAP_LOW:
        return CAP_LOW;
      case REGISTER.CAP_HIGH:
        return this.memoryBuffer === undefined ? CAP_HIGH : CAP_HIGH | CAP_HIGH_CMB;
      case REGISTER.VERSION:
        return VERSION_1_4;
      case REGISTER.STATUS:
        return this.#status;
      default:
        return this.memoryBuffer?.read32(offset) ?? this.#written.get(offset) ?? 0;
    }
  }

  write32(offset: number, value: number): void {
    if (offset >= REGISTER.DOORBELLS) {
      this.#ringDoorbell((offset - REGISTER.DOORBELLS) / 4, value & 0xffff);
    } else if (offset === REGISTER.CONFIGURATION) {
      this.#configure(value);
    } else if (offset >= REGISTER.ADMIN_QUEUE_ATTRIBUTES && offset <= REGISTER.ADMIN_CQ_HIGH) {
      this.#written.set(offset, value);
    } else {
      this.memoryBuffer?.write32(offset, value);
    }
  }

  #configure(value: number): void {
    const before = decodeConfiguration(this.read32(REGISTER.CONFIGURATION));
    const after = decodeConfiguration(value);
    this.#written.set(REGISTER.CONFIGURATION, value);
    if (after.enable && !before.enable) {
      this.#later(ENABLE_NS, () => this.#start());
    } else if (!after.enable && before.enable) {
      this.#stop();
    }
    if (after.shutdown) {
      this.#status |= STATUS_SHUTDOWN_COMPLETE; // Nothing is cached, so it is over at once.
    }
  }

  /** Controller reset (section 7.3.2): queues and work in flight are gone, the admin queue registers stay. */
  #stop(): void {
    this.#life++;
    this.#status = 0;
    this.#submissionQueues.clear();
    this.#completionQueues.clear();
  }

  #start(): void {
    const { pageBytes, sqEntryBytes, cqEntryBytes } = decodeConfiguration(
      this.read32(REGISTER.CONFIGURATION),
    );
    const attributes = this.read32(REGISTER.ADMIN_QUEUE_ATTRIBUTES);
    const sqEntries = (attributes & 0xfff) + 1;
    const cqEntries = ((attributes >>> 16) & 0xfff) + 1;
    const sizesOk = sqEntryBytes === SQ_ENTRY_BYTES && cqEntryBytes === CQ_ENTRY_BYTES;
    if (pageBytes !== NVME_PAGE_BYTES || !sizesOk || sqEntries < 2 || cqEntries < 2) {
      this.#status |= STATUS_FATAL;
      return;
    }
    this.#makeAdminQueue(sqEntries, cqEntries);
    this.#status |= STATUS_READY;
  }

  #makeAdminQueue(sqEntries: number, cqEntries: number): void {
    const sqAddress = this.#address(REGISTER.ADMIN_SQ_LOW);
    const cqAddress = this.#address(REGISTER.ADMIN_CQ_LOW);
    const completions = new CompletionQueue(0, cqAddress, cqEntries, 0);
    completions.users = 1;
    this.#completionQueues.set(0, completions);
    this.#submissionQueues.set(0, new SubmissionQueue(0, sqAddress, sqEntries, completions));
  }

  /** Queue addresses are page aligned; the low bits are reserved. */
  #address(lowRegister: number): number {
    const low = this.read32(lowRegister);
    return joinU64(low - (low % NVME_PAGE_BYTES), this.read32(lowRegister + 4));
  }

  /** Doorbells alternate: submission tail, completion head (section 3.1.24, stride 0). */
  #ringDoorbell(index: number, value: number): void {
    const id = Math.floor(index / 2);
    if (index % 2 === 0) {
      const queue = this.#submissionQueues.get(id);
      if (queue !== undefined && value < queue.entries) {
        queue.tail = value;
        this.#later(DOORBELL_NS, () => this.#fetchAll(queue));
      }
      return;
    }
    const queue = this.#completionQueues.get(id);
    if (queue !== undefined && value < queue.entries) {
      queue.head = value;
      queue.post(this.#port);
    }
  }

  #fetchAll(queue: SubmissionQueue): void {
    while (!queue.isEmpty && this.#submissionQueues.get(queue.id) === queue) {
      if (!queue.fetch(this.#port, this.#entry)) {
        this.#status |= STATUS_FATAL; // A controller that cannot read its commands cannot go on.
        return;
      }
      const command = decodeCommand(this.#entryView);
      if (queue.id === 0) {
        this.#later(ADMIN_NS, () => this.#runAdmin(queue, command));
      } else {
        this.#beginIo(queue, command);
      }
    }
  }

  #runAdmin(queue: SubmissionQueue, command: NvmeCommand): void {
    const context = {
      port: this.#port,
      identity: this.#identity,
      namespace: this.#namespace,
      submissionQueues: this.#submissionQueues,
      completionQueues: this.#completionQueues,
    };
    const { status, result } = runAdminCommand(context, command);
    this.#complete(queue, command, status, result);
  }

  #beginIo(queue: SubmissionQueue, command: NvmeCommand): void {
    const io = prepareIo(
      { port: this.#port, namespace: this.#namespace, mdts: this.#identity.mdts },
      command,
    );
    if (typeof io === "number") {
      this.#complete(queue, command, io, 0);
      return;
    }
    this.#later(ioLatencyNs(io), () => this.#complete(queue, command, io.finish(), 0));
  }

  /** Commands of a queue that was deleted meanwhile are dropped (section 5.6). */
  #complete(queue: SubmissionQueue, command: NvmeCommand, status: Status, result: number): void {
    if (this.#submissionQueues.get(queue.id) === queue) {
      queue.completions.post(this.#port, { queue, commandId: command.id, status, result });
    }
  }

  /** Runs `step` in time, unless this life of the controller ended before. */
  #later(delayNs: number, step: () => void): void {
    const life = this.#life;
    this.#port.clock.schedule(delayNs, () => {
      if (life === this.#life && (this.#status & STATUS_FATAL) === 0) {
        step();
      }
    });
  }
}
