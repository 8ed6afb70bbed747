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

type PeerProgram = "channel" | "raw" | "messages";

/** Programs by what they answer with. The socket is descriptor 3, Node's own messages are at 4. */
const PROGRAMS: Readonly<Record<PeerProgram, string>> = {
  channel: `
    const { Channel } = await import("@peerbuf/linux");
    const channel = Channel.fromFd(3);
    for await (const { buffers } of channel) {
      for (const buffer of buffers.values()) buffer.close();
      await channel.share({});
    }`,
  raw: `
    const { RawSocket, rawLookAndClose } = await import("@peerbuf/linux");
    const socket = new RawSocket(3);
    for (let fd = await socket.receive(); fd !== -2; fd = await socket.receive()) {
      if (fd >= 0) rawLookAndClose(fd);
      socket.send(-1);
    }
    process.exit();`,
  messages: `process.on("message", ({ length }) => process.send(length));`,
};

/** Starts one; the socket is its to keep. It ends when the other end of the socket is closed, or by `stopPeer`. */
export function startPeer(program: PeerProgram, socket?: Descriptor): ChildProcess {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", PROGRAMS[program]], {
    stdio: ["ignore", "inherit", "inherit", socket?.number ?? "ignore", "ipc"],
    serialization: "advanced",
    cwd: HERE,
  });
  socket?.close();
  return child;
}

export async function stopPeer(child: ChildProcess): Promise<void> {
  const ended = once(child, "close");
  child.kill("SIGKILL");
  await ended;
}
