// Ends threads in the middle of what its first argument says, and then uses the package itself.
import { Worker } from "node:worker_threads";
import { sharedMemory } from "@peerbuf/linux";

const WAITING = `
  const [ours, theirs] = channelPair();
  const buffer = sharedMemory(65536);
  const access = buffer.beginCpuAccess("write");
  const waits = [ours.receive(), ours.receive({ timeoutMs: 60_000 })];
  parentPort.postMessage("ready");
  await Promise.all(waits);`;

const SHARING = `
  const [ours, theirs] = channelPair();
  parentPort.postMessage("ready");
  for (;;) {
    const buffer = sharedMemory(4096);
    buffer.withBytesSync("write", (bytes) => bytes.fill(1));
    await ours.share({ buffer }, null, { timeoutMs: 1 }).catch(() => undefined);
    buffer.close();
  }`;

function start(code) {
  const worker = new Worker(
    `const { parentPort } = require("node:worker_threads");
     import("@peerbuf/linux").then(async ({ channelPair, sharedMemory }) => { ${code} });`,
    { eval: true },
  );
  return new Promise((resolve, reject) => {
    worker.once("message", () => resolve(worker));
    worker.once("error", reject);
  });
}

const code = process.argv[2] === "waiting" ? WAITING : SHARING;
const workers = await Promise.all([1, 2, 3, 4].map(() => start(code)));
for (const [index, worker] of workers.entries()) {
  await new Promise((resolve) => setTimeout(resolve, 3 * index));
  await worker.terminate();
}
const buffer = sharedMemory(4096);
buffer.withBytesSync("write", (bytes) => bytes.fill(1));
console.log(`well ${buffer.withBytesSync("read", (bytes) => bytes[4095])}`);
buffer.close();
