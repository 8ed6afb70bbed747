/**
 * Wire: what connects the NICs of one machine, and each NIC with itself.
 *
 * Reliable and without loss; it only finds the other end by its address. Time on the wire is spent
 * by the NIC that sends.
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

/** A NIC as the others see it. Each call is one packet that has arrived. */
export interface WireEnd {
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
