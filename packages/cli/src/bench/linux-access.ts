/**
 * Linux access: what brackets and waits cost beside the system calls that they are made of.
 */
import type { Bench, BenchResult } from "./bench.ts";
import { alternate, bestBuffer, processorClock, rawSockets, resultOf } from "./linux-rounds.ts";

const BRACKETS = 100_000;
const WAITS = 5000;
/** At most twice the raw calls. */
const BAR = { ratio: ">= 0.5" };

/**
 * A bracket for writing that gives out its bytes. On a dma-buf it makes two system calls; where there is only a
 * memfd, which needs none, the two are made beside it: the kernel refuses them, in a third of the time that a dma-buf takes.
 */
export const bracket: Bench = {
  name: "linux.bracket",
  async run(options): Promise<BenchResult> {
    const { rawBracket } = await import("@peerbuf/linux");
    using buffer = await bestBuffer();
    const { number } = buffer.descriptor;
    const isMemfd = buffer.kind === "memfd";
    const ours = async (times: number): Promise<void> => {
      for (let count = 0; count < times; count++) {
        const access = buffer.beginCpuAccess("write");
        access.bytes[0] = count;
        access.end();
        if (isMemfd) {
          rawBracket(number);
        }
      }
    };
    const raw = async (times: number): Promise<void> => {
      for (let count = 0; count < times; count++) {
        rawBracket(number);
      }
    };
    const { value, baseline } = await alternate(options, processorClock, BRACKETS, ours, raw);
    return resultOf(this.name, "ns", value, `two ioctls on a ${buffer.kind}`, baseline, BAR);
  },
};

/** A message that is waited for, sent from the same thread. */
export const wait: Bench = {
  name: "linux.wait",
  async run(options): Promise<BenchResult> {
    const { Channel, channelPair } = await import("@peerbuf/linux");
    const [sender, far] = channelPair();
    using receiver = new Channel(far);
    using sockets = await rawSockets();
    const [rawSender, rawReceiver] = sockets.ends;
    const ours = async (times: number): Promise<void> => {
      for (let count = 0; count < times; count++) {
        const waited = receiver.receive();
        await sender.share({});
        await waited;
      }
    };
    const raw = async (times: number): Promise<void> => {
      for (let count = 0; count < times; count++) {
        const waited = rawReceiver.receiveOnce();
        rawSender.send(-1);
        await waited;
      }
    };
    const { value, baseline } = await alternate(options, processorClock, WAITS, ours, raw);
    sender.close();
    return resultOf(this.name, "ns", value, "a watch and the system calls alone", baseline, BAR);
  },
};
