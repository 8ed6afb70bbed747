// The other side of the sharing tests: a process of its own. What it does is its first argument.
import { Channel, connect } from "@peerbuf/linux";

const [, , role, where] = process.argv;
const channel = where === undefined ? Channel.fromFd(3) : connect(where);

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
};

await roles[role]();
