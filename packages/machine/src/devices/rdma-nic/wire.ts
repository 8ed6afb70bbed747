/**
 * Wire: what connects the NICs of one machine, and each NIC with itself.
 *
 * Reliable and without loss; it only finds the other end by its address. Each NIC spends the time of its own
 * end: what it can send or take, and what its link to memory allows.
 */
import { InputError } from "@peerbuf/core";
import type { RdmaStatus } from "./registers.ts";

/** Who sends: its address and queue pair. */
export interface WireSender {
  readonly lid: number;
  readonly queuePair: number;
}

/** Try the same again later (RNR NAK): the other end waits for a page, or has no receive request. */
export type NotReady = "no-page" | "no-receive";

export type WireAnswer = RdmaStatus | NotReady;

/** A part of a message that is sent to whoever has a receive request for it. */
export interface WireMessage {
  /** Of the whole message. */
  readonly totalBytes: number;
  /** Where in it this part begins. */
  readonly begin: number;
}

/** What a piece does to memory at the other end. */
export interface WireAccess {
  readonly kind: "read" | "write";
  /** Undefined: a receive request says where, when it is there. */
  readonly key: number | undefined;
  readonly offset: number;
  readonly lengthBytes: number;
  /** Another piece follows at once. */
  readonly continues: boolean;
}

/** A NIC as the others see it. Each call but the first is one packet that has arrived. */
export interface WireEnd {
  /**
   * This end's part of a piece takes its time: `done` runs when its wire and its link could have carried it. Nothing is
   * checked or touched yet; what cannot be found takes no time on the link.
   */
  takeTime(from: WireSender, queuePair: number, access: WireAccess, done: () => void): void;
  /** RDMA write: `lengthBytes` of `bytes` to the region behind `key`. */
  acceptWrite(
    from: WireSender,
    queuePair: number,
    key: number,
    offset: number,
    bytes: Uint8Array,
    lengthBytes: number,
  ): WireAnswer;
  /** Send: the next `lengthBytes` of a message into the receive request at the head of the queue pair. */
  acceptSend(
    from: WireSender,
    queuePair: number,
    message: WireMessage,
    bytes: Uint8Array,
    lengthBytes: number,
  ): WireAnswer;
  /** RDMA read: fills `target` with `lengthBytes` of the region behind `key`. */
  acceptRead(
    from: WireSender,
    queuePair: number,
    key: number,
    offset: number,
    target: Uint8Array,
    lengthBytes: number,
  ): WireAnswer;
}

/**
 * Bytes of payload a nanosecond at this rate, in packets of 4,096 bytes over RoCE v2. Each packet has preamble and gap
 * 20, Ethernet 18, IPv4 20, UDP 8, base transport header 12, RDMA header 16 and checksum 4 (IEEE 802.3; InfiniBand
 * architecture, annex A17).
 */
export const wireBytesPerNs = (gigabitsPerSecond: number): number =>
  (gigabitsPerSecond / 8) * (4096 / (4096 + 98));

/** A LID has 16 bits. */
const LID_MAX = 0xbfff; // InfiniBand architecture 1.3 section 4.1.3: unicast LIDs end here.

export class RdmaWire {
  readonly #ends: WireEnd[] = [];

  /** Plugs an end in and returns its address, counting from 1. */
  join(end: WireEnd): number {
    if (this.#ends.length === LID_MAX) {
      throw new InputError({
        source: "rdma wire",
        cause: `${LID_MAX} NICs are on it already`,
        remedy: "Use a second wire",
      });
    }
    this.#ends.push(end);
    return this.#ends.length;
  }

  find(lid: number): WireEnd | undefined {
    return this.#ends[lid - 1];
  }
}
