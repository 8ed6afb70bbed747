/**
 * Peer process: another process, which is handed buffers, says what it sees in them and changes every byte.
 *
 * Its program is a text, so that it runs as it is from sources and from the built package.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { PeerbufError } from "@peerbuf/core";
import type { Channel, LinuxBuffer } from "@peerbuf/linux";
import type { Linux } from "./live-memory.ts";

/** Resolves the package as this file would; it has to be the built one, which Node can run. */
const PROGRAM = `
  const { createHash } = await import("node:crypto");
  const { createRequire } = await import("node:module");
  const { pathToFileURL } = await import("node:url");
  const linux = createRequire(${JSON.stringify(import.meta.url)}).resolve("@peerbuf/linux");
  const { Channel } = await import(pathToFileURL(linux).href);
  const channel = Channel.fromFd(3);
  for await (const { buffers } of channel) {
    const seen = [];
    for (const buffer of buffers.values()) {
      await buffer.withBytes("read-write", (bytes) => {
        seen.push(createHash("sha256").update(bytes).digest("hex"));
        for (let at = 0; at < bytes.length; at++) bytes[at] = ~bytes[at];
      });
      buffer.close();
    }
    await channel.share({}, seen);
  }
  process.exit();`;

/** Wall time for the other process to start and to answer. */
const ANSWER_MS = 60_000;

export class PeerProcess implements Disposable {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #channel: Channel;

  constructor({ channelPair }: Linux) {
    const [ours, theirs] = channelPair();
    this.#channel = ours;
    this.#child = spawn(process.execPath, ["--input-type=module", "--eval", PROGRAM], {
      stdio: ["ignore", "ignore", "ignore", theirs.number],
    });
    theirs.close();
    this.#child.on("error", () => ours[Symbol.dispose]());
    this.pid = this.#child.pid ?? 0;
  }

  /**
   * Hands the buffer over; resolves with the SHA-256 of what the other process saw, after it has turned
   * every bit. `PEER_GONE`, `WAIT_TIMED_OUT`.
   */
  async invert(buffer: LinuxBuffer): Promise<string> {
    await this.#channel.share({ buffer }, null, { timeoutMs: ANSWER_MS });
    const answer = await this.#channel.receive({ timeoutMs: ANSWER_MS });
    const [seen] = Array.isArray(answer?.meta) ? answer.meta : [];
    if (typeof seen !== "string") {
      throw new PeerbufError("PEER_GONE", `process ${this.pid} ended without an answer`);
    }
    return seen;
  }

  [Symbol.dispose](): void {
    this.#channel[Symbol.dispose]();
    this.#child.kill("SIGKILL");
  }
}
