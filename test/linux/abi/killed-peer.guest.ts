/** A process that has dma-bufs of ours and is killed: the kernel's own list of dma-bufs says what is left of them. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { channelPair, type Delivery } from "@peerbuf/linux";
import { expect, it } from "vitest";
import { anyDmaBuf } from "./any-dma-buf.ts";
import { knownBuffers } from "./kernel-view.ts";

const PEER = fileURLToPath(new URL("../../../packages/linux/test/peer.mjs", import.meta.url));
const LIMIT_MS = 200_000;

const fds = (): number => readdirSync("/proc/self/fd").length;

it.each(["before all", "in a bracket", "mapped", "shared"])(
  "killed at the step `%s` it leaves no dma-buf behind, and no descriptor here",
  async (step) => {
    const [channel, theirs] = channelPair();
    await channel.receive({ timeoutMs: 0 }).catch(() => undefined);
    const before = { fds: fds() - 2, buffers: knownBuffers().length };
    const child = spawn(process.execPath, [PEER, "dieAt", step], {
      stdio: ["ignore", "ignore", "ignore", theirs.number],
    });
    const ended = once(child, "close");
    theirs.close();
    const buffer = anyDmaBuf(65_536);
    await channel.share({ buffer }, step);
    buffer.close();
    expect(knownBuffers().length).toBe(before.buffers + 1);
    let delivery: Delivery | undefined;
    do {
      delivery = await channel.receive({ timeoutMs: LIMIT_MS });
      for (const received of delivery?.buffers.values() ?? []) {
        received.withBytesSync("read", (bytes) => bytes[0]);
        received.close();
      }
    } while (delivery !== undefined);
    channel.close();
    expect((await ended)[1]).toBe("SIGKILL");
    expect({ fds: fds(), buffers: knownBuffers().length }).toEqual(before);
  },
  LIMIT_MS,
);
