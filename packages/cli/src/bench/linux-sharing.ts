/**
 * Linux sharing: what it takes to hand a buffer to another process, on any Linux: the memory is a memfd, which is
 * passed as a dma-buf is.
 *
 * One measurement is a round trip: the buffer goes there, is looked at and closed, and an answer comes back.
 */
import type { Channel, LinuxBuffer, RawSocket } from "@peerbuf/linux";
import type { Bench, BenchOptions, BenchResult } from "./bench.ts";
import { startPeer, stopPeer } from "./linux-peer.ts";
import {
  alternate,
  bestBuffer,
  processorClock,
  rawSockets,
  resultOf,
  wallClock,
} from "./linux-rounds.ts";
import { medianOf } from "./measure.ts";

const MIB = 2 ** 20;
const LARGE_BYTES: number = 1024 * MIB;
const MESSAGE_BYTES: number = 64 * MIB;
const ROUND_TRIPS = 1000;
const PASSES = 10_000;
const SAME_CALLS = "the same system calls alone";
const AT_MOST_TWICE = { ratio: ">= 0.5" };

/** The size does not matter: nothing is copied. */
export const handOver1GiB: Bench = {
  name: "linux.hand-over-1GiB",
  async run(options): Promise<BenchResult> {
    const { value, baseline } = await withPeer(async ({ channel, large, small }) =>
      alternate(
        options,
        wallClock,
        ROUND_TRIPS,
        handOver(channel, large),
        handOver(channel, small),
      ),
    );
    return resultOf(this.name, "ns", value, "the same with 1 MiB", baseline, { ratio: ">= 0.7" });
  },
};

/** By byte that the other process can read afterwards. */
export const handOverPerByte: Bench = {
  name: "linux.hand-over-per-byte",
  async run(options): Promise<BenchResult> {
    const { value } = await withPeer(async ({ channel, large }) =>
      alternate(options, wallClock, ROUND_TRIPS, handOver(channel, large), async () => undefined),
    );
    const message = await messageNs(options);
    const [ours, theirs] = [value / LARGE_BYTES, message / MESSAGE_BYTES];
    const baseline = "a child_process message of 64 MiB";
    return resultOf(this.name, "ns/byte", ours, baseline, theirs, { ratio: ">= 100" });
  },
};

/**
 * There and back between two processes, which wait for each other in their event loops: what it costs this one; the
 * other does the same.
 */
export const handOverRoundTrip: Bench = {
  name: "linux.hand-over",
  async run(options): Promise<BenchResult> {
    const { value, baseline } = await withPeer(({ channel, socket, small }) =>
      alternate(
        options,
        processorClock,
        ROUND_TRIPS,
        handOver(channel, small),
        handOverRaw(socket, small),
      ),
    );
    return resultOf(this.name, "ns", value, SAME_CALLS, baseline, AT_MOST_TWICE);
  },
};

/**
 * What the checks and the owners cost: a descriptor is sent, received, looked at and closed, all in one thread, so
 * that no scheduler has a say.
 */
export const descriptorPassed: Bench = {
  name: "linux.descriptor-passed",
  async run(options): Promise<BenchResult> {
    const { Channel, channelPair, rawLookAndClose } = await import("@peerbuf/linux");
    const [sender, far] = channelPair();
    using receiver = new Channel(far);
    using sockets = await rawSockets();
    using buffer = await bestBuffer();
    const ours = async (times: number): Promise<void> => {
      for (let count = 0; count < times; count++) {
        await sender.share({ buffer });
        const delivery = await receiver.receive();
        delivery?.buffers.get("buffer")?.close();
      }
    };
    const [one, other] = sockets.ends;
    const raw = async (times: number): Promise<void> => {
      for (let count = 0; count < times; count++) {
        one.send(buffer.descriptor.number);
        rawLookAndClose(other.take());
      }
    };
    const { value, baseline } = await alternate(options, processorClock, PASSES, ours, raw);
    sender.close();
    return resultOf(this.name, "ns", value, SAME_CALLS, baseline, AT_MOST_TWICE);
  },
};

const handOver =
  (channel: Channel, buffer: LinuxBuffer) =>
  async (times: number): Promise<void> => {
    for (let count = 0; count < times; count++) {
      await channel.share({ buffer });
      await channel.receive();
    }
  };

const handOverRaw =
  (socket: RawSocket, { descriptor }: LinuxBuffer) =>
  async (times: number): Promise<void> => {
    for (let count = 0; count < times; count++) {
      socket.send(descriptor.number);
      await socket.receive();
    }
  };

/** The other process by a channel and by a socket; and buffers of 1 GiB and 1 MiB: untouched, they take no memory. */
interface Ground {
  readonly channel: Channel;
  readonly socket: RawSocket;
  readonly large: LinuxBuffer;
  readonly small: LinuxBuffer;
}

async function withPeer<T>(work: (ground: Ground) => Promise<T>): Promise<T> {
  const { channelPair, Descriptor, RawSocket, sharedMemory } = await import("@peerbuf/linux");
  const [channel, theirs] = channelPair();
  const [ours, raw] = RawSocket.numbers();
  using owner = new Descriptor(ours, "a raw socket");
  const peer = startPeer("sockets", [theirs, new Descriptor(raw, "its other end")]);
  const socket = new RawSocket(owner.number);
  using large = sharedMemory(LARGE_BYTES);
  using small = sharedMemory(MIB);
  try {
    return await work({ channel, socket, large, small });
  } finally {
    socket.close();
    channel.close();
    await stopPeer(peer);
  }
}

/** There as bytes, back as a number. */
async function messageNs({ quick }: BenchOptions): Promise<number> {
  const peer = startPeer("messages");
  const bytes = Buffer.alloc(MESSAGE_BYTES, 1);
  const roundTrip = async (): Promise<number> => {
    const startMs = performance.now();
    const answered = new Promise((resolve) => peer.once("message", resolve));
    peer.send(bytes);
    await answered;
    return (performance.now() - startMs) * 1e6;
  };
  try {
    const figures: number[] = [];
    for (let round = 0; round < (quick ? 1 : 4); round++) {
      figures.push(await roundTrip());
    }
    return medianOf(figures.length > 1 ? figures.slice(1) : figures);
  } finally {
    await stopPeer(peer);
  }
}
