// Threads that are terminated with descriptors and mappings open: says how many of each the process has more than
// before they were started, and that what they gave away is open.
import { readdirSync, readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { Channel, channelPair, sharedMemory } from "@peerbuf/linux";

const counts = () => ({
  // Without what the count itself opens.
  descriptors: readdirSync("/proc/self/fd").filter((name) => Number(name) > 2).length,
  mappings: readFileSync("/proc/self/maps", "utf8").split("memfd:held").length - 1,
});

const HOLDER = `
  const { parentPort, Worker, workerData } = require("node:worker_threads");
  import("@peerbuf/linux").then(({ channelPair, Channel, sharedMemory }) => {
    globalThis.held = [];
    for (let count = 0; count < 50; count++) {
      const buffer = sharedMemory(4096, "held");
      const access = buffer.beginCpuAccess("write");
      access.bytes[0] = 1;
      held.push(buffer, access, channelPair());
    }
    const [waiting, other] = channelPair();
    held.push(waiting.receive(), waiting.receive({ timeoutMs: 60_000 }), other);
    if (workerData?.channel !== undefined) held.push(Channel.fromFd(workerData.channel));
    if (workerData?.depth > 0) {
      const inner = new Worker(workerData.code, { eval: true, workerData: { ...workerData, channel: undefined, depth: workerData.depth - 1 } });
      inner.once("message", () => parentPort.postMessage("ready"));
    } else if (workerData?.gives) {
      const [kept, given] = channelPair();
      held.push(kept);
      parentPort.postMessage(given.release());
    } else parentPort.postMessage("ready");
  });`;

async function holder(workerData) {
  const worker = new Worker(HOLDER, { eval: true, workerData: { ...workerData, code: HOLDER } });
  const said = await new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  return { worker, said };
}

// This thread has handles before, during and after: they stay.
const mine = sharedMemory(4096, "mine");
await (await holder({ depth: 0 })).worker.terminate();
const before = counts();

const [ours, theirs] = channelPair();
const one = await holder({ depth: 1, channel: theirs.release() });
const other = await holder({ depth: 0 });
const during = counts();
const giver = await holder({ depth: 0, gives: true });
for (const { worker } of [one, other, giver]) {
  await worker.terminate();
}
// A number that was given away is nobody's until it is taken over: it must not be closed.
const gift = Channel.fromFd(giver.said);
await new Promise((resolve) => setTimeout(resolve, 50));
console.log(
  JSON.stringify({
    held:
      during.descriptors - before.descriptors > 400 && during.mappings - before.mappings === 150,
    descriptors: counts().descriptors - before.descriptors - 2,
    mappings: counts().mappings - before.mappings,
    peerSees: await ours.receive().then((delivery) => delivery === undefined),
    giftSees: await gift.receive().then((delivery) => delivery === undefined),
    mine: mine.withBytesSync("read", (bytes) => bytes.length),
  }),
);
ours.close();
gift.close();
mine.close();
