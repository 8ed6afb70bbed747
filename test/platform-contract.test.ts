/** The same contract on the light world, on the modelled machine under each of its DMA layers, and on real Linux. */
import { describeContract, platformContract } from "@peerbuf/testkit";
import { describe, it } from "vitest";
import { linuxWorld } from "./contract/linux-world.ts";
import { machineWorld } from "./contract/machine-world.ts";

const LAYERS = ["direct", "iommu", "pass-through", "swiotlb"] as const;

describeContract(platformContract("light world"), { describe, it });

for (const dma of LAYERS) {
  const contract = platformContract(`modelled machine, ${dma}`, () => machineWorld({ dma }));
  describeContract(contract, { describe, it });
}

describe.skipIf(process.platform !== "linux")("on real Linux", () => {
  describeContract(
    platformContract("linux", () => linuxWorld()),
    { describe, it },
  );
});
