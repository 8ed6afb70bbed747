/** The contract of platforms, as the modelled machine keeps it, on real dma-bufs: unchanged, with every kind of memory. */
import { describeContract, platformContract } from "@peerbuf/testkit";
import { describe, it } from "vitest";
import { linuxWorld } from "../../contract/linux-world.ts";
import { hasSystemHeap } from "./any-dma-buf.ts";

for (const memory of ["dma-heap", "udmabuf", "memfd"] as const) {
  const contract = platformContract(`linux, ${memory}`, () => linuxWorld({ memory }));
  describe.skipIf(memory === "dma-heap" && !hasSystemHeap)(`on ${memory}`, () => {
    describeContract(contract, { describe, it });
  });
}
