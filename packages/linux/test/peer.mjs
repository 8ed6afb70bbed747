// The other side of the sharing tests: a process of its own. What it does is its first argument.
import { Channel, connect, sharedMemory } from "@peerbuf/linux";

const [, , role, where] = process.argv;
const channel = where?.startsWith("/") ? connect(where) : Channel.fromFd(3);

const roles = {
  /** Adds one to every byte of what it is given, and says so. */
  async increment() {
    for await (const { meta, buffers } of channel) {
      for (const buffer of buffers.values()) {
        buffer.withBytesSync("read-write", (bytes) => {
          for (let at = 0; at < bytes.length; at++) {
            bytes[at] += 1;
          }
        });
        buffer.close();
      }
      await channel.share({}, { done: meta });
    }
  },
  /** Takes one message and dies without a word. */
  async die() {
    await channel.receive();
    process.kill(process.pid, "SIGKILL");
  },
  /** Dies without a word at the step that the first message names, or before it: at its first step. */
  async dieAt() {
    const stepOver = (step, wanted) => step === wanted && process.kill(process.pid, "SIGKILL");
    stepOver(process.argv[3] ?? "", "before all");
    const { meta: wanted, buffers } = await channel.receive();
    stepOver("received", wanted);
    const buffer = buffers.get("buffer");
    const access = buffer.beginCpuAccess("write");
    stepOver("in a bracket", wanted);
    access.bytes.fill(9);
    access.end();
    stepOver("mapped", wanted);
    const copy = buffer.duplicate();
    buffer.close();
    stepOver("closed", wanted);
    const own = sharedMemory(8192, "bereaved");
    const sent = channel.share({ own, copy }, "sent");
    stepOver("sharing", wanted);
    await sent;
    own.close();
    copy.close();
    stepOver("shared", wanted);
    for (;;) {
      await channel
        .share({ own: sharedMemory(8192, "bereaved") }, "x".repeat(10_000), { timeoutMs: 20 })
        .catch(() => stepOver("blocked", wanted));
    }
  },
};

await roles[role]();
