import { type DmaRoute, PhysicalRanges, physicalAddress, UNLIMITED } from "@peerbuf/core";
import { createMachine, createModelledPlatform, type PlatformOptions } from "@peerbuf/machine";
import { describe, expect, it } from "vitest";
import { barStart, MemoryDevice, switchTopology } from "./small-machines.ts";

const CONTROLLER = "0000:03:00.0";
const PEER = "0000:04:00.0";
const DRIVE = { id: "usb1-1", bus: "usb", label: "USB drive", behind: CONTROLLER };
const CAMERA = { ...DRIVE, id: "camera0", bus: "platform", hasPciAncestor: false };

function start(options: PlatformOptions) {
  const machine = createMachine({ topology: switchTopology() });
  const model = new MemoryDevice();
  machine.place(CONTROLLER, model);
  const platform = createModelledPlatform(machine, options);
  return { machine, model, platform };
}

type Devices = NonNullable<PlatformOptions["devices"]>;

describe("devices that are no PCI function", () => {
  it("are known by their bus, with the function above them where there is one", () => {
    const { platform } = start({ devices: [DRIVE, CAMERA] });

    expect(platform.device("usb1-1")).toMatchObject({ bus: "usb", pciAncestor: CONTROLLER });
    expect(platform.device("camera0")).toMatchObject({ bus: "platform" });
    expect(platform.device("camera0").pciAncestor).toBeUndefined();
  });

  it.each<DmaRoute>(["bus-addr", "host-bridge"])(
    "are mapped no peer memory by %s: EREMOTEIO",
    (route) => {
      const { platform, machine } = start({ devices: [DRIVE] });

      const answer = platform.dma.map({
        client: platform.device("usb1-1"),
        ranges: PhysicalRanges.of(physicalAddress(barStart(4)), 4096),
        provider: platform.device(PEER),
        route,
        direction: "to-device",
        limits: UNLIMITED,
      });

      expect(answer).toMatchObject({ errno: "EREMOTEIO", code: "CLIENT_NOT_PCI" });
      expect(machine.handles().mappings).toBe(0);
    },
  );

  it("reach system memory mapped for them through the function that they sit behind, and no other", () => {
    const { platform, machine, model } = start({ devices: [DRIVE] });
    const pages = machine.memory.allocate(4096);
    const client = platform.device("usb1-1");
    const request = { client, provider: undefined, route: "system", limits: UNLIMITED } as const;
    const answer = platform.dma.map({ ...request, ranges: pages.ranges, direction: "to-device" });
    if ("answer" in answer) {
      throw new Error(answer.text);
    }
    machine.memory.write(pages.ranges.start(0), Uint8Array.of(1, 2, 3, 4));
    const bytes = new Uint8Array(4);

    const mapped = model.port?.read(answer.address(0), bytes, 0, 4);
    platform.dma.unmap(client, answer, "to-device");
    const unmapped = model.port?.read(answer.address(0), new Uint8Array(4), 0, 4);

    expect([...bytes]).toEqual([1, 2, 3, 4]);
    expect([mapped?.ok, unmapped?.ok]).toEqual([true, false]);
    machine.memory.free(pages);
  });

  it("have the limits of that function unless told otherwise", () => {
    const narrow = { ...UNLIMITED, addressMax: 0xffff_ffff };
    const limits = { [CONTROLLER]: narrow };
    const { platform } = start({ limits, devices: [DRIVE, { ...CAMERA, limits: UNLIMITED }] });

    expect(platform.device("usb1-1").limits).toBe(narrow);
    expect(platform.device("camera0").limits).toBe(UNLIMITED);
  });

  it.each<[string, Devices]>([
    ["two of one id", [DRIVE, DRIVE]],
    ["one that claims to be a function", [{ ...DRIVE, id: PEER }]],
    ["one that says its bus is PCI", [{ ...DRIVE, bus: "pci" }]],
    ["one behind a function that is not there", [{ ...DRIVE, behind: "0000:7f:00.0" }]],
  ])("cannot be %s", (_what, devices) => {
    expect(() => start({ devices })).toThrow(expect.objectContaining({ name: "InputError" }));
  });
});
