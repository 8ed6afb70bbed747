/**
 * Torture: many of everything, and everything returns to where it was, counted from /proc: descriptors, mappings,
 * memory. `PEERBUF_TORTURE=10` does ten times as much; the usual run is made to end in seconds.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Channel, channelPair, openHandles, sharedMemory } from "@peerbuf/linux";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  openDescriptorCount,
  residentBytes,
  sharedMappingCount,
  warmUp,
} from "./open-descriptors.ts";
import { codeOfAsync } from "./refusal.ts";

const TIMES = Number(process.env["PEERBUF_TORTURE"] ?? "1");
const BUFFERS = 100_000 * TIMES;
const WAITS = 10_000;
const MIB = 2 ** 20;
const PEER = fileURLToPath(new URL("peer.mjs", import.meta.url));

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

async function settledBytes(): Promise<number> {
  for (let turn = 0; turn < 3; turn++) {
    collectGarbage();
    await new Promise(setImmediate);
  }
  return residentBytes();
}

/** What a descriptor is of, to be compared: others of this process may come and go meanwhile. */
const ours = (): number => openHandles().length;

describe.skipIf(process.platform !== "linux")("100,000 buffers", () => {
  it("made, shared, changed at the other end and dropped leave nothing", async () => {
    await warmUp();
    const [near, theirs] = channelPair();
    const far = new Channel(theirs);
    const before = { descriptors: openDescriptorCount(), handles: ours() };
    let startBytes = 0;
    for (let round = 0; round < BUFFERS; round++) {
      const buffer = sharedMemory(4096, "tortured");
      await near.share({ buffer }, round);
      buffer.close();
      const received = (await far.receive())?.buffers.get("buffer");
      if (round % 64 === 0) {
        received?.withBytesSync("write", (bytes) => bytes.fill(round));
      }
      received?.close();
      if (round === BUFFERS / 10) {
        startBytes = await settledBytes();
      }
    }
    expect({ descriptors: openDescriptorCount(), handles: ours() }).toEqual(before);
    expect(sharedMappingCount("tortured")).toBe(0);
    expect((await settledBytes()) - startBytes).toBeLessThan(64 * MIB);
    near.close();
    far.close();
  });
});

describe.skipIf(process.platform !== "linux")("10,000 waits at once", () => {
  it("are all woken by their messages, or ended by their limit, an abort or a close; nothing is left", async () => {
    await warmUp();
    const before = openDescriptorCount();
    const pairs = Array.from({ length: WAITS / 4 }, () => {
      const [one, other] = channelPair();
      return { one, two: new Channel(other) };
    });
    const abort = new AbortController();
    const woken = pairs.map(({ one }) => one.receive());
    const queued = pairs.map(({ one }) => codeOfAsync(one.receive({ timeoutMs: 1 })));
    const aborted = pairs.map(({ two }) => codeOfAsync(two.receive({ signal: abort.signal })));
    const closed = pairs.map(({ two }) => two.receive());
    await new Promise(setImmediate);

    abort.abort();
    expect(new Set(await Promise.all(queued))).toEqual(new Set(["WAIT_TIMED_OUT"]));
    expect(new Set(await Promise.all(aborted))).toEqual(new Set(["WAIT_INTERRUPTED"]));
    await Promise.all(pairs.map(({ two }, index) => two.share({}, index)));
    expect((await Promise.all(woken)).map((delivery) => delivery?.meta)).toEqual(
      pairs.map((_, index) => index),
    );
    for (const { one } of pairs) {
      one.close();
    }
    expect(new Set(await Promise.all(closed))).toEqual(new Set([undefined]));
    for (const { two } of pairs) {
      two.close();
    }
    expect(openDescriptorCount()).toBe(before);
  });
});

/** Everything a peer does with buffers, in order. */
const STEPS: readonly string[] = [
  ...["before all", "received", "in a bracket", "mapped", "closed", "sharing", "shared", "blocked"],
];

describe.skipIf(process.platform !== "linux")("a peer that is killed", () => {
  /** A child with the other end, which adds one to all it is given. */
  function spawnPeer(...roles: string[]): { child: ChildProcess; channel: Channel } {
    const [channel, theirs] = channelPair();
    const child = spawn(process.execPath, [PEER, ...roles], {
      stdio: ["ignore", "ignore", "ignore", theirs.number],
    });
    theirs.close();
    return { child, channel };
  }

  it.each(STEPS)(
    "at the step `%s` costs a typed end, no descriptor and no mapping",
    async (step) => {
      await warmUp();
      await once(spawn("true"), "close");
      const before = openDescriptorCount();
      const { child, channel } = spawnPeer("dieAt", step);
      const ended = once(child, "close");
      const talk = async (): Promise<void> => {
        using buffer = sharedMemory(8192, "bereaved");
        await channel.share({ buffer }, step);
        if (step === "blocked") {
          await ended;
        }
        for (;;) {
          const delivery = await channel.receive({ timeoutMs: 20_000 });
          if (delivery === undefined) {
            return;
          }
          for (const received of delivery.buffers.values()) {
            received.withBytesSync("read", (bytes) => bytes[0]);
            received.close();
          }
        }
      };
      expect(await codeOfAsync(talk())).toBe("no error");
      expect(await codeOfAsync(channel.share({}, 1))).toBe("PEER_GONE");
      channel.close();
      expect((await ended)[1]).toBe("SIGKILL");
      expect(openDescriptorCount()).toBe(before);
      expect(sharedMappingCount("bereaved")).toBe(0);
    },
  );

  it("at any moment costs a typed end and no descriptor", async () => {
    await warmUp();
    await once(spawn("true"), "close");
    const before = openDescriptorCount();
    const moment = fc.record({ afterMessages: fc.nat(20), delayUs: fc.nat(3000) });
    await fc.assert(
      fc.asyncProperty(moment, async ({ afterMessages, delayUs }) => {
        const { child, channel } = spawnPeer("increment");
        const ended = once(child, "close");
        let done = 0;
        const talk = async (): Promise<void> => {
          for (;;) {
            using buffer = sharedMemory(8192, "bereaved");
            await channel.share({ buffer, again: buffer }, done);
            if ((await channel.receive()) === undefined) {
              return;
            }
            done++;
            if (done === afterMessages + 1) {
              setTimeout(() => child.kill("SIGKILL"), delayUs / 1000);
            }
          }
        };
        expect(["no error", "PEER_GONE"]).toContain(await codeOfAsync(talk()));
        channel.close();
        await ended;
        expect(openDescriptorCount()).toBe(before);
        expect(sharedMappingCount("bereaved")).toBe(0);
      }),
      { numRuns: 5 * TIMES },
    );
  });
});

describe.skipIf(process.platform !== "linux")("memory that runs short of nothing", () => {
  it("stays in bounds while brackets, views and waits are made under a busy garbage collector", async () => {
    await warmUp();
    const buffer = sharedMemory(MIB, "pressed");
    const [near, theirs] = channelPair();
    const far = new Channel(theirs);
    const startBytes = await settledBytes();
    for (let round = 0; round < 2000 * TIMES; round++) {
      const access = buffer.beginCpuAccess("write");
      const views = Array.from({ length: 20 }, (_, at) => access.bytes.subarray(at));
      views[round % 20]?.fill(round);
      const waiting = far.receive();
      await near.share({ buffer }, "x".repeat(1000));
      (await waiting)?.buffers.get("buffer")?.close();
      access.end();
      expect(views[0]?.length).toBe(0);
      if (round % 500 === 0) {
        collectGarbage();
      }
    }
    expect((await settledBytes()) - startBytes).toBeLessThan(64 * MIB);
    near.close();
    far.close();
    buffer.close();
    expect(sharedMappingCount("pressed")).toBe(0);
  });
});
