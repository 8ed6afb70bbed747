import type { HostMemory, HostPages } from "@peerbuf/core";
import { gpu, systemHeap } from "@peerbuf/exporters";
import { platformDevice, usb } from "@peerbuf/importers";
import {
  type BulkDevice,
  createGpu,
  createPlatformBlock,
  createUsbDrive,
  type PlatformOptions,
  type UsbDrive,
} from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CapturedMachine, startCaptured } from "./captured-machine.ts";
import { bytesIn, expectSameBytes, MIB, pattern } from "./server-machine.ts";

/** Below one switch of the capture: a function with room for a small GPU, and a USB host controller. */
const CARD = "0000:3b:00.0";
const CONTROLLER = "0000:3c:00.0";

const BEHIND_PCI = { id: "usb1-1", bus: "usb", label: "USB drive", behind: CONTROLLER };
const BEHIND_SOC = { ...BEHIND_PCI, id: "usb2-1", hasPciAncestor: false };
const SOC_BLOCK = { ...BEHIND_SOC, id: "soc-camera0", bus: "platform", label: "camera" };

interface Bench extends CapturedMachine {
  readonly drive: BulkDevice | UsbDrive;
}

async function start(
  device: NonNullable<PlatformOptions["devices"]>[number],
  drive: BulkDevice | UsbDrive = createUsbDrive({ capacityBytes: 4 * MIB }),
): Promise<Bench> {
  const models = { [CARD]: createGpu({ vramBytes: 16 * MIB }), [CONTROLLER]: drive };
  const started = await startCaptured("server-05", models, { devices: [device] });
  return { ...started, drive };
}

/** So that the next pages handed out do not touch. Returns what gives the taken ones back. */
function takeEverySecondPage(memory: HostMemory, count: number): () => void {
  const pages = Array.from({ length: 2 * count }, () => memory.allocate(4096));
  const free = (parity: number): void => {
    for (let index = parity; index < pages.length; index += 2) {
      memory.free(pages[index] as HostPages);
    }
  };
  free(0);
  return () => free(1);
}

const codes = (decisions: readonly { by: string; reason: { code: string } }[]): string[] =>
  decisions.map(({ reason }) => reason.code);

describe("USB driver", () => {
  it("is judged by its controller, refused by the DMA layer, and served from system memory", async () => {
    using bench = await start(BEHIND_PCI);
    const card = bench.framework.openExporter(gpu, CARD, undefined);
    const stick = bench.framework.openImporter(usb, "usb1-1", undefined);
    using buffer = card.allocate(MIB);
    const bytes = pattern(MIB);
    await buffer.write(0, bytes);

    const negotiated = await stick.api.write(buffer, { deviceOffset: 4096 });

    expect(negotiated).toMatchObject({ type: "dma", target: "system", route: "system" });
    const said = negotiated.decisions.map(({ party, verdict }) => `${party} ${verdict}`);
    expect(said).toContain("topology bus-addr");
    expect(codes(negotiated.decisions)).toContain("CLIENT_NOT_PCI");
    expectSameBytes(bytesIn(bench.drive.inspect().memory, 4096, MIB), bytes);
    expect(bench.platform.guardFaults).toBe(0);
  });

  it("says EREMOTEIO when only peer memory will do", async () => {
    using bench = await start(BEHIND_PCI);
    const card = bench.framework.openExporter(gpu, CARD, undefined);
    const stick = bench.framework.openImporter(usb, "usb1-1", { peerToPeer: "require" });
    using buffer = card.allocate(MIB);

    await expect(stick.api.write(buffer)).rejects.toMatchObject({
      code: "MAP_DECLINED",
      errno: "EREMOTEIO",
      message: expect.stringContaining("usb1-1 is on usb"),
    });

    expect(bench.framework.handles()).toMatchObject({ attachments: 0, mappings: 0, pins: 0 });
  });

  it("cannot be judged at all behind a controller that is no PCI function", async () => {
    using bench = await start(BEHIND_SOC);
    const card = bench.framework.openExporter(gpu, CARD, undefined);
    const stick = bench.framework.openImporter(usb, "usb2-1", undefined);
    using buffer = card.allocate(MIB);
    const bytes = pattern(MIB, 2);
    bench.drive.inspect().memory.write(0, bytes);

    const { target, decisions } = await stick.api.read(buffer);

    expect(target).toBe("system");
    expect(decisions.find(({ party }) => party === "topology")).toMatchObject({
      verdict: "unsupported",
      reason: { text: expect.stringContaining("usb2-1 is not a PCI function") },
      left: ["dma"],
    });
    expectSameBytes(await buffer.read(0, MIB), bytes);
  });

  it("moves any part of a scattered buffer to and from any part of the drive", async () => {
    using bench = await start(BEHIND_PCI);
    const heap = bench.framework.openExporter(systemHeap, undefined, undefined);
    const stick = bench.framework.openImporter(usb, "usb1-1", undefined);
    const sizeBytes = 16 * 4096;
    using buffer = heap.allocate(sizeBytes);
    const inBuffer = pattern(sizeBytes, 5);
    const onDrive = pattern(sizeBytes, 6);
    await buffer.write(0, inBuffer);
    bench.drive.inspect().memory.write(0, onDrive);
    const part = fc.record({
      way: fc.constantFrom("read" as const, "write" as const),
      offset: fc.nat(sizeBytes / 2),
      deviceOffset: fc.nat(sizeBytes / 2),
      lengthBytes: fc.integer({ min: 1, max: sizeBytes / 2 }),
    });

    await fc.assert(
      fc.asyncProperty(part, async ({ way, ...range }) => {
        const { offset, deviceOffset, lengthBytes } = range;
        if (way === "write") {
          onDrive.set(inBuffer.subarray(offset, offset + lengthBytes), deviceOffset);
        } else {
          inBuffer.set(onDrive.subarray(deviceOffset, deviceOffset + lengthBytes), offset);
        }

        await stick.api[way](buffer, range);

        expectSameBytes(await buffer.read(0, sizeBytes), inBuffer);
        expectSameBytes(bytesIn(bench.drive.inspect().memory, 0, sizeBytes), onDrive);
      }),
      { numRuns: 40 },
    );
  });

  it("needs more than one run for a buffer of many segments, and keeps their order", async () => {
    using bench = await start(BEHIND_PCI);
    const stick = bench.framework.openImporter(usb, "usb1-1", undefined);
    const heap = bench.framework.openExporter(systemHeap, undefined, undefined);
    const giveBack = takeEverySecondPage(bench.machine.memory, 600);
    {
      using buffer = heap.allocate(600 * 4096);
      const bytes = pattern(600 * 4096, 7);
      await buffer.write(0, bytes);

      const { segmentCount } = await stick.api.write(buffer);
      const part = { offset: 300 * 4096 + 5, lengthBytes: 9000, deviceOffset: 3 * MIB };
      await stick.api.write(buffer, part);

      expect(segmentCount).toBeGreaterThan(256);
      const { memory } = bench.drive.inspect();
      expectSameBytes(bytesIn(memory, 0, 600 * 4096), bytes);
      const { offset, lengthBytes } = part;
      expectSameBytes(
        bytesIn(memory, part.deviceOffset, lengthBytes),
        bytes.subarray(offset, offset + lengthBytes),
      );
    }
    giveBack();
  });

  it("lets the CPU wait for what it still writes", async () => {
    using bench = await start(BEHIND_PCI);
    const heap = bench.framework.openExporter(systemHeap, undefined, undefined);
    const stick = bench.framework.openImporter(usb, "usb1-1", undefined);
    using buffer = heap.allocate(MIB);
    const bytes = pattern(MIB, 8);
    bench.drive.inspect().memory.write(0, bytes);

    const [seen] = await Promise.all([
      Promise.resolve().then(() => buffer.read(0, MIB)),
      stick.api.read(buffer),
    ]);

    expectSameBytes(seen, bytes);
  });

  it("refuses ranges outside of buffer and drive, and takes nothing for them", async () => {
    using bench = await start(BEHIND_PCI);
    const heap = bench.framework.openExporter(systemHeap, undefined, undefined);
    const stick = bench.framework.openImporter(usb, "usb1-1", undefined);
    using buffer = heap.allocate(8192);
    const invalid = { code: "ARGUMENT_INVALID" };

    await expect(
      stick.api.write(buffer, { offset: 4096, lengthBytes: 4097 }),
    ).rejects.toMatchObject(invalid);
    await expect(stick.api.write(buffer, { deviceOffset: 4 * MIB - 4096 })).rejects.toMatchObject(
      invalid,
    );
  });

  it("fails what is on its way when it is closed", async () => {
    using bench = await start(BEHIND_PCI);
    const heap = bench.framework.openExporter(systemHeap, undefined, undefined);
    const stick = bench.framework.openImporter(usb, "usb1-1", undefined);
    using buffer = heap.allocate(MIB);
    const running = stick.api.write(buffer);
    const waiting = stick.api.write(buffer);
    setImmediate(() => stick.close());

    const outcomes = await Promise.allSettled([running, waiting]);

    expect(outcomes).toMatchObject([
      { status: "rejected", reason: { code: "DEVICE_GONE" } },
      { status: "rejected", reason: { code: "DEVICE_GONE" } },
    ]);
  });
});

describe("platform device driver", () => {
  it("takes system memory only, and says that it is no PCI function", async () => {
    using bench = await start(SOC_BLOCK, createPlatformBlock());
    const card = bench.framework.openExporter(gpu, CARD, undefined);
    const camera = bench.framework.openImporter(platformDevice, "soc-camera0", undefined);
    using buffer = card.allocate(MIB);
    const bytes = pattern(MIB, 3);
    bench.drive.inspect().memory.write(0, bytes);

    const { target, decisions } = await camera.api.read(buffer);

    expect(target).toBe("system");
    expect(decisions[0]).toMatchObject({
      party: "importer",
      verdict: "offer",
      reason: { code: "NOT_PCI" },
      left: ["dma"],
    });
    expectSameBytes(await buffer.read(0, MIB), bytes);
  });

  it("is not opened on a device of another kind", async () => {
    using bench = await start(SOC_BLOCK);

    expect(() => bench.framework.openImporter(platformDevice, "soc-camera0", undefined)).toThrow(
      expect.objectContaining({ code: "DEVICE_FAILED" }),
    );
  });
});
