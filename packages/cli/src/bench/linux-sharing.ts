/**
 * Linux sharing: what it takes to hand a buffer to another process, on any Linux: the memory is a memfd, which is
 * passed as a dma-buf is.
 *
 * One measurement is a round trip: the buffer goes there, is looked at and closed, and an answer comes back.
 */
import type { Channel, LinuxBuffer, RawSocket } from "@peerbuf/linux";
import type { Bench, BenchOptions, BenchResult } from "./bench.ts";
import { startPeer, stopPeer } from "./linux-peer.ts";
import { alternate, resultOf } from "./linux-rounds.ts";
import { medianOf } from "./measure.ts";

const MIB = 2 ** 20;
const LARGE_BYTES: number = 1024 * MIB;
const MESSAGE_BYTES: number = 64 * MIB;
const ROUND_TRIPS = 1000;

/** The size does not matter: nothing is copied. */
export const handOver1GiB: Bench = {
  name: "linux.hand-over-1GiB",
  async run(options): Promise<BenchResult> {
    const { value, baseline } = await withChannel(async (channel, large, small) =>
      alternate(options, ROUND_TRIPS, handOver(channel, large), handOver(channel, small)),
    );
    return resultOf(this.name, "ns", value, "the same with 1 MiB", baseline, { ratio: ">= 0.7" });
  },
};

/** By byte that the other process can read afterwards. */
export const handOverPerByte: Bench = {
  name: "linux.hand-over-per-byte",
  async run(options): Promise<BenchResult> {
    const { value } = await withChannel(async (channel, large) =>
      alternate(options, ROUND_TRIPS, handOver(channel, large), async () => undefined),
    );
    const message = await messageNs(options);
    const [ours, theirs] = [value / LARGE_BYTES, message / MESSAGE_BYTES];
    const baseline = "a child_process message of 64 MiB";
    return resultOf(this.name, "ns/byte", ours, baseline, theirs, { ratio: ">= 100" });
  },
};

/** What the checks and the owners cost. */
export const descriptorPassed: Bench = {
  name: "linux.descriptor-passed",
  async run(options): Promise<BenchResult> {
    const { value, baseline } = await withChannel((channel, _, small) =>
      withRawSocket((socket) =>
        alternate(options, ROUND_TRIPS, handOver(channel, small), handOverRaw(socket, small)),
      ),
    );
    const bar = { ratio: ">= 0.25" };
    return resultOf(this.name, "ns", value, "the same system calls alone", baseline, bar);
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

/** With a socket to another process that uses the system calls as they are. */
async function withRawSocket<T>(work: (socket: RawSocket) => Promise<T>): Promise<T> {
  const { Descriptor, RawSocket } = await import("@peerbuf/linux");
  const [ours, theirs] = RawSocket.numbers();
  using owner = new Descriptor(ours, "a raw socket");
  const peer = startPeer("raw", new Descriptor(theirs, "its other end"));
  const socket = new RawSocket(owner.number);
  try {
    return await work(socket);
  } finally {
    socket.close();
    await stopPeer(peer);
  }
}

/** With a channel to another process, a buffer of 1 GiB and one of 1 MiB; untouched, they take no memory. */
async function withChannel<T>(
  work: (channel: Channel, large: LinuxBuffer, small: LinuxBuffer) => Promise<T>,
): Promise<T> {
  const { channelPair, sharedMemory } = await import("@peerbuf/linux");
  const [channel, theirs] = channelPair();
  const peer = startPeer("channel", theirs);
  using large = sharedMemory(LARGE_BYTES);
  using small = sharedMemory(MIB);
  try {
    return await work(channel, large, small);
  } finally {
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
