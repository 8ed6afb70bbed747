// Ends threads that wait, while nobody else in this process has this package, nor its native code.
import { Worker } from "node:worker_threads";

const CODE = `
  import("@peerbuf/linux").then(async ({ channelPair }) => {
    const [ours, theirs] = channelPair();
    const wait = ours.receive();
    require("node:worker_threads").parentPort.postMessage("waiting");
    await wait;
  });`;

for (let count = 0; count < 3; count++) {
  const worker = new Worker(CODE, { eval: true });
  await new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  await worker.terminate();
}
console.log("well 1");
