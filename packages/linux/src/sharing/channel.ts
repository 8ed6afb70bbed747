/**
 * Channel: hands buffers to another process, or thread, by their descriptors: no byte is copied.
 *
 * A message is a packet with a small JSON text and up to 253 descriptors. Whoever receives checks all of it
 * against the kernel: what a descriptor is, how large it is. A peer that lies, floods or dies costs the
 * receiver a typed error and no descriptor.
 */
import { PeerbufError } from "@peerbuf/core";
import { LinuxBuffer } from "../buffers/linux-buffer.ts";
import type { Descriptor } from "../sys/descriptor.ts";
import { closeAll, type Received, receive, send } from "../sys/message.ts";
import { thePacket } from "../sys/packet.ts";
import { POLL_OUT, type StandingWatch, standingWatch, watch } from "../sys/poller.ts";
import { adoptSocket, shutDown, socketPair } from "../sys/unix-socket.ts";
import { limitsOf, type ReadinessOptions, type WaitLimits, within } from "../sys/wait-limits.ts";
import { EnvelopeReader, invalid, type Json, type Load, loadOf, pack } from "./envelope.ts";
import { Turns } from "./turns.ts";

/** What came over a channel; the buffers are the receiver's to close. */
export interface Delivery {
  readonly meta: Json;
  /** By the names the sender gave them. */
  readonly buffers: ReadonlyMap<string, LinuxBuffer>;
}

export class Channel implements Disposable {
  readonly #socket: Descriptor;
  /** Sends and receives run one after the other, each in the order it was asked for. */
  readonly #sends = new Turns();
  readonly #receives = new Turns();
  /** From the first receive that had to wait. */
  #readable: StandingWatch | undefined;
  /** Of the receive that waits, or waited last. */
  #wake: ((events: number) => void) | undefined;

  /** Takes the socket over. Use `channelPair`, `connect` or `Channel.fromFd`. */
  constructor(socket: Descriptor) {
    this.#socket = socket;
  }

  /**
   * The channel on a descriptor that was inherited, e.g. 3 after `stdio: [..., theirs.number]`. Takes it over
   * and keeps it from this process's own children. `ARGUMENT_INVALID` for what is no channel.
   */
  static fromFd(number: number): Channel {
    return new Channel(adoptSocket(number));
  }

  get isOpen(): boolean {
    return this.#socket.isOpen;
  }

  /**
   * Shares buffers, by name, with a JSON value. Resolves when the kernel has the message: from then on the
   * buffers may be closed here. `PEER_GONE`, `ARGUMENT_INVALID` for too many or too much, `WAIT_TIMED_OUT`
   * and `WAIT_INTERRUPTED` while the peer does not read, `HANDLE_CLOSED` when this end is closed meanwhile.
   */
  share(
    buffers: Readonly<Record<string, LinuxBuffer>>,
    meta: Json = null,
    options?: ReadinessOptions,
  ): Promise<void> {
    try {
      const limits = limitsOf(options, this.#socket.what);
      const load = loadOf(buffers, meta);
      const numbers = load.buffers.map(numberOf);
      const lengthBytes = pack(thePacket(), load);
      return !this.#sends.isTaken && send(this.#socket, lengthBytes, numbers)
        ? SENT
        : this.#shareLater(load, thePacket().bytes.slice(0, lengthBytes), limits);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * The next message; undefined when the peer has closed, or this end was closed meanwhile. `MESSAGE_INVALID`
   * for one that is not what it claims to be: its descriptors are closed, and the channel can go on.
   */
  receive(options?: ReadinessOptions): Promise<Delivery | undefined> {
    try {
      const limits = limitsOf(options, this.#socket.what);
      const isFirst = !this.#receives.isTaken;
      const received = isFirst ? receive(this.#socket) : "nothing yet";
      return received === "nothing yet"
        ? this.#receives.take(limits, this.#socket.what, () => this.#receiveLater(limits, isFirst))
        : Promise.resolve(deliveryOf(received));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Messages until either end is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Delivery> {
    for (
      let delivery = await this.receive();
      delivery !== undefined;
      delivery = await this.receive()
    ) {
      yield delivery;
    }
  }

  /**
   * Ends the conversation: waits of this end are over, the peer gets what was sent and then the end, whoever
   * else holds the socket. `HANDLE_CLOSED` the second time.
   */
  close(): void {
    shutDown(this.#socket);
    this.#readable?.close();
    this.#socket.close();
    this.#wake?.(0);
  }

  /** Closes unless `close` did. */
  [Symbol.dispose](): void {
    if (this.isOpen) {
      this.close();
    }
  }

  /**
   * With descriptors of its own, and the bytes as they are now: what happens to the arguments meanwhile does not
   * change the message.
   */
  async #shareLater({ buffers }: Load, message: Uint8Array, limits: WaitLimits): Promise<void> {
    const copies = duplicatesOf(buffers);
    try {
      await this.#sends.take(limits, this.#socket.what, async () => {
        while (!this.#sendKept(message, copies)) {
          await within(limits, this.#socket.what, (wake) => watch(this.#socket, POLL_OUT, wake));
        }
      });
    } finally {
      closeAll(copies);
    }
  }

  #sendKept(message: Uint8Array, copies: readonly Descriptor[]): boolean {
    thePacket().bytes.set(message);
    return send(
      this.#socket,
      message.length,
      copies.map(({ number }) => number),
    );
  }

  /** `isLookedAt`: there was nothing just now. */
  async #receiveLater(limits: WaitLimits, isLookedAt: boolean): Promise<Delivery | undefined> {
    if (isLookedAt) {
      await this.#untilReadable(limits);
    }
    while (this.isOpen) {
      const received = receive(this.#socket);
      if (received !== "nothing yet") {
        return deliveryOf(received);
      }
      await this.#untilReadable(limits);
    }
    return undefined;
  }

  /** To be called when there was nothing just now: only what comes from here on wakes. */
  #untilReadable(limits: WaitLimits): Promise<number> {
    this.#readable ??= standingWatch(this.#socket);
    const { wait } = this.#readable;
    return within(limits, this.#socket.what, (wake) => {
      this.#wake = wake;
      return wait(wake);
    });
  }
}

/** What most `share` end with: one for all of them. */
const SENT: Promise<void> = Promise.resolve();

const numberOf = ({ descriptor }: LinuxBuffer): number => descriptor.number;

/** All or none. */
function duplicatesOf(buffers: readonly LinuxBuffer[]): Descriptor[] {
  const copies: Descriptor[] = [];
  try {
    for (const { descriptor } of buffers) {
      copies.push(descriptor.duplicate());
    }
    return copies;
  } catch (error) {
    closeAll(copies);
    throw error;
  }
}

/** One end for us, the other to give away: inherited by a child through `stdio`, or to a worker. */
export function channelPair(): [Channel, Descriptor] {
  const [ours, theirs] = socketPair();
  return [new Channel(ours), theirs];
}

/** Every descriptor becomes a buffer that was looked at, or all are closed. */
function deliveryOf(received: Received | "end"): Delivery | undefined {
  if (received === "end") {
    return undefined;
  }
  const { lengthBytes, descriptors } = received;
  try {
    const envelope = new EnvelopeReader(thePacket(), lengthBytes, descriptors.length);
    const buffers = new Map<string, LinuxBuffer>();
    for (const descriptor of descriptors) {
      const name = envelope.nextName();
      buffers.set(name, bufferOf(descriptor, envelope.sizeBytes));
    }
    if (buffers.size !== descriptors.length) {
      throw invalid("it uses one name twice");
    }
    return { meta: envelope.meta(), buffers };
  } catch (error) {
    closeAll(descriptors);
    throw error;
  }
}

/** Looked at: the kernel has to say of it what the peer does. */
function bufferOf(descriptor: Descriptor, saidBytes: number): LinuxBuffer {
  const buffer = openedOf(descriptor);
  if (buffer.sizeBytes !== saidBytes) {
    throw invalid(`a buffer of ${buffer.sizeBytes} bytes was announced as ${saidBytes}`);
  }
  return buffer;
}

function openedOf(descriptor: Descriptor): LinuxBuffer {
  try {
    return new LinuxBuffer(descriptor);
  } catch (error) {
    throw error instanceof PeerbufError && error.code === "NOT_A_BUFFER"
      ? invalid(error.message, error)
      : error;
  }
}
