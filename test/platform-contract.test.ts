/** The same scenarios on the modelled machine, under each of its DMA layers, and on real Linux. */
import { fileURLToPath } from "node:url";
import { createLinuxPlatform, kernelJudge } from "@peerbuf/linux";
import { createMachine, createModelledPlatform } from "@peerbuf/machine";
import { createJudge, readCapture, rulesForKernel } from "@peerbuf/topology";
import { describe } from "vitest";
import { type Ground, platformScenarios } from "./platform/platform-scenarios.ts";

const CAPTURE = fileURLToPath(new URL("fixtures/captures/server-05/sysfs.json", import.meta.url));

async function modelled(dma: "direct" | "pass-through"): Promise<Ground> {
  const topology = await readCapture(CAPTURE);
  const machine = createMachine({ topology });
  const platform = createModelledPlatform(machine, { dma });
  const taken = (): number => {
    const { mappings, hostAllocations } = machine.handles();
    return mappings + hostAllocations;
  };
  const judge = createJudge(topology, rulesForKernel());
  return { platform, judge, deviceId: "0000:16:00.0", taken, close: () => platform.close() };
}

function real(): Ground {
  const platform = createLinuxPlatform();
  const taken = (): number => {
    const { mappings, hostAllocations } = platform.handles();
    return mappings + hostAllocations;
  };
  const close = (): void => platform.close();
  return { platform, judge: kernelJudge, deviceId: "process", taken, close };
}

describe("on the modelled machine, dma-direct", () => platformScenarios(() => modelled("direct")));
describe("on the modelled machine, pass-through", () =>
  platformScenarios(() => modelled("pass-through")));

describe.skipIf(process.platform !== "linux")("on real Linux", () => platformScenarios(real));
