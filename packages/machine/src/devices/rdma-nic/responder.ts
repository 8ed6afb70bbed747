/**
 * RDMA responder: answers what arrives from the wire.
 *
 * Checks protection domain, key, bounds and access at each packet. An access is over in the moment in which
 * it arrives, so nothing that came from the wire is ever under way when a region is zapped. What a peer may
 * not do breaks the connection at this end as well (as InfiniBand's responder errors do).
 */
import type { DevicePort } from "../../device-model.ts";
import type { DeviceLimit } from "../../links/transfer-plan.ts";
import { decodeWorkRequest, RDMA_WORK_BYTES, type WorkRequest } from "./entries.ts";
import type { QueuePair } from "./queue-pair.ts";
import type { RegionTable } from "./region-table.ts";
import { RDMA_ACCESS, RDMA_STATUS, type RdmaStatus } from "./registers.ts";
import { Translation } from "./translation.ts";
import type { WireAccess, WireAnswer, WireEnd, WireMessage, WireSender } from "./wire.ts";

export interface ResponderParts {
  readonly port: DevicePort;
  readonly regions: RegionTable;
  readonly queuePairs: ReadonlyMap<number, QueuePair>;
  /** What the NIC's side of the wire carries. */
  readonly wireLimit: DeviceLimit;
  isReady(): boolean;
  /** An entry of a queue. `undefined`: it could not be read, and nothing goes on. */
  fetch(address: number, lengthBytes: number): DataView | undefined;
  /** `bytes`: of a message that was received. */
  complete(tag: number, status: RdmaStatus, queuePair: number, bytes: number): void;
  /** Puts the queue pair into the error state and flushes it. The host is told the status, if there is one. */
  breakDown(queuePair: QueuePair, status: RdmaStatus | undefined): void;
}

export class Responder implements WireEnd {
  readonly #parts: ResponderParts;

  constructor(parts: ResponderParts) {
    this.#parts = parts;
  }

  takeTime(from: WireSender, number: number, access: WireAccess, done: () => void): void {
    const { port, wireLimit } = this.#parts;
    const { kind, lengthBytes, continues } = access;
    const runs = this.#runsOf(this.#find(from, number), access);
    const limits = [{ limit: wireLimit, amount: lengthBytes }];
    port.transfer({ legs: [{ kind, runs }], limits, continues }, done);
  }

  acceptWrite(
    from: WireSender,
    number: number,
    key: number,
    offset: number,
    bytes: Uint8Array,
    lengthBytes: number,
  ): WireAnswer {
    const queuePair = this.#find(from, number);
    if (queuePair === undefined) {
      return RDMA_STATUS.RETRY_EXCEEDED;
    }
    const found = this.#open(queuePair, key, offset, lengthBytes, RDMA_ACCESS.REMOTE_WRITE);
    if (!(found instanceof Translation)) {
      return this.#refused(queuePair, found);
    }
    found.write(this.#parts.port, offset, bytes, lengthBytes);
    return RDMA_STATUS.SUCCESS;
  }

  acceptRead(
    from: WireSender,
    number: number,
    key: number,
    offset: number,
    target: Uint8Array,
    lengthBytes: number,
  ): WireAnswer {
    const queuePair = this.#find(from, number);
    if (queuePair === undefined) {
      return RDMA_STATUS.RETRY_EXCEEDED;
    }
    const found = this.#open(queuePair, key, offset, lengthBytes, RDMA_ACCESS.REMOTE_READ);
    if (!(found instanceof Translation)) {
      return this.#refused(queuePair, found);
    }
    return found.read(this.#parts.port, offset, target, lengthBytes)
      ? RDMA_STATUS.SUCCESS
      : this.#refused(queuePair, RDMA_STATUS.REMOTE_OPERATION_ERROR);
  }

  acceptSend(
    from: WireSender,
    number: number,
    message: WireMessage,
    bytes: Uint8Array,
    lengthBytes: number,
  ): WireAnswer {
    const queuePair = this.#find(from, number);
    if (queuePair === undefined) {
      return RDMA_STATUS.RETRY_EXCEEDED;
    }
    const request = this.#receiveFor(queuePair, message);
    if (request === undefined) {
      return this.#parts.isReady() ? "no-receive" : RDMA_STATUS.RETRY_EXCEEDED;
    }
    if (message.totalBytes > request.lengthBytes) {
      const told = RDMA_STATUS.REMOTE_INVALID_REQUEST;
      return this.#failed(queuePair, request, RDMA_STATUS.LOCAL_LENGTH_ERROR, told);
    }
    return this.#fill(queuePair, request, message, bytes, lengthBytes);
  }

  #fill(
    queuePair: QueuePair,
    request: WorkRequest,
    { begin, totalBytes }: WireMessage,
    bytes: Uint8Array,
    lengthBytes: number,
  ): WireAnswer {
    const offset = request.localOffset + begin;
    const { localKey } = request;
    const found = this.#open(queuePair, localKey, offset, lengthBytes, RDMA_ACCESS.LOCAL_WRITE);
    if (found === "no-page") {
      return found;
    }
    if (!(found instanceof Translation)) {
      const told = RDMA_STATUS.REMOTE_OPERATION_ERROR;
      return this.#failed(queuePair, request, RDMA_STATUS.LOCAL_PROTECTION_ERROR, told);
    }
    found.write(this.#parts.port, offset, bytes, lengthBytes);
    if (begin + lengthBytes >= totalBytes) {
      this.#taken(queuePair, request, RDMA_STATUS.SUCCESS, totalBytes);
    }
    return RDMA_STATUS.SUCCESS;
  }

  /** The receive request for a message; one that began with another message's part is used again. */
  #receiveFor(queuePair: QueuePair, { begin }: WireMessage): WorkRequest | undefined {
    if (begin > 0 && queuePair.receiving !== undefined) {
      return queuePair.receiving;
    }
    const { receives } = queuePair;
    const entry = receives.isEmpty
      ? undefined
      : this.#parts.fetch(receives.headAddress, RDMA_WORK_BYTES);
    queuePair.receiving = entry && decodeWorkRequest(entry);
    return queuePair.receiving;
  }

  /** The receive request is over. */
  #taken(queuePair: QueuePair, { tag }: WorkRequest, status: RdmaStatus, bytes: number): void {
    queuePair.receiving = undefined;
    queuePair.receives.advance();
    this.#parts.complete(tag, status, queuePair.number, bytes);
  }

  /** `here` is what its own host hears of the receive request, `told` what the other end does. */
  #failed(
    queuePair: QueuePair,
    request: WorkRequest,
    here: RdmaStatus,
    told: RdmaStatus,
  ): WireAnswer {
    this.#taken(queuePair, request, here, 0);
    this.#parts.breakDown(queuePair, undefined);
    return told;
  }

  #refused(queuePair: QueuePair, answer: WireAnswer): WireAnswer {
    if (typeof answer === "number") {
      this.#parts.breakDown(queuePair, answer);
    }
    return answer;
  }

  /** Where the bytes are; nowhere if it takes a receive request, a page or leave to know. */
  #runsOf(queuePair: QueuePair | undefined, access: WireAccess): number[] {
    const { kind, key, offset, lengthBytes } = access;
    const region = key === undefined ? undefined : this.#parts.regions.find(key);
    const right = kind === "read" ? RDMA_ACCESS.REMOTE_READ : RDMA_ACCESS.REMOTE_WRITE;
    const isAllowed =
      queuePair !== undefined && region?.allows(queuePair.domain, offset, lengthBytes, right);
    const there = isAllowed === true ? region?.translation : undefined;
    return there !== undefined && offset + lengthBytes <= there.backedBytes
      ? there.runsOf(offset, lengthBytes)
      : [];
  }

  /** The queue pair, if it is up and connected to whoever sends. */
  #find(from: WireSender, number: number): QueuePair | undefined {
    const found = this.#parts.isReady() ? this.#parts.queuePairs.get(number) : undefined;
    return found?.isConnectedTo(from.lid, from.queuePair) === true ? found : undefined;
  }

  #open(
    { domain }: QueuePair,
    key: number,
    offset: number,
    lengthBytes: number,
    access: number,
  ): Translation | WireAnswer {
    const region = this.#parts.regions.find(key);
    if (region === undefined || !region.allows(domain, offset, lengthBytes, access)) {
      return RDMA_STATUS.REMOTE_ACCESS_ERROR;
    }
    if (region.translation !== undefined) {
      return region.translation;
    }
    if (!region.isOnDemand) {
      return RDMA_STATUS.REMOTE_ACCESS_ERROR;
    }
    return region.faultFromWire() === "later" ? "no-page" : RDMA_STATUS.REMOTE_OPERATION_ERROR;
  }
}
