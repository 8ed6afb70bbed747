/**
 * RDMA requester: runs the work requests of the send queues, each queue's in order.
 *
 * A request moves in pieces. A piece begins on the translation of that moment and ends on it; when
 * there is none, here or at the other end, the queue pair waits, for a limited time.
 */
import type { ScheduledEvent } from "@peerbuf/core";
import type { DevicePort } from "../../device-model.ts";
import type { DeviceLimit } from "../../links/transfer-plan.ts";
import { decodeWorkRequest, RDMA_WORK, RDMA_WORK_BYTES, type WorkRequest } from "./entries.ts";
import type { MemoryRegion } from "./memory-region.ts";
import type { QueuePair } from "./queue-pair.ts";
import type { RegionTable } from "./region-table.ts";
import { RDMA_RNR_RETRY_FOREVER, RDMA_STATUS, type RdmaStatus } from "./registers.ts";
import { localAccess, PIECE_BYTES, Transfer } from "./transfer.ts";
import type { Translation } from "./translation.ts";
import type { NotReady, RdmaWire, WireAnswer } from "./wire.ts";

/** One way, through one switch. */
const WIRE_NS = 900;
/** After how long a packet is sent again to an end that was not ready: code 7 of the RNR NAK timer. */
const NOT_READY_NS = 120_000;
/** How long a request waits for pages or a receive request, without moving a piece. */
const PAGE_WAIT_NS = 1_000_000_000;

export interface RequesterParts {
  readonly lid: number;
  readonly port: DevicePort;
  readonly wire: RdmaWire;
  readonly regions: RegionTable;
  readonly queuePairs: ReadonlyMap<number, QueuePair>;
  /** An entry of a queue. `undefined`: it could not be read, and nothing goes on. */
  fetch(address: number, lengthBytes: number): DataView | undefined;
  /** Runs `step` in time, unless the NIC was stopped before. */
  later(delayNs: number, step: () => void): ScheduledEvent;
  /** `step`, unless the NIC was stopped before it runs. */
  whileAlive(step: () => void): () => void;
  /** What the NIC's side of the wire carries. */
  readonly wireLimit: DeviceLimit;
  complete(tag: number, status: RdmaStatus, queuePair: number): void;
  /** Puts the queue pair into the error state and flushes its receive requests. */
  breakDown(queuePair: QueuePair): void;
}

const OPCODES: readonly number[] = Object.values(RDMA_WORK);

export class Requester {
  readonly #parts: RequesterParts;
  readonly #staging = new Uint8Array(PIECE_BYTES);

  constructor(parts: RequesterParts) {
    this.#parts = parts;
  }

  /** The queue pair is idle and has something to do. */
  start(queuePair: QueuePair): void {
    const { sends, takesSends } = queuePair;
    if (!takesSends || sends.isEmpty || !this.#isAlive(queuePair)) {
      queuePair.busy = false;
      return;
    }
    const entry = this.#parts.fetch(sends.headAddress, RDMA_WORK_BYTES);
    if (entry !== undefined) {
      this.#run(queuePair, decodeWorkRequest(entry));
    }
  }

  #run(queuePair: QueuePair, request: WorkRequest): void {
    const { lid, port, regions } = this.#parts;
    const region = regions.find(request.localKey);
    if (queuePair.isBroken) {
      this.#finish(queuePair, request, RDMA_STATUS.FLUSHED);
    } else if (!OPCODES.includes(request.opcode)) {
      this.#finish(queuePair, request, RDMA_STATUS.LOCAL_QP_OPERATION_ERROR);
    } else if (!mayUse(queuePair, region, request)) {
      this.#finish(queuePair, request, RDMA_STATUS.LOCAL_PROTECTION_ERROR);
    } else {
      const from = { lid, queuePair: queuePair.number };
      this.#move(queuePair, new Transfer(port, request, region, from, this.#staging));
    }
  }

  /** Piece by piece; the round trip of the acknowledgement comes at the end. */
  #move(queuePair: QueuePair, transfer: Transfer): void {
    const { request, region } = transfer;
    if (queuePair.isBroken) {
      this.#finish(queuePair, request, RDMA_STATUS.FLUSHED);
    } else if (transfer.isDone) {
      this.#parts.later(2 * WIRE_NS, () => this.#finish(queuePair, request, RDMA_STATUS.SUCCESS));
    } else if (!this.#mayUse(queuePair, transfer)) {
      this.#finish(queuePair, request, RDMA_STATUS.LOCAL_PROTECTION_ERROR);
    } else if (region.translation !== undefined) {
      this.#movePiece(queuePair, transfer, region.translation);
    } else if (region.isOnDemand) {
      this.#waitForPage(queuePair, transfer, region);
    } else {
      this.#finish(queuePair, request, RDMA_STATUS.LOCAL_PROTECTION_ERROR);
    }
  }

  #movePiece(queuePair: QueuePair, transfer: Transfer, translation: Translation): void {
    translation.begin();
    this.#takeTime(queuePair, transfer, translation, () => {
      const answer = this.#step(queuePair, transfer, translation);
      translation.end();
      if (typeof answer === "string") {
        this.#tryLater(queuePair, transfer, answer);
      } else if (answer === RDMA_STATUS.SUCCESS) {
        this.#move(queuePair, transfer);
      } else {
        this.#finish(queuePair, transfer.request, answer);
      }
    });
  }

  /** Reading here, the wire and writing there overlap; the slowest of them decides. */
  #takeTime(
    queuePair: QueuePair,
    transfer: Transfer,
    translation: Translation,
    arrived: () => void,
  ): void {
    const { port, wire, wireLimit, whileAlive } = this.#parts;
    const whenBoth = whileAlive(arrived);
    let open = 2;
    const done = (): void => {
      open--;
      if (open === 0) {
        whenBoth();
      }
    };
    port.transfer(transfer.planOf(translation, wireLimit), done);
    const other = wire.find(queuePair.remoteLid);
    if (other === undefined) {
      done();
    } else {
      transfer.takeTimeAt(other, queuePair.remoteQueuePair, done);
    }
  }

  #step(queuePair: QueuePair, transfer: Transfer, translation: Translation): WireAnswer {
    if (queuePair.isBroken) {
      return RDMA_STATUS.FLUSHED;
    }
    if (!this.#mayUse(queuePair, transfer)) {
      return RDMA_STATUS.LOCAL_PROTECTION_ERROR;
    }
    const other = this.#parts.wire.find(queuePair.remoteLid);
    return other === undefined
      ? RDMA_STATUS.RETRY_EXCEEDED
      : transfer.step(other, queuePair.remoteQueuePair, translation);
  }

  /** Queue pairs are destroyed and regions deregistered while work runs; then nothing is touched any more. */
  #mayUse(queuePair: QueuePair, { request, region }: Transfer): boolean {
    return this.#isAlive(queuePair) && this.#parts.regions.find(request.localKey) === region;
  }

  #waitForPage(queuePair: QueuePair, transfer: Transfer, region: MemoryRegion): void {
    const giveUp = (): void =>
      this.#finish(queuePair, transfer.request, RDMA_STATUS.LOCAL_QP_OPERATION_ERROR);
    const limit = this.#parts.later(this.#patienceNs(transfer), () => {
      if (region.stopWaiting(waiter)) {
        giveUp();
      }
    });
    const waiter = (found: boolean): void => {
      limit.cancel();
      if (found) {
        this.#parts.later(0, () => this.#move(queuePair, transfer));
      } else {
        giveUp();
      }
    };
    region.waitForPage(waiter);
  }

  #tryLater(queuePair: QueuePair, transfer: Transfer, why: NotReady): void {
    transfer.rnrTries += why === "no-receive" ? 1 : 0;
    const { rnrRetries } = queuePair;
    const isOut = rnrRetries !== RDMA_RNR_RETRY_FOREVER && transfer.rnrTries > rnrRetries;
    if (isOut || this.#patienceNs(transfer) < NOT_READY_NS) {
      this.#finish(queuePair, transfer.request, RDMA_STATUS.RNR_RETRY_EXCEEDED);
    } else {
      this.#parts.later(NOT_READY_NS, () => this.#move(queuePair, transfer));
    }
  }

  /** What is left of the time that it may wait. */
  #patienceNs(transfer: Transfer): number {
    const { nowNs } = this.#parts.port.clock;
    transfer.waitingSinceNs ??= nowNs;
    return Math.max(0, transfer.waitingSinceNs + PAGE_WAIT_NS - nowNs);
  }

  #finish(queuePair: QueuePair, request: WorkRequest, status: RdmaStatus): void {
    if (!this.#isAlive(queuePair)) {
      return; // Destroyed meanwhile.
    }
    queuePair.sends.advance();
    this.#parts.complete(request.tag, status, queuePair.number);
    if (status !== RDMA_STATUS.SUCCESS) {
      this.#parts.breakDown(queuePair);
    }
    this.#parts.later(0, () => this.start(queuePair));
  }

  #isAlive(queuePair: QueuePair): boolean {
    return this.#parts.queuePairs.get(queuePair.number) === queuePair;
  }
}

function mayUse(
  { domain }: QueuePair,
  region: MemoryRegion | undefined,
  request: WorkRequest,
): region is MemoryRegion {
  const { localOffset, lengthBytes } = request;
  return region?.allows(domain, localOffset, lengthBytes, localAccess(request)) === true;
}
