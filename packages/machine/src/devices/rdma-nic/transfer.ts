/**
 * Transfer: one RDMA write, read or send, moved over the wire in pieces.
 *
 * The requesting NIC touches its own memory by its own DMA, the other NIC touches the other memory
 * by its. Checks happen where they do on hardware: local key before anything moves, remote key or receive
 * request at each piece that arrives.
 */
import type { DevicePort } from "../../device-model.ts";
import type { DeviceLimit, TransferPlan } from "../../links/transfer-plan.ts";
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
  /** A message without bytes is one piece all the same; a write or read without bytes is none. */
  #isBegun = false;
  /** How often it found no receive request at the other end. */
  rnrTries = 0;
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
    const needsPiece = this.request.opcode === RDMA_WORK.SEND && !this.#isBegun;
    return this.#done >= this.request.lengthBytes && !needsPiece;
  }

  /** What the next piece does to local memory, which stands at `here`. More follows it, or it is the last. */
  planOf(here: Translation, wire: DeviceLimit): TransferPlan {
    const { opcode, localOffset, lengthBytes } = this.request;
    const piece = this.nextPieceBytes;
    const runs = here.runsOf(localOffset + this.#done, piece);
    return {
      legs: [{ kind: opcode === RDMA_WORK.READ ? "write" : "read", runs }],
      limits: [{ limit: wire, amount: piece }],
      continues: this.#done + piece < lengthBytes,
    };
  }

  /** The other end's part of the next piece takes its time. */
  takeTimeAt(other: WireEnd, queuePair: number, done: () => void): void {
    const { opcode, remoteOffset, remoteKey, lengthBytes } = this.request;
    const piece = this.nextPieceBytes;
    const access = {
      kind: opcode === RDMA_WORK.READ ? ("read" as const) : ("write" as const),
      key: opcode === RDMA_WORK.SEND ? undefined : remoteKey,
      offset: remoteOffset + this.#done,
      lengthBytes: piece,
      continues: this.#done + piece < lengthBytes,
    };
    other.takeTime(this.#from, queuePair, access, done);
  }

  get nextPieceBytes(): number {
    return Math.min(PIECE_BYTES, this.request.lengthBytes - this.#done);
  }

  /** One piece, between this NIC's region and queue pair `queuePair` of the other end. */
  step(other: WireEnd, queuePair: number, translation: Translation): WireAnswer {
    const piece = this.nextPieceBytes;
    const answer =
      this.request.opcode === RDMA_WORK.READ
        ? this.#read(other, queuePair, piece, translation)
        : this.#push(other, queuePair, piece, translation);
    if (answer === RDMA_STATUS.SUCCESS) {
      this.#isBegun = true;
      this.#done += piece;
      this.waitingSinceNs = undefined;
    }
    return answer;
  }

  #push(other: WireEnd, queuePair: number, piece: number, here: Translation): WireAnswer {
    const { opcode, localOffset, remoteOffset, remoteKey, lengthBytes } = this.request;
    if (!here.read(this.#port, localOffset + this.#done, this.#staging, piece)) {
      return RDMA_STATUS.LOCAL_QP_OPERATION_ERROR; // Nothing of a piece that could not be read is sent.
    }
    if (opcode === RDMA_WORK.SEND) {
      const message = { totalBytes: lengthBytes, begin: this.#done };
      return other.acceptSend(this.#from, queuePair, message, this.#staging, piece);
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
