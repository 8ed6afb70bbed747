/**
 * RDMA engine: takes commands and work requests from their queues, and answers the wire.
 *
 * Latencies are constants of the order of a 200 Gb/s NIC, no product's figures. Work in flight
 * belongs to one life of the engine; stopping it ends that life.
 */
import type { DevicePort } from "../../device-model.ts";
import { runRdmaCommand } from "./commands.ts";
import type { RdmaCompletionQueue } from "./completion-queue.ts";
import {
  decodeRdmaCommand,
  decodeWorkRequest,
  RDMA_COMMAND_BYTES,
  RDMA_WORK,
  RDMA_WORK_BYTES,
  type RdmaCommand,
  type WorkRequest,
} from "./entries.ts";
import type { QueuePair } from "./queue-pair.ts";
import { RegionTable } from "./region-table.ts";
import { RDMA_ACCESS, RDMA_STATUS, type RdmaStatus } from "./registers.ts";
import { localAccess, PIECE_BYTES, Transfer } from "./transfer.ts";
import type { RdmaWire, WireEnd, WireSender } from "./wire.ts";

const DOORBELL_NS = 300;
const COMMAND_NS = 2_000;
/** One way, through one switch. */
const WIRE_NS = 900;
const BYTES_PER_NS = 25;

export interface RdmaSetup {
  readonly commandAddress: number;
  readonly commandEntries: number;
  readonly completions: RdmaCompletionQueue;
}

export class RdmaEngine implements WireEnd {
  readonly lid: number;
  readonly #port: DevicePort;
  readonly #wire: RdmaWire;
  readonly #entry = new Uint8Array(Math.max(RDMA_COMMAND_BYTES, RDMA_WORK_BYTES));
  readonly #entryView = new DataView(this.#entry.buffer);
  readonly #staging = new Uint8Array(PIECE_BYTES);
  readonly #queuePairs = new Map<number, QueuePair>();
  #regions = new RegionTable();
  #setup: RdmaSetup | undefined;
  #commandHead = 0;
  #commandTail = 0;
  #commandBusy = false;
  #life = 0;
  isFatal = false;

  constructor(port: DevicePort, wire: RdmaWire) {
    this.#port = port;
    this.#wire = wire;
    this.lid = wire.join(this);
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
    this.#regions = new RegionTable();
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
    if (found !== undefined && this.isReady && tail < found.entries) {
      found.tail = tail;
      if (!found.busy) {
        found.busy = true;
        this.#later(DOORBELL_NS, () => this.#nextRequest(found));
      }
    }
  }

  ringCompletions(head: number): void {
    if (this.#setup !== undefined && head < this.#setup.completions.entries) {
      this.#setup.completions.head = head;
    }
  }

  acceptWrite(
    from: WireSender,
    queuePair: number,
    key: number,
    offset: number,
    bytes: Uint8Array,
    lengthBytes: number,
  ): RdmaStatus {
    if (!this.#answers(from, queuePair)) {
      return RDMA_STATUS.RETRY_EXCEEDED;
    }
    const region = this.#regions.find(key);
    if (region === undefined || !region.allows(offset, lengthBytes, RDMA_ACCESS.REMOTE_WRITE)) {
      return RDMA_STATUS.REMOTE_ACCESS_ERROR;
    }
    region.write(this.#port, offset, bytes, lengthBytes);
    return RDMA_STATUS.SUCCESS;
  }

  acceptRead(
    from: WireSender,
    queuePair: number,
    key: number,
    offset: number,
    target: Uint8Array,
    lengthBytes: number,
  ): RdmaStatus {
    if (!this.#answers(from, queuePair)) {
      return RDMA_STATUS.RETRY_EXCEEDED;
    }
    const region = this.#regions.find(key);
    if (region === undefined || !region.allows(offset, lengthBytes, RDMA_ACCESS.REMOTE_READ)) {
      return RDMA_STATUS.REMOTE_ACCESS_ERROR;
    }
    return region.read(this.#port, offset, target, lengthBytes)
      ? RDMA_STATUS.SUCCESS
      : RDMA_STATUS.REMOTE_OPERATION_ERROR;
  }

  #answers(from: WireSender, queuePair: number): boolean {
    const found = this.#queuePairs.get(queuePair);
    return this.isReady && found?.isConnectedTo(from.lid, from.queuePair) === true;
  }

  #nextCommand(): void {
    const setup = this.#setup;
    if (setup === undefined || this.#commandHead === this.#commandTail) {
      this.#commandBusy = false;
      return;
    }
    const address = setup.commandAddress + this.#commandHead * RDMA_COMMAND_BYTES;
    if (this.#fetch(address, RDMA_COMMAND_BYTES)) {
      const command = decodeRdmaCommand(this.#entryView);
      this.#later(COMMAND_NS, () => this.#finishCommand(setup, command));
    }
  }

  #finishCommand(setup: RdmaSetup, command: RdmaCommand): void {
    const context = { port: this.#port, regions: this.#regions, queuePairs: this.#queuePairs };
    const { status, result } = runRdmaCommand(context, command);
    this.#commandHead = (this.#commandHead + 1) % setup.commandEntries;
    this.#complete(command.tag, status, 0, result);
    this.#nextCommand();
  }

  #nextRequest(queuePair: QueuePair): void {
    if (queuePair.head === queuePair.tail) {
      queuePair.busy = false;
      return;
    }
    if (!this.#fetch(queuePair.address + queuePair.head * RDMA_WORK_BYTES, RDMA_WORK_BYTES)) {
      return;
    }
    const request = decodeWorkRequest(this.#entryView);
    const region = this.#regions.find(request.localKey);
    if (queuePair.failed) {
      this.#finishRequest(queuePair, request, RDMA_STATUS.FLUSHED);
    } else if (request.opcode !== RDMA_WORK.WRITE && request.opcode !== RDMA_WORK.READ) {
      this.#finishRequest(queuePair, request, RDMA_STATUS.LOCAL_QP_OPERATION_ERROR);
    } else if (!region?.allows(request.localOffset, request.lengthBytes, localAccess(request))) {
      this.#finishRequest(queuePair, request, RDMA_STATUS.LOCAL_PROTECTION_ERROR);
    } else {
      const from = { lid: this.lid, queuePair: queuePair.number };
      this.#move(queuePair, new Transfer(this.#port, request, region, from, this.#staging));
    }
  }

  /** Piece by piece; the round trip of the acknowledgement comes at the end. */
  #move(queuePair: QueuePair, transfer: Transfer): void {
    if (transfer.isDone) {
      const { request } = transfer;
      this.#later(2 * WIRE_NS, () => this.#finishRequest(queuePair, request, RDMA_STATUS.SUCCESS));
      return;
    }
    this.#later(Math.ceil(transfer.nextPieceBytes / BYTES_PER_NS), () => {
      const status = this.#movePiece(queuePair, transfer);
      if (status === RDMA_STATUS.SUCCESS) {
        this.#move(queuePair, transfer);
      } else {
        this.#finishRequest(queuePair, transfer.request, status);
      }
    });
  }

  /** The key must still be valid: a region may be deregistered while work on it runs. */
  #movePiece(queuePair: QueuePair, transfer: Transfer): RdmaStatus {
    if (this.#regions.find(transfer.request.localKey) !== transfer.region) {
      return RDMA_STATUS.LOCAL_PROTECTION_ERROR;
    }
    const other = this.#wire.find(queuePair.remoteLid);
    return other === undefined
      ? RDMA_STATUS.RETRY_EXCEEDED
      : transfer.step(other, queuePair.remoteQueuePair);
  }

  #finishRequest(queuePair: QueuePair, request: WorkRequest, status: RdmaStatus): void {
    if (this.#queuePairs.get(queuePair.number) !== queuePair) {
      return; // Destroyed meanwhile.
    }
    queuePair.failed ||= status !== RDMA_STATUS.SUCCESS;
    queuePair.head = (queuePair.head + 1) % queuePair.entries;
    this.#complete(request.tag, status, queuePair.number, 0);
    this.#later(0, () => this.#nextRequest(queuePair));
  }

  #fetch(address: number, lengthBytes: number): boolean {
    const { ok } = this.#port.read(address, this.#entry, 0, lengthBytes);
    this.isFatal ||= !ok;
    return ok;
  }

  #complete(tag: number, status: number, queuePair: number, result: number): void {
    const posted = this.#setup?.completions.post(this.#port, { tag, status, queuePair, result });
    this.isFatal ||= posted === false;
  }

  /** Runs `step` in time, unless this life of the engine ended before. */
  #later(delayNs: number, step: () => void): void {
    const life = this.#life;
    this.#port.clock.schedule(delayNs, () => {
      if (life === this.#life && !this.isFatal) {
        step();
      }
    });
  }
}
