/** Buffers handed to other processes and threads: no byte is copied, and nothing of a hostile peer is kept. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { Channel, channelPair, Listener, sharedMemory } from "@peerbuf/linux";
import { describe, expect, it } from "vitest";
import { openDescriptorCount, warmUp } from "./open-descriptors.ts";

const PEER = fileURLToPath(new URL("peer.mjs", import.meta.url));

/** A child with the other end as its descriptor 3. */
function spawnPeer(role: string): { readonly child: ChildProcess; readonly channel: Channel } {
  const [channel, theirs] = channelPair();
  const stdio = ["ignore", "inherit", "inherit", theirs.number] as const;
  const child = spawn(process.execPath, [PEER, role], { stdio: [...stdio] });
  theirs.close();
  return { child, channel };
}

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "no error",
    (error: { code?: unknown }) => error.code,
  );

describe.skipIf(process.platform !== "linux")("a buffer shared with a child process", () => {
  it("is changed there and seen here, whatever its size, without a copy", async () => {
    await warmUp();
    const before = openDescriptorCount();
    const { child, channel } = spawnPeer("increment");
    for (const sizeBytes of [4096, 64 << 20]) {
      using buffer = sharedMemory(sizeBytes);
      await channel.share({ picture: buffer }, { sizeBytes });
      const answer = await channel.receive();
      expect(answer?.meta).toEqual({ done: { sizeBytes } });
      expect(buffer.withBytesSync("read", (bytes) => [bytes[0], bytes[sizeBytes - 1]])).toEqual([
        1, 1,
      ]);
    }
    channel.close();
    await once(child, "exit");
    expect(openDescriptorCount()).toBe(before);
  });

  it("may be closed here at once: the message keeps it", async () => {
    const { child, channel } = spawnPeer("increment");
    const buffer = sharedMemory(4096);
    const copy = buffer.duplicate();
    await channel.share({ buffer });
    buffer.close();
    await channel.receive();
    expect(copy.withBytesSync("read", (bytes) => bytes[7])).toBe(1);
    copy.close();
    channel.close();
    await once(child, "exit");
  });

  it("is given back when the child is killed, and the channel says that it is gone", async () => {
    const before = openDescriptorCount();
    const { child, channel } = spawnPeer("die");
    {
      using buffer = sharedMemory(4096);
      await channel.share({ buffer });
      expect(await channel.receive()).toBeUndefined();
      expect(await codeOf(channel.share({ buffer }))).toBe("PEER_GONE");
    }
    channel.close();
    await once(child, "exit");
    expect(openDescriptorCount()).toBe(before);
  });
});

describe.skipIf(process.platform !== "linux")("unrelated processes", () => {
  it("meet at a path", async () => {
    const folder = mkdtempSync(join(tmpdir(), "peerbuf-"));
    using listener = new Listener(join(folder, "socket"));
    const child = spawn(process.execPath, [PEER, "increment", listener.path], { stdio: "inherit" });
    using channel = await listener.accept({ timeoutMs: 20_000 });
    using buffer = sharedMemory(4096);
    await channel.share({ buffer });
    await channel.receive();
    expect(buffer.withBytesSync("read", (bytes) => bytes[0])).toBe(1);
    channel.close();
    await once(child, "exit");
    listener.close();
    rmSync(folder, { recursive: true });
  });
});

describe.skipIf(process.platform !== "linux")("a worker thread", () => {
  it("takes a channel by its number", async () => {
    const [channel, theirs] = channelPair();
    const code = `
      const { workerData } = require("node:worker_threads");
      import("@peerbuf/linux").then(async ({ Channel }) => {
        const channel = Channel.fromFd(workerData);
        const { buffers } = await channel.receive();
        const buffer = buffers.get("buffer");
        buffer.withBytesSync("write", (bytes) => bytes.fill(9));
        buffer.close();
        await channel.share({}, "done");
        channel.close();
      });`;
    const worker = new Worker(code, { eval: true, workerData: theirs.release(), execArgv: [] });
    worker.on("error", (error) => console.error(error));
    const ended = once(worker, "exit");
    using buffer = sharedMemory(4096);
    await channel.share({ buffer });
    expect((await channel.receive())?.meta).toBe("done");
    expect(buffer.withBytesSync("read", (bytes) => bytes[4095])).toBe(9);
    channel.close();
    await ended;
  });
});

describe.skipIf(process.platform !== "linux")("a channel", () => {
  it("keeps messages apart and in order, and waits while the peer does not read", async () => {
    const [ours, theirs] = channelPair();
    using far = new Channel(theirs);
    const text = "x".repeat(20_000);
    const sends = Array.from({ length: 100 }, (_, index) => ours.share({}, { index, text }));
    for (let index = 0; index < 100; index++) {
      const delivery = await far.receive();
      expect(delivery?.meta).toEqual({ index, text });
    }
    await Promise.all(sends);
    ours.close();
    expect(await far.receive()).toBeUndefined();
  });

  it("carries as many buffers as the kernel lets through, and refuses one more", async () => {
    const [ours, theirs] = channelPair();
    using far = new Channel(theirs);
    using buffer = sharedMemory(4096);
    const many = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`b${index}`, buffer]));
    await ours.share(many(253));
    const delivery = await far.receive();
    expect(delivery?.buffers.size).toBe(253);
    for (const copy of delivery?.buffers.values() ?? []) {
      copy.close();
    }
    expect(await codeOf(ours.share(many(254)))).toBe("ARGUMENT_INVALID");
    ours.close();
  });

  it("ends a wait by its limit or an abort, and goes on afterwards", async () => {
    const [ours, theirs] = channelPair();
    using far = new Channel(theirs);
    expect(await codeOf(far.receive({ timeoutMs: 5 }))).toBe("WAIT_TIMED_OUT");
    expect(await codeOf(far.receive({ signal: AbortSignal.abort() }))).toBe("WAIT_INTERRUPTED");
    await ours.share({}, 1);
    expect((await far.receive())?.meta).toBe(1);
    ours.close();
  });
});

describe.skipIf(process.platform !== "linux")("a number that is no channel", () => {
  it("is refused when it is the pipe of Node's own messages", async () => {
    const code =
      'import("@peerbuf/linux").then(({ Channel }) => { try { Channel.fromFd(3); } catch (error) { process.send(error.code); } })';
    const child = spawn(process.execPath, ["--input-type=module", "--eval", code], {
      cwd: dirname(PEER),
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const [answer] = await once(child, "message");
    expect(answer).toBe("ARGUMENT_INVALID");
    child.kill("SIGKILL");
    await once(child, "close");
  });
});
