/** Whatever a user's code throws, wherever it is called: it comes out where it belongs, and nothing stays behind. */
import {
  Channel,
  channelPair,
  type Delivery,
  MonotonicClock,
  openHandles,
  sharedMemory,
} from "@peerbuf/linux";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openDescriptorCount, warmUp } from "./open-descriptors.ts";
import { codeOfAsync } from "./refusal.ts";

const isElsewhere = process.platform !== "linux";

/** What came out of the event loop, for nobody else to catch. */
const loose: string[] = [];
const catchLoose = (error: unknown): number => loose.push((error as Error).message);
let others: NodeJS.UncaughtExceptionListener[] = [];
let before: unknown;

const held = (): unknown => ({
  descriptors: openDescriptorCount(),
  handles: openHandles().filter(({ what }) => !what.includes("poller")).length,
});

beforeEach(async () => {
  if (isElsewhere) {
    return;
  }
  await warmUp();
  before = held();
  loose.length = 0;
  others = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", catchLoose);
});

afterEach(async () => {
  if (isElsewhere) {
    return;
  }
  await new Promise(setImmediate);
  process.removeAllListeners("uncaughtException");
  for (const listener of others) {
    process.on("uncaughtException", listener);
  }
  expect(held()).toEqual(before);
});

const fail = (): never => {
  throw new Error("the user's");
};

describe.skipIf(isElsewhere)("an error in", () => {
  it("work on bytes ends the bracket, nested ones too, and is the caller's", async () => {
    using buffer = sharedMemory(4096);
    const nested = (): never =>
      buffer.withBytesSync("read", () => buffer.withBytesSync("write", fail));
    expect(nested).toThrow("the user's");
    await expect(buffer.withBytes("write", fail)).rejects.toThrow("the user's");
    await expect(buffer.withBytes("write", async () => fail())).rejects.toThrow("the user's");
    buffer.close();
    expect(loose).toEqual([]);
  });

  it("what a message is made of sends nothing", async () => {
    const [channel, theirs] = channelPair();
    using far = new Channel(theirs);
    using buffer = sharedMemory(4096);
    const meta = { toJSON: fail } as unknown as string;
    expect(await codeOfAsync(channel.share({ buffer }, meta))).toBe("ARGUMENT_INVALID");
    const buffers = Object.defineProperty({}, "buffer", { get: fail, enumerable: true });
    await expect(channel.share(buffers)).rejects.toThrow("the user's");
    expect(await codeOfAsync(far.receive({ timeoutMs: 5 }))).toBe("WAIT_TIMED_OUT");
    channel.close();
  });

  it("a loop over messages leaves the channel as it is: the next receive has the next one", async () => {
    const [channel, theirs] = channelPair();
    using far = new Channel(theirs);
    for (const count of [1, 2, 3]) {
      using buffer = sharedMemory(4096);
      await far.share({ buffer }, count);
    }
    const closeAll = ({ buffers }: Delivery): void => {
      for (const buffer of buffers.values()) {
        buffer.close();
      }
    };
    const loop = async (): Promise<void> => {
      for await (const delivery of channel) {
        closeAll(delivery);
        fail();
      }
    };
    await expect(loop()).rejects.toThrow("the user's");
    await expect(loop()).rejects.toThrow("the user's");
    const third = await channel.receive();
    expect(third?.meta).toBe(3);
    closeAll(third as Delivery);
    channel.close();
  });

  it("somebody else's listener of the same signal ends no wait otherwise than by the abort", async () => {
    const [channel, theirs] = channelPair();
    const abort = new AbortController();
    abort.signal.addEventListener("abort", fail);
    const waits = [1, 2, 3].map(() => codeOfAsync(channel.receive({ signal: abort.signal })));
    abort.abort();
    expect(await Promise.all(waits)).toEqual(Array(3).fill("WAIT_INTERRUPTED"));
    channel.close();
    theirs.close();
    await new Promise(setImmediate);
    expect(loose).toEqual(["the user's"]);
  });

  it("an event of the clock comes out of the event loop, and the next events run", async () => {
    const clock = new MonotonicClock();
    const ran: number[] = [];
    clock.schedule(0, fail);
    clock.schedule(1000, () => ran.push(1));
    clock.schedule(1000, fail);
    await new Promise<void>((done) => {
      clock.schedule(2_000_000, done);
    });
    expect(ran).toEqual([1]);
    expect(loose).toEqual(["the user's", "the user's"]);
  });
});
