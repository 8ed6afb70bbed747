/** Threads that end in the middle of everything: the process and the other threads go on. */
import { Worker } from "node:worker_threads";
import { sharedMemory } from "@peerbuf/linux";
import { describe, expect, it } from "vitest";
import { openDescriptorCount } from "./open-descriptors.ts";

const ANYWHERE = 'import("@peerbuf/linux").then(async ({ channelPair, sharedMemory }) => {';

/** Runs code in a thread until it says something or ends. */
function start(code: string): { worker: Worker; said: Promise<unknown>; ended: Promise<number> } {
  const text = `const { parentPort } = require("node:worker_threads");
    ${ANYWHERE} ${code} });`;
  const worker = new Worker(text, { eval: true, execArgv: [] });
  const said = new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  const ended = new Promise<number>((resolve) => worker.once("exit", resolve));
  return { worker, said, ended };
}

const WAITING = `
  const [ours, theirs] = channelPair();
  const buffer = sharedMemory(65536);
  const access = buffer.beginCpuAccess("write");
  const waits = [ours.receive(), ours.receive({ timeoutMs: 60_000 })];
  parentPort.postMessage("waiting");
  await Promise.all(waits);`;

describe.skipIf(process.platform !== "linux")("a thread", () => {
  it("may be terminated in mid-wait, under an open bracket", async () => {
    for (let round = 0; round < 5; round++) {
      const { worker, said, ended } = start(WAITING);
      expect(await said).toBe("waiting");
      await worker.terminate();
      await ended;
    }
    using buffer = sharedMemory(4096);
    expect(buffer.withBytesSync("write", (bytes) => bytes.fill(1)[4095])).toBe(1);
  });

  it("may be terminated at any moment of sharing, many at once", async () => {
    const busy = `
      const [ours, theirs] = channelPair();
      parentPort.postMessage("busy");
      for (;;) {
        const buffer = sharedMemory(4096);
        buffer.withBytesSync("write", (bytes) => bytes.fill(1));
        await ours.share({ buffer }, null, { timeoutMs: 1 }).catch(() => undefined);
        buffer.close();
      }`;
    const running = Array.from({ length: 4 }, () => start(busy));
    await Promise.all(running.map(({ said }) => said));
    for (const [index, { worker }] of running.entries()) {
      await new Promise((resolve) => setTimeout(resolve, 3 * index));
      await worker.terminate();
    }
    await Promise.all(running.map(({ ended }) => ended));
  });

  it("that ends by process.exit, or by an error in a callback, gives back its waits", async () => {
    for (const end of ["process.exit(0)", 'setImmediate(() => { throw new Error("its own"); })']) {
      const before = openDescriptorCount();
      const { said, ended } = start(`
        const [ours, theirs] = channelPair();
        const wait = ours.receive({ timeoutMs: 60_000 });
        await new Promise(setImmediate);
        theirs.close();
        await wait;
        ours.close();
        const [one, other] = channelPair();
        one.receive();
        one.receive();
        one.close();
        other.close();
        ${end};
      `);
      said.catch(() => undefined);
      await ended;
      await new Promise(setImmediate);
      expect(openDescriptorCount()).toBeLessThanOrEqual(before);
    }
  });
});
