/** Arguments that no type would let pass, as a program without types may give them: typed errors, never a crash. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BlockDevice, Channel, channelPair, connect, Listener, sharedMemory } from "@peerbuf/linux";
import { describe, expect, it } from "vitest";
import { openDescriptorCount, warmUp } from "./open-descriptors.ts";
import { codeOf, codeOfAsync } from "./refusal.ts";

/** One of every kind of value there is. */
const ANYTHING: readonly unknown[] = [
  ...[undefined, null, true, Symbol("size"), "4096", [4096], {}, () => 4096],
  ...[4096n, Number.NaN, Number.POSITIVE_INFINITY, -4096, 4095, 4096.5, 2 ** 53, 2 ** 63, 0],
];

describe.skipIf(process.platform !== "linux")("values of the wrong kind", () => {
  it("are no size", () => {
    for (const size of ANYTHING) {
      expect(codeOf(() => sharedMemory(size as number))).toBe("SIZE_INVALID");
    }
  });

  it("are no name: not of a memfd, not of a buffer", async () => {
    await warmUp();
    const before = openDescriptorCount();
    using buffer = sharedMemory(4096);
    for (const name of [null, 5, {}, Symbol("name"), "a\0b", "x".repeat(250)]) {
      expect(codeOf(() => sharedMemory(4096, name as string))).toBe("ARGUMENT_INVALID");
      expect(codeOf(() => buffer.setName(name as string))).toBe("ARGUMENT_INVALID");
    }
    using longest = sharedMemory(4096, "x".repeat(249));
    longest.close();
    buffer.close();
    expect(codeOf(() => buffer.setName("late"))).toBe("HANDLE_CLOSED");
    expect(openDescriptorCount()).toBe(before);
  });

  it("are no path", () => {
    for (const path of [null, undefined, 5, {}, Symbol("path"), Buffer.from("/tmp/peerbuf-path")]) {
      expect(codeOf(() => new Listener(path as string))).toBe("ARGUMENT_INVALID");
      expect(codeOf(() => connect(path as string))).toBe("ARGUMENT_INVALID");
    }
  });

  it("are no drive, nor is a file, and nothing stays open", async () => {
    await warmUp();
    const before = openDescriptorCount();
    for (const path of [null, undefined, 5, {}, "a\0b"]) {
      expect(await codeOfAsync(BlockDevice.open(path as string))).toBe("ARGUMENT_INVALID");
    }
    const file = join(mkdtempSync("/var/tmp/peerbuf-"), "file");
    writeFileSync(file, "no drive");
    for (const path of [file, "/tmp", "/dev/null", "/nowhere"]) {
      expect(await codeOfAsync(BlockDevice.open(path))).toBe("SYSCALL_FAILED");
    }
    rmSync(dirname(file), { recursive: true });
    expect(openDescriptorCount()).toBe(before);
  });

  it("end no wait: neither as a time nor as a signal", async () => {
    const [channel, theirs] = channelPair();
    using far = new Channel(theirs);
    for (const timeoutMs of [
      5n,
      "5",
      null,
      {},
      Symbol("time"),
      Number.NaN,
      -1,
      2 ** 31,
      Infinity,
    ]) {
      const options = { timeoutMs } as { timeoutMs: number };
      expect(await codeOfAsync(channel.receive(options))).toBe("ARGUMENT_INVALID");
      expect(await codeOfAsync(channel.share({}, 1, options))).toBe("ARGUMENT_INVALID");
    }
    for (const signal of [null, {}, "stop", 5]) {
      const options = { timeoutMs: 5, signal } as unknown as { signal: AbortSignal };
      expect(await codeOfAsync(far.receive(options))).toBe("ARGUMENT_INVALID");
    }
    for (const options of [null, 5, "5", () => 5]) {
      expect(await codeOfAsync(channel.receive(options as object))).toBe("ARGUMENT_INVALID");
    }
    expect(await codeOfAsync(channel.receive({ timeoutMs: -0 }))).toBe("WAIT_TIMED_OUT");
    channel.close();
  });
});

/** Runs a program of its own; what it printed, or how it died. */
function outcomeOf(code: string, flags: readonly string[] = []): string {
  const cwd = fileURLToPath(new URL(".", import.meta.url));
  const program = `import { sharedMemory } from "@peerbuf/linux"; ${code}`;
  const argv = [...flags, "--no-warnings", "--input-type=module", "--eval", program];
  const { stdout, stderr, signal } = spawnSync(process.execPath, argv, { cwd, encoding: "utf8" });
  return signal === null ? `${stdout}${stderr}` : signal;
}

describe.skipIf(process.platform !== "linux")("a program that changed Error", () => {
  const WORK = `const buffer = sharedMemory(4096);
    buffer.withBytesSync("write", (bytes) => bytes.fill(1));
    buffer.close();
    console.log("well");`;

  it("has its handles all the same, and its own way of printing stacks afterwards", () => {
    expect(outcomeOf(WORK, ["--frozen-intrinsics"])).toBe("well\n");
    expect(outcomeOf(`Object.freeze(Error); ${WORK}`)).toBe("well\n");
    const own = `Error.stackTraceLimit = 3; Error.prepareStackTrace = () => "mine"; ${WORK}
      console.log(Error.stackTraceLimit, new Error("x").stack);`;
    expect(outcomeOf(own)).toBe("well\n3 mine\n");
    const broken = `Error.prepareStackTrace = () => { throw new Error("mine"); }; ${WORK}`;
    expect(outcomeOf(broken)).toBe("well\n");
  });
});
