/**
 * RDMA engine: one NIC at work, from start to stop.
 *
 * Takes commands from their queue, reports completions and events, and zaps regions; `requester` and
 * `responder` move the bytes. Latencies are constants of the order of a 200 Gb/s NIC, no product's
 * figures; how long bytes take, the wire and the links on both sides say. Work in flight belongs to one life of the engine; stopping it ends that life.
 */
import type { ScheduledEvent } from "@peerbuf/core";
import type { DevicePort } from "../../device-model.ts";
import { type CommandContext, runRdmaCommand } from "./commands.ts";
import {
  decodeRdmaCommand,
  decodeWorkRequest,
  RDMA_COMMAND_BYTES,
  RDMA_EVENT,
  RDMA_WORK_BYTES,
  type RdmaCommand,
} from "./entries.ts";
import { ProtectionDomains } from "./protection-domains.ts";
import type { QueuePair, WorkRing } from "./queue-pair.ts";
import { RegionTable } from "./region-table.ts";
import { RDMA_STATUS, type RdmaStatus } from "./registers.ts";
import type { RdmaReport, RdmaReportQueue } from "./report-queue.ts";
import { Requester } from "./requester.ts";
import { Responder } from "./responder.ts";
import type { RdmaWire } from "./wire.ts";

const DOORBELL_NS = 300;
const COMMAND_NS = 2_000;

export interface RdmaSetup {
  readonly commandAddress: number;
  readonly commandEntries: number;
  readonly completions: RdmaReportQueue;
  readonly events: RdmaReportQueue;
}

export class RdmaEngine {
  readonly lid: number;
  readonly #port: DevicePort;
  readonly #requester: Requester;
  readonly #context: CommandContext;
  readonly #entry = new Uint8Array(Math.max(RDMA_COMMAND_BYTES, RDMA_WORK_BYTES));
  readonly #entryView = new DataView(this.#entry.buffer);
  readonly #queuePairs = new Map<number, QueuePair>();
  readonly #regions = new RegionTable();
  readonly #domains = new ProtectionDomains();
  #setup: RdmaSetup | undefined;
  #commandHead = 0;
  #commandTail = 0;
  #commandBusy = false;
  #life = 0;
  isFatal = false;

  constructor(port: DevicePort, wire: RdmaWire, wireBytesPerNs: number) {
    this.#port = port;
    const wireLimit = { name: "wire", perNs: wireBytesPerNs };
    const shared = {
      wireLimit,
      port,
      regions: this.#regions,
      queuePairs: this.#queuePairs,
      fetch: (address: number, lengthBytes: number) => this.#fetch(address, lengthBytes),
      complete: (tag: number, status: RdmaStatus, queuePair: number, bytes = 0) =>
        this.#report(this.#setup?.completions, [tag, status, queuePair, bytes]),
    };
    this.lid = wire.join(
      new Responder({
        ...shared,
        isReady: () => this.isReady,
        breakDown: (queuePair, status) =>
          status === undefined
            ? this.#breakDown(queuePair)
            : this.#breakDownUnasked(queuePair, status),
      }),
    );
    this.#requester = new Requester({
      ...shared,
      lid: this.lid,
      wire,
      later: (delayNs, step) => this.#later(delayNs, step),
      whileAlive: (step) => this.#whileAlive(step),
      breakDown: (queuePair) => this.#breakDown(queuePair),
    });
    this.#context = {
      ...shared,
      domains: this.#domains,
      reportFault: (key) => this.#report(this.#setup?.events, [RDMA_EVENT.PAGE_FAULT, key, 0, 0]),
      resume: (queuePair) => this.#resume(queuePair),
      breakDown: (queuePair) => this.#breakDown(queuePair),
    };
  }

  get isReady(): boolean {
    return this.#setup !== undefined && !this.isFatal;
  }

  start(setup: RdmaSetup): void {
    this.stop();
    this.#setup = setup;
  }

  stop(): void {
    this.#life++;
    this.#setup = undefined;
    this.#queuePairs.clear();
    this.#regions.clear();
    this.#domains.clear();
    this.#commandHead = 0;
    this.#commandTail = 0;
    this.#commandBusy = false;
    this.isFatal = false;
  }

  ringCommands(tail: number): void {
    if (this.#setup !== undefined && this.isReady && tail < this.#setup.commandEntries) {
      this.#commandTail = tail;
      if (!this.#commandBusy) {
        this.#commandBusy = true;
        this.#later(DOORBELL_NS, () => this.#nextCommand());
      }
    }
  }

  ringSends(queuePair: number, tail: number): void {
    const found = this.#queuePairs.get(queuePair);
    if (found !== undefined && this.isReady && this.#putIn(found, found.sends, tail)) {
      this.#resume(found);
    }
  }

  ringReceives(queuePair: number, tail: number): void {
    const found = this.#queuePairs.get(queuePair);
    if (found !== undefined && this.isReady && this.#putIn(found, found.receives, tail)) {
      this.#later(DOORBELL_NS, () => {
        if (found.isBroken) {
          this.#flushReceives(found);
        }
      });
    }
  }

  ringCompletions(head: number): void {
    moveHead(this.#setup?.completions, head);
  }

  ringEvents(head: number): void {
    moveHead(this.#setup?.events, head);
  }

  /** Takes the region's translation away. Returns how many accesses are still under way on it. */
  zap(key: number): number {
    const region = this.#regions.find(key);
    const translation = region?.zap();
    if (region === undefined || translation === undefined || translation.underWay === 0) {
      return 0;
    }
    const { zaps } = region;
    translation.drain(() => this.#report(this.#setup?.events, [RDMA_EVENT.DRAINED, key, zaps, 0]));
    return translation.underWay;
  }

  /** A doorbell beyond its ring breaks the queue pair (IBV_EVENT_QP_FATAL). */
  #putIn(queuePair: QueuePair, ring: WorkRing, tail: number): boolean {
    if (tail >= ring.entries) {
      this.#breakDownUnasked(queuePair, RDMA_STATUS.LOCAL_QP_OPERATION_ERROR);
      return false;
    }
    ring.tail = tail;
    return true;
  }

  #resume(queuePair: QueuePair): void {
    if (!queuePair.busy && queuePair.takesSends && !queuePair.sends.isEmpty) {
      queuePair.busy = true;
      this.#later(DOORBELL_NS, () => this.#requester.start(queuePair));
    }
  }

  /** Its receive requests are flushed at once, its send requests one after the other. */
  #breakDown(queuePair: QueuePair): void {
    if (!queuePair.isBroken) {
      queuePair.break();
      this.#flushReceives(queuePair);
      this.#resume(queuePair);
    }
  }

  #breakDownUnasked(queuePair: QueuePair, status: RdmaStatus): void {
    if (!queuePair.isBroken) {
      const words = [RDMA_EVENT.QUEUE_PAIR_ERROR, queuePair.number, status, 0] as const;
      this.#report(this.#setup?.events, words);
      this.#breakDown(queuePair);
    }
  }

  #flushReceives(queuePair: QueuePair): void {
    const { receives, number } = queuePair;
    queuePair.receiving = undefined;
    while (!receives.isEmpty && this.isReady) {
      const entry = this.#fetch(receives.headAddress, RDMA_WORK_BYTES);
      if (entry !== undefined) {
        const { tag } = decodeWorkRequest(entry);
        receives.advance();
        this.#report(this.#setup?.completions, [tag, RDMA_STATUS.FLUSHED, number, 0]);
      }
    }
  }

  #nextCommand(): void {
    const setup = this.#setup;
    if (setup === undefined || this.#commandHead === this.#commandTail) {
      this.#commandBusy = false;
      return;
    }
    const address = setup.commandAddress + this.#commandHead * RDMA_COMMAND_BYTES;
    const entry = this.#fetch(address, RDMA_COMMAND_BYTES);
    if (entry !== undefined) {
      const command = decodeRdmaCommand(entry);
      this.#later(COMMAND_NS, () => this.#finishCommand(setup, command));
    }
  }

  #finishCommand(setup: RdmaSetup, command: RdmaCommand): void {
    const { status, result } = runRdmaCommand(this.#context, command);
    this.#commandHead = (this.#commandHead + 1) % setup.commandEntries;
    this.#report(setup.completions, [command.tag, status, 0, result]);
    this.#nextCommand();
  }

  /** The entry stays what it is until the next fetch. */
  #fetch(address: number, lengthBytes: number): DataView | undefined {
    const { ok } = this.#port.read(address, this.#entry, 0, lengthBytes);
    this.isFatal ||= !ok;
    return ok ? this.#entryView : undefined;
  }

  #report(queue: RdmaReportQueue | undefined, report: RdmaReport): void {
    const posted = queue?.post(this.#port, report);
    this.isFatal ||= posted === false;
  }

  /** Runs `step` in time, unless this life of the engine ended before. */
  #later(delayNs: number, step: () => void): ScheduledEvent {
    return this.#port.clock.schedule(delayNs, this.#whileAlive(step));
  }

  #whileAlive(step: () => void): () => void {
    const life = this.#life;
    return () => {
      if (life === this.#life && !this.isFatal) {
        step();
      }
    };
  }
}

function moveHead(queue: RdmaReportQueue | undefined, head: number): void {
  if (queue !== undefined && head < queue.entries) {
    queue.head = head;
  }
}
