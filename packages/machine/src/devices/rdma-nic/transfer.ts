/**
 * Transfer: one RDMA write or read, moved over the wire in pieces.
 *
 * The requesting NIC touches its own memory by its own DMA, the other NIC touches the other memory
 * by its. Checks happen where they do on hardware: local key before anything moves, remote key at
 * each piece that arrives.
 */
import type { DevicePort } from "../../device-model.ts";
import { RDMA_WORK, type WorkRequest } from "./entries.ts";
import type { MemoryRegion } from "./memory-region.ts";
import { RDMA_ACCESS, RDMA_STATUS } from "./registers.ts";
import type { Translation } from "./translation.ts";
import type { WireAnswer, WireEnd, WireSender } from "./wire.ts";

/** Bytes of one piece: many packets of 4 KiB, taken together to keep simulated events few. */
export const PIECE_BYTES = 65_536;

export class Transfer {
  readonly request: WorkRequest;
  readonly region: MemoryRegion;
  readonly #port: DevicePort;
  readonly #from: WireSender;
  readonly #staging: Uint8Array;
  #done = 0;
  /** Since when it waits for a page, here or at the other end; `undefined` while it moves. */
  waitingSinceNs: number | undefined;

  constructor(
    port: DevicePort,
    request: WorkRequest,
    region: MemoryRegion,
    from: WireSender,
    staging: Uint8Array,
  ) {
    this.#port = port;
    this.request = request;
    this.region = region;
    this.#from = from;
    this.#staging = staging;
  }

  get isDone(): boolean {
    return this.#done >= this.request.lengthBytes;
  }

  get nextPieceBytes(): number {
    return Math.min(PIECE_BYTES, this.request.lengthBytes - this.#done);
  }

  /** One piece, between this NIC's region and queue pair `queuePair` of the other end. */
  step(other: WireEnd, queuePair: number, translation: Translation): WireAnswer {
    const piece = this.nextPieceBytes;
    const answer =
      this.request.opcode === RDMA_WORK.WRITE
        ? this.#write(other, queuePair, piece, translation)
        : this.#read(other, queuePair, piece, translation);
    if (answer === RDMA_STATUS.SUCCESS) {
      this.#done += piece;
      this.waitingSinceNs = undefined;
    }
    return answer;
  }

  #write(other: WireEnd, queuePair: number, piece: number, here: Translation): WireAnswer {
    const { localOffset, remoteOffset, remoteKey } = this.request;
    if (!here.read(this.#port, localOffset + this.#done, this.#staging, piece)) {
      return RDMA_STATUS.LOCAL_QP_OPERATION_ERROR; // Nothing of a piece that could not be read is sent.
    }
    const offset = remoteOffset + this.#done;
    return other.acceptWrite(this.#from, queuePair, remoteKey, offset, this.#staging, piece);
  }

  #read(other: WireEnd, queuePair: number, piece: number, here: Translation): WireAnswer {
    const { localOffset, remoteOffset, remoteKey } = this.request;
    const offset = remoteOffset + this.#done;
    const answer = other.acceptRead(this.#from, queuePair, remoteKey, offset, this.#staging, piece);
    if (answer === RDMA_STATUS.SUCCESS) {
      here.write(this.#port, localOffset + this.#done, this.#staging, piece);
    }
    return answer;
  }
}

/** What a request does to local memory. */
export function localAccess(request: WorkRequest): number {
  return request.opcode === RDMA_WORK.READ ? RDMA_ACCESS.LOCAL_WRITE : 0;
}
