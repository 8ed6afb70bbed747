/**
 * Linux peer: the other process of a measurement, which gives every message an answer.
 *
 * Its program is a text, so that it runs as it is from sources and from the built package.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Descriptor } from "@peerbuf/linux";

/** From here the programs find the packages that this one uses. */
const HERE: string = fileURLToPath(new URL(".", import.meta.url));

type PeerProgram = "sockets" | "messages";

/**
 * Programs by what they answer. Descriptor 3 is a channel and 4 a socket that is used by the system calls as they
 * are, both of one process, so that the scheduler treats them alike; Node's own messages are at 5.
 */
const PROGRAMS: Readonly<Record<PeerProgram, string>> = {
  sockets: `
    const { Channel, RawSocket, rawLookAndClose } = await import("@peerbuf/linux");
    const channel = Channel.fromFd(3);
    const socket = new RawSocket(4);
    const answerRaw = async () => {
      for (let fd = await socket.receive(); fd !== -2; fd = await socket.receive()) {
        if (fd >= 0) rawLookAndClose(fd);
        socket.send(-1);
      }
      process.exit();
    };
    answerRaw();
    for await (const { buffers } of channel) {
      for (const buffer of buffers.values()) buffer.close();
      await channel.share({});
    }`,
  messages: `process.on("message", ({ length }) => process.send(length));`,
};

/** Starts one; the sockets are its to keep. It runs until `stopPeer`. */
export function startPeer(program: PeerProgram, sockets: readonly Descriptor[] = []): ChildProcess {
  const [channel, raw] = sockets;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", PROGRAMS[program]], {
    stdio: [
      "ignore",
      "inherit",
      "inherit",
      channel?.number ?? "ignore",
      raw?.number ?? "ignore",
      "ipc",
    ],
    serialization: "advanced",
    cwd: HERE,
  });
  for (const socket of sockets) {
    socket.close();
  }
  return child;
}

export async function stopPeer(child: ChildProcess): Promise<void> {
  const ended = once(child, "close");
  child.kill("SIGKILL");
  await ended;
}
