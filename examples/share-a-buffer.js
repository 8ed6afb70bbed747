// One GPU buffer, read by an NVMe drive: who decided what, and where the bytes went.
import { createFramework, describeDecision } from "@peerbuf/core";
import { gpu } from "@peerbuf/exporters";
import { nvme } from "@peerbuf/importers";
import {
  createGpu,
  createMachine,
  createModelledPlatform,
  createNvmeController,
} from "@peerbuf/machine";
import { createJudge, readCapture, rulesForKernel } from "@peerbuf/topology";

const topology = await readCapture("packages/cli/captures/server-05");
const machine = createMachine({ topology });
machine.place("0000:13:00.0", createGpu({ vramBytes: 64 << 20 }));
machine.place("0000:16:00.0", createNvmeController());

const platform = createModelledPlatform(machine);
const judge = createJudge(topology, rulesForKernel("6.12"));
const framework = createFramework({ platform, judge });
const vram = framework.openExporter(gpu, "0000:13:00.0", undefined);
const drive = framework.openImporter(nvme, "0000:16:00.0", undefined);

const buffer = vram.allocate(1 << 20, { name: "weights" });
await buffer.write(0, new TextEncoder().encode("bytes of a GPU"));
const { negotiated } = await drive.api.write(buffer, { lba: 0 });

console.log(negotiated.decisions.map(describeDecision).join("\n"));
console.log(`the bytes were in ${negotiated.target} memory and went by ${negotiated.route}`);

buffer.close();
framework.close(); // Throws if anything was not given back, and names it.
