/**
 * RDMA responder: answers what arrives from the wire.
 *
 * Checks key, bounds and access at each packet. An access is over in the moment in which it arrives,
 * so nothing that came from the wire is ever under way when a region is zapped.
 */
import type { DevicePort } from "../../device-model.ts";
import type { QueuePair } from "./queue-pair.ts";
import type { RegionTable } from "./region-table.ts";
import { RDMA_ACCESS, RDMA_STATUS } from "./registers.ts";
import { Translation } from "./translation.ts";
import type { WireAnswer, WireEnd, WireSender } from "./wire.ts";

export interface ResponderParts {
  readonly port: DevicePort;
  readonly regions: RegionTable;
  readonly queuePairs: ReadonlyMap<number, QueuePair>;
  isReady(): boolean;
}

export class Responder implements WireEnd {
  readonly #parts: ResponderParts;

  constructor(parts: ResponderParts) {
    this.#parts = parts;
  }

  acceptWrite(
    from: WireSender,
    queuePair: number,
    key: number,
    offset: number,
    bytes: Uint8Array,
    lengthBytes: number,
  ): WireAnswer {
    const found = this.#answers(from, queuePair)
      ? this.#find(key, offset, lengthBytes, RDMA_ACCESS.REMOTE_WRITE)
      : RDMA_STATUS.RETRY_EXCEEDED;
    if (!(found instanceof Translation)) {
      return found;
    }
    found.write(this.#parts.port, offset, bytes, lengthBytes);
    return RDMA_STATUS.SUCCESS;
  }

  acceptRead(
    from: WireSender,
    queuePair: number,
    key: number,
    offset: number,
    target: Uint8Array,
    lengthBytes: number,
  ): WireAnswer {
    const found = this.#answers(from, queuePair)
      ? this.#find(key, offset, lengthBytes, RDMA_ACCESS.REMOTE_READ)
      : RDMA_STATUS.RETRY_EXCEEDED;
    if (!(found instanceof Translation)) {
      return found;
    }
    return found.read(this.#parts.port, offset, target, lengthBytes)
      ? RDMA_STATUS.SUCCESS
      : RDMA_STATUS.REMOTE_OPERATION_ERROR;
  }

  #answers(from: WireSender, queuePair: number): boolean {
    const found = this.#parts.queuePairs.get(queuePair);
    return this.#parts.isReady() && found?.isConnectedTo(from.lid, from.queuePair) === true;
  }

  #find(
    key: number,
    offset: number,
    lengthBytes: number,
    access: number,
  ): Translation | WireAnswer {
    const region = this.#parts.regions.find(key);
    if (region === undefined || !region.allows(offset, lengthBytes, access)) {
      return RDMA_STATUS.REMOTE_ACCESS_ERROR;
    }
    if (region.translation !== undefined) {
      return region.translation;
    }
    if (!region.isOnDemand) {
      return RDMA_STATUS.REMOTE_ACCESS_ERROR;
    }
    return region.faultFromWire() === "later" ? "not-ready" : RDMA_STATUS.REMOTE_OPERATION_ERROR;
  }
}
