/**
 * RDMA NIC: protection domains, memory regions with keys, queue pairs, RDMA write and read, send and
 * receive. Not a real NIC: the register interface is ours, the behaviour is that of verbs on a reliable
 * connection.
 *
 * A region's memory may be taken away at any time (the ZAP register) and be mapped again elsewhere. An
 * access to an on-demand region that is not there waits: the host gets a PAGE_FAULT event and answers
 * with MAP_REGION. Here the queue pair waits, at the other end of the wire it tries again (RNR NAK).
 *
 * The registers live in the function's first memory BAR of at least 4 KiB.
 *
 * Left out: atomics, immediate data, shared receive queues, unreliable transports, several completion
 * queues, packet loss.
 */
import { InputError } from "@peerbuf/core";
import type { BarModel, DeviceModel } from "../../device-model.ts";
import { requireBar } from "../bar-choice.ts";
import { joinU64 } from "../little-endian.ts";
import { registerWindow } from "../register-window.ts";
import { RdmaEngine } from "./engine.ts";
import {
  RDMA_ID,
  RDMA_NIC_STATUS,
  RDMA_QUEUE_ENTRIES_MAX,
  RDMA_QUEUE_PAIRS_MAX,
  RDMA_REGISTER,
  RDMA_REGISTER_BYTES,
  RDMA_VERSION,
} from "./registers.ts";
import { RdmaReportQueue } from "./report-queue.ts";
import { RdmaWire, wireBytesPerNs } from "./wire.ts";

export interface RdmaNicOptions {
  /** What the NIC is plugged into; NICs on one wire reach each other. Default: a wire of its own, for loop-back. */
  readonly wire?: RdmaWire;
  /** Rate of its port. Default 200; a wire itself has no limit. */
  readonly gigabitsPerSecond?: number;
}

export type RdmaNic = DeviceModel;

/** A model to be placed behind a function with a memory BAR of at least 4 KiB. `InputError` for a rate that is none. */
export function createRdmaNic(options: RdmaNicOptions = {}): RdmaNic {
  const wire = options.wire ?? new RdmaWire();
  const bytesPerNs = wireBytesPerNs(checkedRate(options.gigabitsPerSecond ?? 200));
  let registers: RdmaRegisters | undefined;

  return {
    name: "rdma-nic",
    connect(port, bars): ReadonlyMap<number, BarModel> {
      const found = [...bars]
        .sort((one, other) => one.index - other.index)
        .find((bar) => bar.sizeBytes >= RDMA_REGISTER_BYTES);
      const bar = requireBar(found, port.bdf, "rdma-nic", "a memory BAR of at least 4 KiB", bars);
      registers = new RdmaRegisters(new RdmaEngine(port, wire, bytesPerNs));
      return new Map([[bar.index, registerWindow(registers)]]);
    },
    reset: () => registers?.powerOn(),
  };
}

function checkedRate(gigabitsPerSecond: number): number {
  if (!(gigabitsPerSecond > 0 && Number.isFinite(gigabitsPerSecond))) {
    throw new InputError({
      source: "rdma-nic model",
      place: "gigabitsPerSecond",
      cause: `${gigabitsPerSecond} is no rate of a port`,
      remedy: "State gigabits a second, such as 400",
    });
  }
  return gigabitsPerSecond;
}

class RdmaRegisters {
  readonly #engine: RdmaEngine;
  readonly #written = new Map<number, number>();

  constructor(engine: RdmaEngine) {
    this.#engine = engine;
  }

  powerOn(): void {
    this.#written.clear();
    this.#engine.stop();
  }

  read32(offset: number): number {
    switch (offset) {
      case RDMA_REGISTER.ID:
        return RDMA_ID;
      case RDMA_REGISTER.VERSION:
        return RDMA_VERSION;
      case RDMA_REGISTER.LID:
        return this.#engine.lid;
      case RDMA_REGISTER.STATUS:
        return (
          (this.#engine.isReady ? RDMA_NIC_STATUS.READY : 0) |
          (this.#engine.isFatal ? RDMA_NIC_STATUS.FATAL : 0)
        );
      default:
        return this.#written.get(offset) ?? 0;
    }
  }

  write32(offset: number, value: number): void {
    const sends = (offset - RDMA_REGISTER.SEND_TAILS) / 4;
    if (sends >= 1 && sends <= RDMA_QUEUE_PAIRS_MAX) {
      this.#engine.ringSends(sends, value);
      return;
    }
    const receives = (offset - RDMA_REGISTER.RECEIVE_TAILS) / 4;
    if (receives >= 1 && receives <= RDMA_QUEUE_PAIRS_MAX) {
      this.#engine.ringReceives(receives, value);
      return;
    }
    switch (offset) {
      case RDMA_REGISTER.CONTROL:
        this.#written.set(offset, value & 1);
        this.#control((value & 1) !== 0);
        break;
      case RDMA_REGISTER.COMMAND_TAIL:
        this.#engine.ringCommands(value);
        break;
      case RDMA_REGISTER.COMPLETION_HEAD:
        this.#engine.ringCompletions(value);
        break;
      case RDMA_REGISTER.EVENT_HEAD:
        this.#engine.ringEvents(value);
        break;
      case RDMA_REGISTER.ZAP:
        this.#written.set(offset, this.#engine.zap(value));
        break;
      case RDMA_REGISTER.COMMAND_LOW:
      case RDMA_REGISTER.COMMAND_HIGH:
      case RDMA_REGISTER.COMMAND_ENTRIES:
      case RDMA_REGISTER.COMPLETION_LOW:
      case RDMA_REGISTER.COMPLETION_HIGH:
      case RDMA_REGISTER.COMPLETION_ENTRIES:
      case RDMA_REGISTER.EVENT_LOW:
      case RDMA_REGISTER.EVENT_HIGH:
      case RDMA_REGISTER.EVENT_ENTRIES:
        this.#written.set(offset, value);
    }
  }

  /** Queues of an impossible size leave the NIC stopped, which STATUS shows. */
  #control(start: boolean): void {
    const commandEntries = this.read32(RDMA_REGISTER.COMMAND_ENTRIES);
    const completionEntries = this.read32(RDMA_REGISTER.COMPLETION_ENTRIES);
    const eventEntries = this.read32(RDMA_REGISTER.EVENT_ENTRIES);
    if (!start || ![commandEntries, completionEntries, eventEntries].every(isQueueSize)) {
      this.#engine.stop();
      return;
    }
    const completionAddress = this.#address(RDMA_REGISTER.COMPLETION_LOW);
    this.#engine.start({
      commandAddress: this.#address(RDMA_REGISTER.COMMAND_LOW),
      commandEntries,
      completions: new RdmaReportQueue(completionAddress, completionEntries),
      events: new RdmaReportQueue(this.#address(RDMA_REGISTER.EVENT_LOW), eventEntries),
    });
  }

  #address(lowRegister: number): number {
    return joinU64(this.read32(lowRegister), this.read32(lowRegister + 4));
  }
}

function isQueueSize(entries: number): boolean {
  return entries >= 2 && entries <= RDMA_QUEUE_ENTRIES_MAX;
}
