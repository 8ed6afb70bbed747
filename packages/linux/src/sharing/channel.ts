/**
 * Channel: hands buffers to another process, or thread, by their descriptors: no byte is copied.
 *
 * A message is a packet with a small JSON text and up to 253 descriptors. Whoever receives checks all of it
 * against the kernel: what a descriptor is, how large it is. A peer that lies, floods or dies costs the
 * receiver a typed error and no descriptor.
 */
import { PeerbufError } from "@peerbuf/core";
import { LinuxBuffer } from "../buffers/linux-buffer.ts";
import { Descriptor } from "../sys/descriptor.ts";
import { closeAll, type Received, receive, send } from "../sys/message.ts";
import { POLL_IN, POLL_OUT, type ReadinessOptions, ready } from "../sys/poller.ts";
import { socketPair } from "../sys/unix-socket.ts";
import { decode, encode, type Json, MESSAGE_BYTES_MAX } from "./envelope.ts";

/** What came over a channel; the buffers are the receiver's to close. */
export interface Delivery {
  readonly meta: Json;
  /** By the names the sender gave them. */
  readonly buffers: ReadonlyMap<string, LinuxBuffer>;
}

export class Channel implements Disposable {
  readonly #socket: Descriptor;
  /** Sends and receives run one after the other, each in the order it was asked for. */
  #lastSend: Promise<unknown> = Promise.resolve();
  #lastReceive: Promise<unknown> = Promise.resolve();

  /** Takes the socket over. Use `channelPair`, `connect` or `Channel.fromFd`. */
  constructor(socket: Descriptor) {
    this.#socket = socket;
  }

  /** The channel on a descriptor that was inherited, e.g. 3 after `stdio: [..., theirs.number]`. Takes it over. */
  static fromFd(number: number): Channel {
    return new Channel(new Descriptor(number, `channel ${number}`));
  }

  get isOpen(): boolean {
    return this.#socket.isOpen;
  }

  /**
   * Shares buffers, by name, with a JSON value. Resolves when the kernel has the message: from then on the
   * buffers may be closed here. `PEER_GONE`, `ARGUMENT_INVALID` for too many or too much, `WAIT_TIMED_OUT`
   * and `WAIT_INTERRUPTED` while the peer does not read.
   */
  async share(
    buffers: Readonly<Record<string, LinuxBuffer>>,
    meta: Json = null,
    options?: ReadinessOptions,
  ): Promise<void> {
    // Encoded now: what happens to the arguments later does not change the message.
    const message = encode(buffers, meta);
    const copies = Object.values(buffers).map(({ descriptor }) => descriptor.duplicate());
    const fds = copies.map(({ number }) => number);
    const sent = this.#lastSend.then(() => this.#send(message, fds, options));
    const done = sent.finally(() => closeAll(copies));
    this.#lastSend = done.catch(() => undefined);
    await done;
  }

  /**
   * The next message; undefined when the peer has closed. `MESSAGE_INVALID` for one that is not what it
   * claims to be: its descriptors are closed, and the channel can go on.
   */
  receive(options?: ReadinessOptions): Promise<Delivery | undefined> {
    const received = this.#lastReceive.then(() => this.#receive(options));
    this.#lastReceive = received.catch(() => undefined);
    return received;
  }

  /** Messages until the peer closes. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Delivery> {
    for (
      let delivery = await this.receive();
      delivery !== undefined;
      delivery = await this.receive()
    ) {
      yield delivery;
    }
  }

  /** What is underway is delivered; `HANDLE_CLOSED` the second time. */
  close(): void {
    this.#socket.close();
  }

  /** Closes unless `close` did. */
  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }

  async #send(
    message: Uint8Array,
    fds: readonly number[],
    options: ReadinessOptions | undefined,
  ): Promise<void> {
    while (!send(this.#socket, message, fds)) {
      await ready(this.#socket, POLL_OUT, options);
    }
  }

  async #receive(options: ReadinessOptions | undefined): Promise<Delivery | undefined> {
    for (;;) {
      const received = receive(this.#socket, MESSAGE_BYTES_MAX);
      if (received === "end") {
        return undefined;
      }
      if (received !== "nothing yet") {
        return deliveryOf(received);
      }
      await ready(this.#socket, POLL_IN, options);
    }
  }
}

/** One end for us, the other to give away: inherited by a child through `stdio`, or to a worker. */
export function channelPair(): [Channel, Descriptor] {
  const [ours, theirs] = socketPair();
  return [new Channel(ours), theirs];
}

/** Every descriptor becomes a buffer that was looked at, or all are closed. */
function deliveryOf({ bytes, descriptors }: Received): Delivery {
  const opened: LinuxBuffer[] = [];
  const left = [...descriptors];
  try {
    const { meta, items } = decode(bytes, descriptors.length);
    for (const { sizeBytes } of items) {
      const buffer = new LinuxBuffer(left.shift() as Descriptor);
      opened.push(buffer);
      if (buffer.sizeBytes !== sizeBytes) {
        throw invalid(`a buffer of ${buffer.sizeBytes} bytes was announced as ${sizeBytes}`);
      }
    }
    return {
      meta,
      buffers: new Map(items.map(({ name }, at) => [name, opened[at] as LinuxBuffer])),
    };
  } catch (error) {
    closeAll(left);
    for (const buffer of opened) {
      buffer.close();
    }
    throw error instanceof PeerbufError && error.code === "NOT_A_BUFFER"
      ? invalid(error.message, error)
      : error;
  }
}

const invalid = (text: string, cause?: unknown): PeerbufError =>
  new PeerbufError("MESSAGE_INVALID", text, { cause });
