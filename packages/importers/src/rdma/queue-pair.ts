/**
 * RDMA queue pair: one end of a reliable connection.
 *
 * Requests run in order. The first that fails breaks the connection, and those behind it fail as
 * flushed (as verbs do); make a new pair of queue pairs then.
 */
import { PeerbufError } from "@peerbuf/core";
import type { Negotiated } from "../negotiated.ts";
import { encodeWork } from "./entries.ts";
import type { Nic } from "./nic.ts";
import { type RdmaRegion, type RemoteRegion, revokedError } from "./region.ts";
import { COMMAND, describeWork, LOCAL_OPERATION_ERROR, NO_ANSWER, WORK } from "./registers.ts";
import { RING_ENTRIES, Ring } from "./ring.ts";

/** Where the other end finds this one. */
export interface RdmaAddress {
  readonly lid: number;
  readonly queuePair: number;
}

/** Which part of the two regions, in bytes from their starts. */
export interface RdmaRange {
  /** Default 0. */
  readonly localOffset?: number;
  /** Default 0. */
  readonly remoteOffset?: number;
  /** Default: as much as both have from there on. */
  readonly lengthBytes?: number;
}

/** A request that is over. */
export interface RdmaTransfer {
  readonly lengthBytes: number;
  /** On the platform's clock. */
  readonly elapsedNs: number;
  /** How the local region was negotiated; the remote one has its own. */
  readonly negotiated: Negotiated;
}

export interface RdmaQueuePair extends AsyncDisposable {
  readonly address: RdmaAddress;
  /** Both ends have to. */
  connect(other: RdmaAddress): Promise<void>;
  /**
   * Local region to remote region. `DEVICE_FAILED` names the completion's status, as verbs call it;
   * `MAPPING_STALE` (EINVAL) when the local region was revoked. Waits at most 1 s for memory that moves.
   */
  write(local: RdmaRegion, remote: RemoteRegion, range?: RdmaRange): Promise<RdmaTransfer>;
  /** Remote region to local region, which must allow `localWrite`. */
  read(local: RdmaRegion, remote: RemoteRegion, range?: RdmaRange): Promise<RdmaTransfer>;
  /** Requests on their way end as flushed. A second time does nothing. */
  close(): Promise<void>;
}

export class LiveQueuePair implements RdmaQueuePair {
  readonly address: RdmaAddress;
  readonly #nic: Nic;
  readonly #ring: Ring;
  readonly #gone: () => void;
  #open = true;
  #holdsRing = true;

  /** `gone` is called once when it is over. */
  static async create(nic: Nic, gone: (queuePair: LiveQueuePair) => void): Promise<LiveQueuePair> {
    let number = 0;
    const ring = new Ring(nic.dma, (tail) => nic.ringSends(number, tail));
    try {
      const opcode = COMMAND.CREATE_QUEUE_PAIR;
      const address = ring.memory.deviceAddress;
      number = await nic.command({ opcode, address, count: RING_ENTRIES }, "making a queue pair");
      return new LiveQueuePair(nic, ring, { lid: nic.lid, queuePair: number }, gone);
    } catch (error) {
      ring.free();
      throw error;
    }
  }

  private constructor(
    nic: Nic,
    ring: Ring,
    address: RdmaAddress,
    gone: (queuePair: LiveQueuePair) => void,
  ) {
    this.#nic = nic;
    this.#ring = ring;
    this.address = address;
    this.#gone = () => gone(this);
  }

  async connect({ lid, queuePair }: RdmaAddress): Promise<void> {
    const handle = this.address.queuePair;
    await this.#nic.command(
      { opcode: COMMAND.CONNECT_QUEUE_PAIR, handle, remoteLid: lid, remoteQueuePair: queuePair },
      `connecting queue pair ${handle}`,
    );
  }

  write(local: RdmaRegion, remote: RemoteRegion, range: RdmaRange = {}): Promise<RdmaTransfer> {
    return this.#run(WORK.WRITE, local, remote, range);
  }

  read(local: RdmaRegion, remote: RemoteRegion, range: RdmaRange = {}): Promise<RdmaTransfer> {
    return this.#run(WORK.READ, local, remote, range);
  }

  async close(): Promise<void> {
    if (!this.#open) {
      return;
    }
    this.#open = false;
    try {
      if (this.#nic.isRunning) {
        const handle = this.address.queuePair;
        const what = `destroying queue pair ${handle}`;
        await this.#nic.command({ opcode: COMMAND.DESTROY_QUEUE_PAIR, handle }, what);
        this.#nic.abandon(this.#ring);
      }
    } finally {
      this.letGo();
    }
  }

  /** For a NIC that is stopped and has forgotten the queue pair, or was told to. */
  letGo(): void {
    this.#open = false;
    if (this.#holdsRing) {
      this.#holdsRing = false;
      this.#ring.free();
      this.#gone();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(
    opcode: number,
    local: RdmaRegion,
    remote: RemoteRegion,
    { localOffset = 0, remoteOffset = 0, lengthBytes }: RdmaRange,
  ): Promise<RdmaTransfer> {
    const startNs = this.#nic.clock.nowNs;
    const length =
      lengthBytes ?? Math.min(local.sizeBytes - localOffset, remote.sizeBytes - remoteOffset);
    this.#require(localOffset, remoteOffset, length);
    if (local.revoked !== undefined) {
      throw revokedError(`key ${local.key}`, local.revoked);
    }
    const keys = { localKey: local.key, remoteKey: remote.key };
    const work = { opcode, ...keys, localOffset, remoteOffset, lengthBytes: length };
    const { status } = await this.#nic.send(this.#ring, (tag) => encodeWork(work, tag));
    if (status !== 0) {
      throw this.#failure(opcode, length, status, local);
    }
    const elapsedNs = this.#nic.clock.nowNs - startNs;
    return { lengthBytes: length, elapsedNs, negotiated: local.negotiated };
  }

  /** Bounds and keys are the NIC's to check; only what is no request at all is refused here. */
  #require(...bytes: readonly number[]): void {
    if (!this.#open) {
      const what = `queue pair ${this.address.queuePair} of ${this.#nic.label} is closed`;
      throw new PeerbufError("HANDLE_CLOSED", what);
    }
    const wrong = bytes.find((count) => !Number.isSafeInteger(count) || count < 0);
    if (wrong !== undefined) {
      throw new PeerbufError("ARGUMENT_INVALID", `${wrong} is no offset or length in bytes`);
    }
  }

  #failure(
    opcode: number,
    lengthBytes: number,
    status: number,
    { pageError }: RdmaRegion,
  ): PeerbufError {
    const verb = opcode === WORK.WRITE ? "write" : "read";
    const code = status === NO_ANSWER ? "DEVICE_GONE" : "DEVICE_FAILED";
    const who = `${this.#nic.label} queue pair ${this.address.queuePair}`;
    const what = `${who}: RDMA ${verb} of ${lengthBytes} bytes failed: ${describeWork(status)}`;
    return status === LOCAL_OPERATION_ERROR && pageError !== undefined
      ? new PeerbufError(code, `${what}: ${pageError.message}`, { cause: pageError })
      : new PeerbufError(code, what);
  }
}

/** Connects two ends with each other; an end may be connected with one of its own NIC. */
export async function connectQueuePairs(one: RdmaQueuePair, other: RdmaQueuePair): Promise<void> {
  await one.connect(other.address);
  await other.connect(one.address);
}
