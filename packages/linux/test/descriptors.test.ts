/** Descriptors in the wrong hands: closed twice, by others, reused, polled when they cannot be, inherited. */
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Channel, channelPair, Descriptor, fromFd, sharedMemory } from "@peerbuf/linux";
import { describe, expect, it } from "vitest";
import { libc } from "../src/sys/libc.ts";
import { POLL_IN, POLL_OUT, ready, watch } from "../src/sys/poller.ts";
import { openDescriptorCount, warmUp } from "./open-descriptors.ts";
import { codeOf, codeOfAsync } from "./refusal.ts";

const O_CREAT = 0o100;

describe.skipIf(process.platform !== "linux")("a descriptor", () => {
  it("is closed once, and used never after", () => {
    const descriptor = Descriptor.open("/dev/null", 0);
    descriptor.close();
    expect(codeOf(() => descriptor.close())).toBe("HANDLE_CLOSED");
    expect(codeOf(() => descriptor.number)).toBe("HANDLE_CLOSED");
    expect(codeOf(() => descriptor.release())).toBe("HANDLE_CLOSED");
    expect(codeOf(() => descriptor.duplicate())).toBe("HANDLE_CLOSED");
    descriptor[Symbol.dispose]();
  });

  it("closed by somebody else is lost when its number comes again, and never closes the newcomer", async () => {
    const lost: string[] = [];
    const listen = (warning: Error): number => lost.push(warning.message);
    process.on("warning", listen);
    const buffer = sharedMemory(4096, "robbed");
    const { number } = buffer.descriptor;
    libc().close(number);
    using newcomer = sharedMemory(8192, "newcomer");

    expect(newcomer.descriptor.number).toBe(number);
    expect(buffer.isOpen).toBe(false);
    expect(codeOf(() => buffer.close())).toBe("HANDLE_CLOSED");
    expect(codeOf(() => buffer.beginCpuAccess("read"))).toBe("HANDLE_CLOSED");
    buffer[Symbol.dispose]();
    expect(newcomer.withBytesSync("read", (bytes) => bytes.length)).toBe(8192);
    await new Promise(setImmediate);
    process.off("warning", listen);
    expect(lost.join()).toMatch(/"robbed" was closed by somebody else.*"newcomer"/);
  });

  it("whose number a shorter file got is not mapped: bytes past its end would end the process", () => {
    const buffer = sharedMemory(2 ** 20);
    const { number } = buffer.descriptor;
    libc().close(number);
    const file = join(mkdtempSync(join(tmpdir(), "peerbuf-")), "short");
    writeFileSync(file, "short");
    const newcomer = openSync(file, "r+");

    expect(newcomer).toBe(number);
    expect(codeOf(() => buffer.beginCpuAccess("write"))).toBe("HANDLE_CLOSED");
    buffer.descriptor.release();
    closeSync(newcomer);
    rmSync(dirname(file), { recursive: true });
  });

  it("closed by somebody else gives the kernel's errors, whatever is asked of it", () => {
    const buffer = sharedMemory(4096);
    const { number } = buffer.descriptor;
    libc().close(number);
    expect(codeOf(() => buffer.beginCpuAccess("read"))).toBe("SYSCALL_FAILED");
    expect(codeOf(() => buffer.duplicate())).toBe("SYSCALL_FAILED");
    expect(codeOf(() => fromFd(number))).toBe("SYSCALL_FAILED");
    buffer.close();
  });

  it("is no number that cannot be one", () => {
    for (const number of [-1, 0.5, Number.NaN, 2 ** 31, "1", null, undefined, {}, 1n]) {
      expect(codeOf(() => fromFd(number as number))).toBe("ARGUMENT_INVALID");
      expect(codeOf(() => new Descriptor(number as number, "it"))).toBe("ARGUMENT_INVALID");
      expect(codeOf(() => Descriptor.adopt(number as number, "it"))).toBe("ARGUMENT_INVALID");
    }
    expect(codeOf(() => Descriptor.open("/dev/null\0.txt", 0))).toBe("ARGUMENT_INVALID");
    expect(codeOf(() => Descriptor.open("/nowhere/at/all", 0))).toBe("SYSCALL_FAILED");
  });

  it("has one owner", () => {
    using descriptor = Descriptor.open("/dev/null", 0);
    expect(codeOf(() => Descriptor.adopt(descriptor.number, "it"))).toBe("ARGUMENT_INVALID");
    const given = Descriptor.adopt(descriptor.duplicate().release(), "given");
    given.close();
  });

  it("is not inherited by children, whatever it is of", async () => {
    await warmUp();
    const heldByChildren = (): string =>
      spawnSync("ls", ["/proc/self/fd"], { encoding: "utf8" }).stdout;
    const before = heldByChildren();
    using buffer = sharedMemory(4096);
    using copy = buffer.duplicate();
    using file = Descriptor.open("/tmp/peerbuf-inherited", O_CREAT | 2);
    const [channel, theirs] = channelPair();
    const far = new Channel(theirs);
    await channel.share({ buffer });
    const received = (await far.receive())?.buffers.get("buffer");
    const waiting = far.receive();

    expect(before).toContain("1\n");
    expect(heldByChildren()).toBe(before);
    expect(copy.isSameAs(buffer)).toBe(true);
    received?.close();
    far.close();
    await waiting;
    channel.close();
    file.close();
  });
});

describe.skipIf(process.platform !== "linux")("waiting for a descriptor", () => {
  it("that cannot be polled is refused", async () => {
    await warmUp();
    const before = openDescriptorCount();
    {
      using file = Descriptor.open(fileURLToPath(import.meta.url), 0);
      using memory = sharedMemory(4096);
      await expect(ready(file, POLL_IN)).rejects.toThrow(/EPERM/);
      await expect(ready(memory.descriptor, POLL_IN)).rejects.toThrow(/EPERM/);
      memory.close();
      file.close();
      expect(await codeOfAsync(ready(file, POLL_IN))).toBe("HANDLE_CLOSED");
    }
    expect(openDescriptorCount()).toBe(before);
  });

  it("may be done many times at once, and by closing it nobody loses the wait", async () => {
    const [channel, theirs] = channelPair();
    // More than the kernel lets one epoll descriptor within another have.
    const waits = Array.from({ length: 2000 }, () => ready(theirs, POLL_IN));
    const writable = ready(theirs, POLL_OUT);
    theirs.close();
    expect((await writable) & POLL_OUT).toBe(POLL_OUT);
    await channel.share({}, "wake up");
    for (const events of await Promise.all(waits)) {
      expect(events & POLL_IN).toBe(POLL_IN);
    }
    channel.close();
  });

  it("wakes the rest when a callback throws, and the error comes out of the event loop", async () => {
    const [channel, theirs] = channelPair();
    const thrown: unknown[] = [];
    const others = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.on("uncaughtException", (error) => thrown.push(error));
    let woken = 0;
    for (let count = 0; count < 50; count++) {
      watch(theirs, POLL_IN, () => {
        woken++;
        throw new Error(`callback ${count}`);
      });
    }
    await channel.share({}, 1);
    for (let turn = 0; turn < 1000 && thrown.length < 50; turn++) {
      await new Promise(setImmediate);
    }
    process.removeAllListeners("uncaughtException");
    for (const listener of others) {
      process.on("uncaughtException", listener);
    }
    expect(woken).toBe(50);
    expect(thrown.map((error) => (error as Error).message).sort()).toEqual(
      Array.from({ length: 50 }, (_, count) => `callback ${count}`).sort(),
    );
    channel.close();
    theirs.close();
  });

  it("may be given up in the callback of another, in any order", async () => {
    const [channel, theirs] = channelPair();
    const woken: number[] = [];
    const watching = Array.from({ length: 20 }, (_, index) =>
      watch(theirs, POLL_IN, () => {
        woken.push(index);
        for (const each of watching) {
          each.stop();
        }
      }),
    );
    await channel.share({}, 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(woken.length).toBe(1);
    channel.close();
    theirs.close();
  });
});

describe.skipIf(process.platform !== "linux")("a process that may open no more", () => {
  it("gets typed errors from everything, and works again when something is closed", () => {
    const script = fileURLToPath(new URL("few-descriptors.mjs", import.meta.url));
    const limited = ["-c", `ulimit -n 64; exec "${process.execPath}" "${script}"`];
    const { stdout, stderr, status } = spawnSync("sh", limited, {
      encoding: "utf8",
      timeout: 30_000,
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const [full, ...steps] = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(full).toEqual({
      filling: "SYSCALL_FAILED EMFILE",
      pair: "SYSCALL_FAILED EMFILE",
      share: "no error",
      receive: "MESSAGE_INVALID EBADMSG",
      wait: "WAIT_TIMED_OUT ETIME",
      looking: ["PLATFORM_MISSING ENODEV", "SYSCALL_FAILED EMFILE", "no error"],
      after: 1,
    });
    expect(steps.map(({ free }) => free)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(steps.map(({ leaked }) => leaked)).toEqual([0, 0, 0, 0, 0, 0]);
    const answers = new Set(steps.flatMap(({ said }) => said));
    expect([...answers].sort()).toEqual([
      "MESSAGE_INVALID EBADMSG",
      "SYSCALL_FAILED EMFILE",
      "no error",
    ]);
    expect(steps.at(-1).said, "what was refused before holds nothing").toEqual(
      Array(4).fill("no error"),
    );
  });
});
