/**
 * To process: memory of this machine, or of a GPU, handed to another process by its descriptor; no byte is copied.
 *
 * The other process says what it sees and turns every bit, so both ways are proved by bytes.
 */
import type { MemorySource } from "@peerbuf/linux";
import { LIVE_BYTES, liveBytes, onLiveGround } from "./live-ground.ts";
import type { Linux, LiveSource } from "./live-memory.ts";
import { type LiveTransfer, sha256 } from "./live-transfer.ts";
import { PeerProcess } from "./peer-process.ts";

export async function toProcess(
  linux: Linux,
  memory: MemorySource,
  source: LiveSource,
): Promise<LiveTransfer> {
  using peer = new PeerProcess(linux);
  const client = `process ${peer.pid}`;
  const who = { name: `${source.name} to another process`, client };
  const options = { memory, process: [client], allocate: () => source.allocate() };
  return await onLiveGround(linux, who, options, async ({ framework, buffer, memory: shared }) => {
    const { importer } = framework.openImporter(linux.kernelImporter, client, undefined).api;
    using attachment = buffer.attach(importer);
    using mapping = attachment.map("bidirectional");
    const { target, route } = mapping;
    const destination = await peer.invert(shared);
    const inverted = liveBytes().map((byte) => ~byte);
    const isBack = sha256(await buffer.read(0, LIVE_BYTES)) === sha256(inverted);
    const state = isBack && destination === sha256(liveBytes()) ? "arrived" : "failed";
    return { state, target, route, destination, decisions: [...attachment.decisions] };
  });
}
