/**
 * RDMA queue pair: one end of a reliable connection.
 *
 * Requests run in order. The first that fails breaks the connection, and those behind it fail as
 * flushed (as verbs do), those that receive as well; make a new pair of queue pairs then.
 */
import { allOrNone, PeerbufError } from "@peerbuf/core";
import type { Negotiated } from "../negotiated.ts";
import { type CommandFields, encodeWork } from "./entries.ts";
import type { Nic } from "./nic.ts";
import type { RdmaProtectionDomain } from "./protection-domain.ts";
import { type RdmaRegion, type RemoteRegion, revokedError } from "./region.ts";
import {
  COMMAND,
  describeWork,
  LOCAL_OPERATION_ERROR,
  NO_ANSWER,
  RNR_RETRY_FOREVER,
  STATE,
  WORK,
} from "./registers.ts";
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

/** Which part of one region, in bytes from its start: a message, or the room for one. */
export interface RdmaPart {
  /** Default 0. */
  readonly offset?: number;
  /** Default: to the end of the region. */
  readonly lengthBytes?: number;
}

export interface RdmaQueuePairOptions {
  /** Default: the driver's own. */
  readonly domain?: RdmaProtectionDomain;
  /**
   * How often a message knocks at an end that has no receive request for it, every 120 us: 0 to 6. Default
   * 7: as long as any request waits, which is 1 s.
   */
  readonly rnrRetry?: number;
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
  /** Why it broke, once it has: in the words of verbs. */
  readonly broken: string | undefined;
  /** Both ends have to, once. */
  connect(other: RdmaAddress): Promise<void>;
  /**
   * Local region to remote region. `DEVICE_FAILED` names the completion's status, as verbs call it;
   * `MAPPING_STALE` (EINVAL) when the local region was revoked; `WRONG_ORDER` (EINVAL) before `connect`. Waits at most 1 s for memory that moves.
   */
  write(local: RdmaRegion, remote: RemoteRegion, range?: RdmaRange): Promise<RdmaTransfer>;
  /** Remote region to local region, which must allow `localWrite`. */
  read(local: RdmaRegion, remote: RemoteRegion, range?: RdmaRange): Promise<RdmaTransfer>;
  /**
   * A message out of the local region, into whatever the other end receives next. Resolves when it is there. A
   * queue pair sends at most 63 requests at a time; more wait in turn.
   */
  send(local: RdmaRegion, part?: RdmaPart): Promise<RdmaTransfer>;
  /**
   * Room for one message in a local region that allows `localWrite`. Resolves when a message has come, which may
   * take for ever; `lengthBytes` says how long it is. Messages fill the room in the order of the calls.
   */
  receive(local: RdmaRegion, part?: RdmaPart): Promise<RdmaTransfer>;
  /** Requests on their way end as flushed. A second time does nothing. */
  close(): Promise<void>;
}

interface Rings {
  readonly sends: Ring;
  readonly receives: Ring;
}

export class LiveQueuePair implements RdmaQueuePair {
  readonly address: RdmaAddress;
  readonly #nic: Nic;
  readonly #rings: Rings;
  readonly #rnrRetry: number;
  readonly #gone: () => void;
  #open = true;
  #holdsRings = true;
  #isConnected = false;
  #broken: string | undefined;

  /** Its state is RESET: `connect` leads it up. `gone` is called once when it is over. */
  static async create(
    nic: Nic,
    domain: number,
    rnrRetry: number = RNR_RETRY_FOREVER,
    gone: (queuePair: LiveQueuePair) => void,
  ): Promise<LiveQueuePair> {
    let number = 0;
    const [sends, receives] = allOrNone(
      [
        () => new Ring(nic.dma, (tail) => nic.ringSends(number, tail)),
        () => new Ring(nic.dma, (tail) => nic.ringReceives(number, tail)),
      ],
      (ring) => ring.free(),
    ) as [Ring, Ring];
    try {
      const address = sends.memory.deviceAddress;
      const receiveAddress = receives.memory.deviceAddress;
      const rings = { address, count: RING_ENTRIES, receiveAddress, receiveCount: RING_ENTRIES };
      const opcode = COMMAND.CREATE_QUEUE_PAIR;
      number = await nic.command({ opcode, domain, ...rings }, "making a queue pair");
      const made = { lid: nic.lid, queuePair: number };
      return new LiveQueuePair(nic, { sends, receives }, made, rnrRetry, gone);
    } catch (error) {
      sends.free();
      receives.free();
      throw error;
    }
  }

  private constructor(
    nic: Nic,
    rings: Rings,
    address: RdmaAddress,
    rnrRetry: number,
    gone: (queuePair: LiveQueuePair) => void,
  ) {
    this.#nic = nic;
    this.#rings = rings;
    this.address = address;
    this.#rnrRetry = rnrRetry;
    this.#gone = () => gone(this);
    nic.watchQueuePair(address.queuePair, (status) => this.#breakDown(status));
  }

  get broken(): string | undefined {
    return this.#broken;
  }

  async connect({ lid, queuePair }: RdmaAddress): Promise<void> {
    await this.#moveTo(STATE.INIT);
    await this.#moveTo(STATE.RECEIVING, { remoteLid: lid, remoteQueuePair: queuePair });
    await this.#moveTo(STATE.SENDING, { access: this.#rnrRetry });
    this.#isConnected = true;
  }

  async #moveTo(state: number, fields: Omit<CommandFields, "opcode"> = {}): Promise<void> {
    const handle = this.address.queuePair;
    await this.#nic.command(
      { opcode: COMMAND.MODIFY_QUEUE_PAIR, handle, count: state, ...fields },
      `connecting queue pair ${handle}`,
    );
  }

  write(local: RdmaRegion, remote: RemoteRegion, range: RdmaRange = {}): Promise<RdmaTransfer> {
    return this.#reach(WORK.WRITE, local, remote, range);
  }

  read(local: RdmaRegion, remote: RemoteRegion, range: RdmaRange = {}): Promise<RdmaTransfer> {
    return this.#reach(WORK.READ, local, remote, range);
  }

  async send(local: RdmaRegion, part: RdmaPart = {}): Promise<RdmaTransfer> {
    this.#requireConnected();
    const startNs = this.#nic.clock.nowNs;
    const work = { opcode: WORK.SEND, ...this.#partOf(local, part) };
    const { status } = await this.#nic.send(this.#rings.sends, (tag) => encodeWork(work, tag));
    this.#require("send", work.lengthBytes, status, local);
    return this.#over(startNs, work.lengthBytes, local);
  }

  async receive(local: RdmaRegion, part: RdmaPart = {}): Promise<RdmaTransfer> {
    const startNs = this.#nic.clock.nowNs;
    const work = this.#partOf(local, part);
    const make = (tag: number): Uint8Array => encodeWork(work, tag);
    const { status, result } = await this.#nic.send(this.#rings.receives, make, "endless");
    this.#require("receive", work.lengthBytes, status, local);
    return this.#over(startNs, result, local);
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
        this.#nic.abandon(this.#rings.sends);
        this.#nic.abandon(this.#rings.receives);
      }
    } finally {
      this.letGo();
    }
  }

  /** For a NIC that is stopped and has forgotten the queue pair, or was told to. */
  letGo(): void {
    this.#open = false;
    if (this.#holdsRings) {
      this.#holdsRings = false;
      this.#nic.unwatchQueuePair(this.address.queuePair);
      this.#rings.sends.free();
      this.#rings.receives.free();
      this.#gone();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #reach(
    opcode: typeof WORK.WRITE | typeof WORK.READ,
    local: RdmaRegion,
    remote: RemoteRegion,
    { localOffset = 0, remoteOffset = 0, lengthBytes }: RdmaRange,
  ): Promise<RdmaTransfer> {
    this.#requireConnected();
    const startNs = this.#nic.clock.nowNs;
    const length =
      lengthBytes ?? Math.min(local.sizeBytes - localOffset, remote.sizeBytes - remoteOffset);
    this.#requireUsable(local, localOffset, remoteOffset, length);
    const keys = { localKey: local.key, remoteKey: remote.key };
    const work = { opcode, ...keys, localOffset, remoteOffset, lengthBytes: length };
    const { status } = await this.#nic.send(this.#rings.sends, (tag) => encodeWork(work, tag));
    this.#require(opcode === WORK.WRITE ? "RDMA write" : "RDMA read", length, status, local);
    return this.#over(startNs, length, local);
  }

  #partOf(
    local: RdmaRegion,
    { offset = 0, lengthBytes = local.sizeBytes - offset }: RdmaPart,
  ): { localKey: number; localOffset: number; lengthBytes: number } {
    this.#requireUsable(local, offset, lengthBytes);
    return { localKey: local.key, localOffset: offset, lengthBytes };
  }

  #over(startNs: number, lengthBytes: number, { negotiated }: RdmaRegion): RdmaTransfer {
    return { lengthBytes, elapsedNs: this.#nic.clock.nowNs - startNs, negotiated };
  }

  /** As `ibv_post_send` refuses it in states below RTS, with EINVAL. */
  #requireConnected(): void {
    if (this.#open && !this.#isConnected) {
      const what = `queue pair ${this.address.queuePair} of ${this.#nic.label} is not connected`;
      throw new PeerbufError("WRONG_ORDER", what, { errno: "EINVAL" });
    }
  }

  /** Bounds and keys are the NIC's to check; only what is no request at all is refused here. */
  #requireUsable(local: RdmaRegion, ...bytes: readonly number[]): void {
    if (!this.#open) {
      const what = `queue pair ${this.address.queuePair} of ${this.#nic.label} is closed`;
      throw new PeerbufError("HANDLE_CLOSED", what);
    }
    const wrong = bytes.find((count) => !Number.isSafeInteger(count) || count < 0);
    if (wrong !== undefined) {
      throw new PeerbufError("ARGUMENT_INVALID", `${wrong} is no offset or length in bytes`);
    }
    if (local.revoked !== undefined) {
      throw revokedError(`key ${local.key}`, local.revoked);
    }
  }

  #breakDown(status: number): void {
    this.#broken ??= describeWork(status);
  }

  /** Throws what the NIC says of a request that did not succeed. */
  #require(what: string, lengthBytes: number, status: number, { pageError }: RdmaRegion): void {
    if (status === 0) {
      return;
    }
    this.#breakDown(status);
    const code = status === NO_ANSWER ? "DEVICE_GONE" : "DEVICE_FAILED";
    const who = `${this.#nic.label} queue pair ${this.address.queuePair}`;
    const text = `${who}: ${what} of ${lengthBytes} bytes failed: ${describeWork(status)}`;
    throw status === LOCAL_OPERATION_ERROR && pageError !== undefined
      ? new PeerbufError(code, `${text}: ${pageError.message}`, { cause: pageError })
      : new PeerbufError(code, text);
  }
}

/** Connects two ends with each other; an end may be connected with one of its own NIC. */
export async function connectQueuePairs(one: RdmaQueuePair, other: RdmaQueuePair): Promise<void> {
  await one.connect(other.address);
  await other.connect(one.address);
}
