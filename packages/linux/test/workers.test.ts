/** Threads that end in the middle of everything: the process and the other threads go on. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
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

const LEFT = fileURLToPath(new URL("left-by-threads.mjs", import.meta.url));
const LONELY = fileURLToPath(new URL("lonely-threads.mjs", import.meta.url));
const TERMINATED = fileURLToPath(new URL("terminated-threads.mjs", import.meta.url));

/**
 * What a process says in which threads were terminated; it runs again when Node itself gave up: Node 20 aborts
 * now and then when a thread ends while V8 compiles for it (node_platform.cc), whatever the thread did.
 */
function terminatedWhile(what: string, program: string = TERMINATED): string {
  for (;;) {
    const { stdout, stderr, status } = spawnSync(process.execPath, [program, what], {
      encoding: "utf8",
    });
    if (status === 0 || !stderr.includes("node_platform.cc")) {
      return `${stdout}${status === 0 ? "" : stderr}`;
    }
  }
}

describe.skipIf(process.platform !== "linux")("a thread", () => {
  it.each(["waiting", "sharing"])("may be terminated while it is %s", (what) => {
    expect(terminatedWhile(what)).toBe("well 1\n");
  });

  it("may be terminated while it waits, and takes no code with it that the event loop still calls", () => {
    expect(terminatedWhile("waiting", LONELY)).toBe("well 1\n");
  });

  it("that is terminated leaves no descriptor and no mapping, nor do those that it started", () => {
    expect(JSON.parse(terminatedWhile("holding", LEFT))).toEqual({
      held: true,
      descriptors: 0,
      mappings: 0,
      peerSees: true,
      giftSees: true,
      mine: 4096,
    });
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
