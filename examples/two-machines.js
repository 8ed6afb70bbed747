// Two machines in a harness: GPU memory on one to an NVMe drive on the other, and what host memory had to do with it.
import { openScenario } from "peerbuf";

const run = await openScenario("examples/two-machines.yaml");
const { arrived, sha256, hostMemory } = await run.transfer("checkpoint");

console.log(arrived, sha256.source === sha256.destination ? "the hashes are equal" : "different");
for (const { machine, deviceBytes } of hostMemory) {
  console.log(
    `machine ${machine}: ${deviceBytes} bytes in host memory, of commands and completions`,
  );
}
await run.close(); // Throws if anything was not given back, and names it.
