/** A device has memory for some of what a driver needs and not for the rest: nothing stays taken. */

import { fileURLToPath } from "node:url";
import { createFramework, type Platform } from "@peerbuf/core";
import { gpu } from "@peerbuf/exporters";
import { gpuPeer, usb } from "@peerbuf/importers";
import {
  createGpu,
  createMachine,
  createModelledPlatform,
  createUsbDrive,
  injectFaults,
  type Machine,
} from "@peerbuf/machine";
import { createJudge, readCapture, rulesForKernel } from "@peerbuf/topology";
import { describe, expect, it } from "vitest";

const CAPTURE = fileURLToPath(
  new URL("../../../test/fixtures/captures/server-05", import.meta.url),
);
const GPU = "0000:3b:00.0";
const PEER = "0000:3c:00.0";

/** Every piece that is refused in turn, until one run needs no such piece. */
async function refuseEach(
  device: string,
  use: (machine: Machine, platform: Platform) => Promise<void>,
): Promise<number> {
  const topology = await readCapture(CAPTURE);
  for (let nth = 1; ; nth++) {
    const machine = createMachine({ topology });
    const injector = injectFaults(machine, { rules: [{ fault: "refuse-coherent", device, nth }] });
    const modelled = createModelledPlatform(machine);
    const outcome = await use(machine, injector.platform(modelled)).then(
      () => "went well",
      (error: { errno?: string }) => error.errno,
    );
    const { mappings, coherent, hostPages, interruptHandlers } = machine.handles();
    expect({ nth, mappings, coherent, hostPages, interruptHandlers }).toEqual({
      ...{ nth, mappings: 0, coherent: 0, hostPages: 0, interruptHandlers: 0 },
    });
    if (injector.injectedCount === 0) {
      expect(outcome).toBe("went well");
      return nth - 1;
    }
    expect(outcome).toBe("ENOMEM");
  }
}

describe("a driver that is refused one of the pieces it needs", () => {
  it("gpu-peer gives the others back", async () => {
    const judge = createJudge(await readCapture(CAPTURE), rulesForKernel());
    const refused = await refuseEach(PEER, async (machine, platform) => {
      machine.place(PEER, createGpu({ vramBytes: 16 << 20 }));
      using framework = createFramework({ platform, judge });
      framework.openImporter(gpuPeer, PEER, undefined);
    });
    expect(refused).toBe(2);
  });

  it("gpu gives the others back", async () => {
    const judge = createJudge(await readCapture(CAPTURE), rulesForKernel());
    const refused = await refuseEach(GPU, async (machine, platform) => {
      machine.place(GPU, createGpu({ vramBytes: 16 << 20 }));
      using framework = createFramework({ platform, judge });
      framework.openExporter(gpu, GPU, undefined);
    });
    expect(refused).toBe(2);
  });

  it("usb gives the others back", async () => {
    const judge = createJudge(await readCapture(CAPTURE), rulesForKernel());
    const refused = await refuseEach(PEER, async (machine, platform) => {
      machine.place(PEER, createUsbDrive({ capacityBytes: 1 << 20 }));
      using framework = createFramework({ platform, judge });
      const { api } = framework.openImporter(usb, PEER, undefined);
      await api.capacityBytes();
    });
    expect(refused).toBeGreaterThan(5);
  });
});
