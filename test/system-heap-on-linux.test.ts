/** The system heap's contract on the kernel that runs here: its copies to an importer's memory are the processor's. */
import { systemHeap } from "@peerbuf/exporters";
import { describeContract, exporterContract } from "@peerbuf/testkit";
import { describe, it } from "vitest";
import { linuxWorld } from "./contract/linux-world.ts";

describe.skipIf(process.platform !== "linux")("on real Linux", () => {
  describeContract(
    exporterContract(systemHeap, {}, () => linuxWorld()),
    { describe, it },
  );
});
