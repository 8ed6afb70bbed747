/** A channel that is closed, limited, interrupted or copied while something is underway. */
import { spawn } from "node:child_process";
import { getEventListeners, once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Channel, channelPair, connect, Listener, sharedMemory } from "@peerbuf/linux";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openDescriptorCount, warmUp } from "./open-descriptors.ts";
import { codeOfAsync } from "./refusal.ts";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const TEXT = "x".repeat(20_000);
let before: number;

beforeEach(async () => {
  await warmUp();
  before = openDescriptorCount();
});

afterEach(() => expect(openDescriptorCount()).toBe(before));

/** Fills the socket, so that whoever shares next has to wait; what did not fit is waiting already. */
function fill(channel: Channel): Promise<string>[] {
  return Array.from({ length: 40 }, () => codeOfAsync(channel.share({}, TEXT)));
}

describe.skipIf(process.platform !== "linux")("closing a channel", () => {
  it("ends a receive that waits, and those behind it, with nothing", async () => {
    const [ours, theirs] = channelPair();
    const waiting = [ours.receive(), ours.receive(), ours.receive()];
    await new Promise(setImmediate);
    ours.close();
    expect(await Promise.all(waiting)).toEqual([undefined, undefined, undefined]);
    expect(await codeOfAsync(ours.receive())).toBe("HANDLE_CLOSED");
    theirs.close();
  });

  it("ends a loop over its messages", async () => {
    const [ours, theirs] = channelPair();
    using far = new Channel(theirs);
    await far.share({}, 1);
    const seen: unknown[] = [];
    for await (const { meta } of ours) {
      seen.push(meta);
      setImmediate(() => ours.close());
    }
    expect(seen).toEqual([1]);
  });

  it("ends a share that waits for room, and gives back its descriptors", async () => {
    const [ours, theirs] = channelPair();
    const filling = fill(ours);
    using buffer = sharedMemory(4096);
    const waiting = codeOfAsync(ours.share({ buffer }));
    await new Promise(setImmediate);
    ours.close();
    expect(await waiting).toBe("HANDLE_CLOSED");
    expect(buffer.isOpen).toBe(true);
    expect(new Set(await Promise.all(filling))).toEqual(new Set(["no error", "HANDLE_CLOSED"]));
    theirs.close();
  });

  it("of a buffer that waits to be sent changes nothing: it arrives as it was", async () => {
    const [ours, theirs] = channelPair();
    using far = new Channel(theirs);
    const filling = fill(ours);
    const buffer = sharedMemory(4096);
    const meta = { count: 1 };
    const waiting = ours.share({ buffer }, meta);
    buffer.withBytesSync("write", (bytes) => bytes.fill(8));
    buffer.close();
    meta.count = 2;
    for (const _ of filling) {
      await far.receive();
    }
    const delivery = await far.receive();
    const received = delivery?.buffers.get("buffer");
    expect(delivery?.meta).toEqual({ count: 1 });
    expect(received?.withBytesSync("read", (bytes) => bytes[4095])).toBe(8);
    received?.close();
    await Promise.all([waiting, ...filling]);
    ours.close();
  });

  it("is seen by the peer, who first gets all that was sent, also when it was not listened to", async () => {
    const [ours, theirs] = channelPair();
    using far = new Channel(theirs);
    await far.share({}, "never read");
    await ours.share({}, 1);
    await ours.share({}, 2);
    ours.close();
    expect((await far.receive())?.meta).toBe(1);
    expect((await far.receive())?.meta).toBe(2);
    expect(await far.receive()).toBeUndefined();
    expect(await codeOfAsync(far.share({}, 3))).toBe("PEER_GONE");
  });

  it("is seen by the peer even while a child of ours still has a copy of the socket", async () => {
    const [ours, theirs] = channelPair();
    using far = new Channel(theirs);
    const child = spawn("sleep", ["60"], { stdio: ["ignore", "ignore", "ignore", theirs.number] });
    await once(child, "spawn");
    const waiting = far.receive({ timeoutMs: 10_000 });
    ours.close();
    expect(await waiting).toBeUndefined();
    child.kill("SIGKILL");
    await once(child, "exit");
  });
});

describe.skipIf(process.platform !== "linux")("limits", () => {
  it("hold for a receive that waits behind another, and the next one passes", async () => {
    const [ours, theirs] = channelPair();
    using far = new Channel(theirs);
    const first = ours.receive();
    const second = codeOfAsync(ours.receive({ timeoutMs: 5 }));
    const abort = new AbortController();
    const third = codeOfAsync(ours.receive({ signal: abort.signal }));
    const fourth = ours.receive();
    expect(await second).toBe("WAIT_TIMED_OUT");
    abort.abort();
    expect(await third).toBe("WAIT_INTERRUPTED");
    await far.share({}, "first");
    await far.share({}, "fourth");
    expect((await first)?.meta).toBe("first");
    expect((await fourth)?.meta).toBe("fourth");
    ours.close();
  });

  it("hold for a share while the peer does not read", async () => {
    const [ours, theirs] = channelPair();
    using far = new Channel(theirs);
    const filling = fill(ours);
    expect(await codeOfAsync(ours.share({}, 1, { timeoutMs: 5 }))).toBe("WAIT_TIMED_OUT");
    for (let count = 0; count < 40; count++) {
      await far.receive();
    }
    expect(new Set(await Promise.all(filling))).toEqual(new Set(["no error"]));
    ours.close();
  });

  it("by one signal for a thousand waits are one listener, which goes with the last of them", async () => {
    const [ours, theirs] = channelPair();
    const abort = new AbortController();
    const listeners = (): number => getEventListeners(abort.signal, "abort").length;
    const options = { signal: abort.signal };
    const waits = Array.from({ length: 1000 }, () => codeOfAsync(ours.receive(options)));
    const short = codeOfAsync(ours.receive({ ...options, timeoutMs: 1 }));
    await new Promise(setImmediate);
    expect(listeners()).toBe(1);
    expect(await short).toBe("WAIT_TIMED_OUT");
    expect(listeners()).toBe(1);
    abort.abort();
    expect(new Set(await Promise.all(waits))).toEqual(new Set(["WAIT_INTERRUPTED"]));
    expect(listeners()).toBe(0);
    ours.close();
    theirs.close();
  });

  it("leave neither a timer nor a listener when what was waited for came", async () => {
    const [ours, theirs] = channelPair();
    using far = new Channel(theirs);
    const { signal } = new AbortController();
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    const timersBefore = timers();
    const waiting = ours.receive({ signal, timeoutMs: 3_600_000 });
    await new Promise(setImmediate);
    expect([timers(), getEventListeners(signal, "abort").length]).toEqual([timersBefore + 1, 1]);
    await far.share({}, 1);
    expect((await waiting)?.meta).toBe(1);
    expect([timers(), getEventListeners(signal, "abort").length]).toEqual([timersBefore, 0]);
    ours.close();
  });

  it("refuse a signal that is over, even where nothing would have to be waited for", async () => {
    const [ours, theirs] = channelPair();
    const signal = AbortSignal.abort();
    expect(await codeOfAsync(ours.share({}, 1, { signal }))).toBe("WAIT_INTERRUPTED");
    using buffer = sharedMemory(4096);
    expect(await codeOfAsync(buffer.idle("read", { signal }))).toBe("WAIT_INTERRUPTED");
    ours.close();
    theirs.close();
  });
});

describe.skipIf(process.platform !== "linux")("an inherited channel", () => {
  it("is not handed on to the child's own children: it ends when the child does", async () => {
    const [ours, theirs] = channelPair();
    const code = `
      const { spawn } = require("node:child_process");
      import("@peerbuf/linux").then(async ({ Channel }) => {
        const channel = Channel.fromFd(3);
        const grandchild = spawn("sh", ["-c", "ls -l /proc/self/fd; sleep 60"], { detached: true });
        grandchild.stdout.once("data", async (text) => {
          await channel.share({}, { pid: grandchild.pid, holds: String(text) });
          process.kill(process.pid, "SIGKILL");
        });
      });`;
    const stdio = ["ignore", "inherit", "inherit", theirs.number] as const;
    const child = spawn(process.execPath, ["--eval", code], { cwd: HERE, stdio: [...stdio] });
    theirs.close();

    const said = (await ours.receive())?.meta;
    const { pid, holds } = said as unknown as { pid: number; holds: string };
    expect(holds).not.toMatch(/ 3 -> socket/);
    expect(await ours.receive({ timeoutMs: 10_000 })).toBeUndefined();

    process.kill(pid, "SIGKILL");
    ours.close();
    await once(child, "close");
  });
});

describe.skipIf(process.platform !== "linux")("a listener", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "peerbuf-"));
  });

  afterEach(() => rmSync(folder, { recursive: true }));

  it("gives each of several who wait another peer", async () => {
    using listener = new Listener(join(folder, "socket"));
    const waiting = [listener.accept(), listener.accept(), listener.accept()];
    const peers = waiting.map(() => connect(listener.path));
    const accepted = await Promise.all(waiting);
    await Promise.all(accepted.map((channel, index) => channel.share({}, index)));
    const heard = await Promise.all(peers.map((peer) => peer.receive()));
    expect(heard.map((delivery) => delivery?.meta).sort()).toEqual([0, 1, 2]);
    for (const channel of [...accepted, ...peers]) {
      channel.close();
    }
  });

  it("that is closed ends who waits for it", async () => {
    const listener = new Listener(join(folder, "socket"));
    const waiting = codeOfAsync(listener.accept());
    await new Promise(setImmediate);
    listener.close();
    expect(await waiting).toBe("HANDLE_CLOSED");
    expect(existsSync(listener.path)).toBe(false);
    expect(await codeOfAsync((async () => connect(listener.path))())).toBe("SYSCALL_FAILED");
  });

  it("leaves a path alone that is not its own any more", () => {
    const path = join(folder, "socket");
    const listener = new Listener(path);
    rmSync(path);
    writeFileSync(path, "somebody's");
    listener.close();
    expect(existsSync(path)).toBe(true);
    const gone = new Listener(join(folder, "other"));
    rmSync(gone.path);
    gone.close();
  });

  it("refuses paths that are none", async () => {
    for (const path of ["", "x".repeat(108), "a\0b"]) {
      expect(await codeOfAsync((async () => new Listener(path))())).toBe("ARGUMENT_INVALID");
      expect(await codeOfAsync((async () => connect(path))())).toBe("ARGUMENT_INVALID");
    }
  });
});
