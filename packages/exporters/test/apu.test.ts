import { DMA, type DmaBuf, type Importer, type MappingOffer, P2P } from "@peerbuf/core";
import { type Apu, apu, gpu } from "@peerbuf/exporters";
import { nvme } from "@peerbuf/importers";
import { type CarveOut, createGpu, createNvmeController } from "@peerbuf/machine";
import { describe, expect, it } from "vitest";
import { type CapturedMachine, startCaptured } from "../../importers/test/captured-machine.ts";
import { bytesIn, expectSameBytes, MIB, pattern } from "../../importers/test/server-machine.ts";
import { Probe } from "./probe.ts";

/** On the processor's own bus, with a device beside it; a drive behind another host bridge. */
const APU = "0000:00:05.0";
const BESIDE = "0000:00:1f.2";
const FAR_DRIVE = "0000:17:00.0";
const CARVE_OUT_BYTES = 16 * MIB;

interface Bench extends CapturedMachine {
  readonly carveOut: CarveOut;
  readonly probe: Probe;
  readonly api: Apu;
  allocate(sizeBytes: number): DmaBuf;
}

async function start(): Promise<Bench> {
  const probe = new Probe();
  let carveOut: CarveOut | undefined;
  const started = await startCaptured("server-05", ({ memory }) => {
    carveOut = memory.carveOut(CARVE_OUT_BYTES);
    const drive = createNvmeController({ capacityBytes: 4 * MIB });
    return { [APU]: createGpu({ carveOut }), [BESIDE]: probe, [FAR_DRIVE]: drive };
  });
  const taken = carveOut as CarveOut;
  const { api, allocate } = started.framework.openExporter(apu, APU, undefined);
  const dispose = (): void => {
    started.machine.memory.free(taken.pages);
    started[Symbol.dispose]();
  };
  return { ...started, carveOut: taken, probe, api, allocate, [Symbol.dispose]: dispose };
}

function importerOn(
  { platform }: Bench,
  types: readonly MappingOffer[],
  more: Partial<Importer> = {},
): Importer {
  const device = platform.device(BESIDE);
  return { name: "probe", device, offer: () => ({ answer: "offer", types }), ...more };
}

/** Follows moves, and lets go of its mapping when told. */
function movable(bench: Bench, types: readonly MappingOffer[], mappings: Disposable[]): Importer {
  return importerOn(bench, types, {
    invalidateMappings: () => void mappings.pop()?.[Symbol.dispose](),
  });
}

const inCarveOut = ({ carveOut }: Bench, offset: number, lengthBytes: number): Uint8Array =>
  bytesIn(carveOut.memory, carveOut.base + offset, lengthBytes);

describe("APU driver", () => {
  it("redirects a peer from the BAR to the carve-out's own address, and says so", async () => {
    using bench = await start();
    using buffer = bench.allocate(4096);
    const bytes = pattern(4096);
    await buffer.write(0, bytes);
    using attachment = buffer.attach(importerOn(bench, [{ type: P2P }, { type: DMA }]));
    using mapping = attachment.map("bidirectional");

    expect(mapping).toMatchObject({ type: P2P, target: "carve-out", route: "system" });
    const address = mapping.segments.address(0);
    expect(address).toBe(bench.carveOut.pages.ranges.start(0));
    expect(attachment.decisions.find(({ stage }) => stage === "pin")).toMatchObject({
      party: "exporter",
      verdict: "redirect",
      reason: { code: "APU_CARVE_OUT", numbers: { start: address } },
    });
    expectSameBytes(bench.probe.read(address, 4096), bytes);
    bench.probe.write(address, pattern(4096, 2));
    expectSameBytes(await buffer.read(0, 4096), pattern(4096, 2));
  });

  it("is right about the BAR: it leads peers nowhere", async () => {
    const probe = new Probe();
    let carveOut: CarveOut | undefined;
    using bench = await startCaptured(
      "server-05",
      ({ memory }) => {
        carveOut = memory.carveOut(CARVE_OUT_BYTES);
        return { [APU]: createGpu({ carveOut }), [BESIDE]: probe };
      },
      { guard: false },
    );
    const { topology, fabric, memory } = bench.machine;
    const bar = fabric.map.slots.find(
      ({ row, prefetchable }) => prefetchable && topology.bdfOf(row) === APU,
    );
    carveOut?.memory.write(carveOut.base, pattern(64));

    probe.write(bar?.start ?? 0, new Uint8Array(64));

    expectSameBytes(probe.read(bar?.start ?? 0, 64), new Uint8Array(64).fill(0xff));
    expectSameBytes(
      bytesIn((carveOut as CarveOut).memory, (carveOut as CarveOut).base, 64),
      pattern(64),
    );
    memory.free((carveOut as CarveOut).pages);
  });

  it("moves the bytes to ordinary pages for an importer that needs them, by its engine", async () => {
    using bench = await start();
    using buffer = bench.allocate(MIB);
    const bytes = pattern(MIB, 3);
    await buffer.write(0, bytes);
    using attachment = buffer.attach(importerOn(bench, [{ type: DMA }]));
    using mapping = attachment.map("to-device");

    await mapping.ready?.signaled();

    expect(mapping).toMatchObject({ type: DMA, target: "system", copied: false });
    const said = attachment.decisions.filter(({ party }) => party === "exporter");
    expect(said.map(({ stage, reason }) => [stage, reason.code])).toContainEqual([
      "pin",
      "APU_CARVE_OUT",
    ]);
    expectSameBytes(bench.probe.read(mapping.segments.address(0), 4096), bytes.subarray(0, 4096));
    expect(bench.api.freeBytes()).toBe(CARVE_OUT_BYTES);
  });

  it("serves a drive that topology does not let near the GPU's function from ordinary pages", async () => {
    using bench = await start();
    const drive = bench.framework.openImporter(nvme, FAR_DRIVE, undefined);
    using buffer = bench.allocate(MIB);
    const bytes = pattern(MIB, 4);
    await buffer.write(0, bytes);

    const { negotiated } = await drive.api.write(buffer, { lba: 0 });
    await buffer.write(0, new Uint8Array(MIB));
    await drive.api.read(buffer, { lba: 0 });

    expect(negotiated).toMatchObject({ type: "dma", target: "system" });
    expectSameBytes(await buffer.read(0, MIB), bytes);
  });

  it("takes the peers along when it moves", async () => {
    using bench = await start();
    using buffer = bench.allocate(4096);
    const bytes = pattern(4096, 5);
    await buffer.write(0, bytes);
    const mappings: Disposable[] = [];
    using peer = buffer.attach(movable(bench, [{ type: P2P }, { type: DMA }], mappings));
    const before = peer.map("to-device");
    mappings.push(before);
    const oldAddress = before.segments.address(0);
    using other = buffer.attach(movable(bench, [{ type: DMA }], []));

    using moved = other.map("to-device");
    await moved.ready?.signaled();
    using again = peer.map("to-device");

    expect(before.isStale).toBe(true);
    expect(again.target).toBe("system");
    expect(again.segments.address(0)).toBe(moved.segments.address(0));
    expectSameBytes(bench.probe.read(again.segments.address(0), 4096), bytes);
    expectSameBytes(bench.probe.read(oldAddress, 16), new Uint8Array(16).fill(0xff));
  });

  it("stays where it is pinned, and tells others why", async () => {
    using bench = await start();
    using buffer = bench.allocate(4096);
    using pinned = buffer.attach(importerOn(bench, [{ type: P2P }]));
    using mapping = pinned.map("to-device");
    using other = buffer.attach(importerOn(bench, [{ type: DMA }]));

    expect(() => other.map("to-device")).toThrow(
      expect.objectContaining({
        code: "MAP_DECLINED",
        message: expect.stringContaining("PINNED_IN_CARVE_OUT"),
      }),
    );

    expect(mapping.target).toBe("carve-out");
    mapping.unmap();
    using later = other.map("to-device");
    await later.ready?.signaled();
    expect(later.target).toBe("system");
  });

  it("declines a peer for whom only device memory will do: there is none", async () => {
    using bench = await start();
    using buffer = bench.allocate(4096);
    using attachment = buffer.attach(importerOn(bench, [{ type: P2P, require: true }]));

    expect(() => attachment.map("to-device")).toThrow(
      expect.objectContaining({ message: expect.stringContaining("DEVICE_MEMORY_REQUIRED") }),
    );

    expect(bench.framework.handles()).toMatchObject({ mappings: 0, pins: 0 });
  });

  it("copies to memory that an importer brings, from either place", async () => {
    using bench = await start();
    using buffer = bench.allocate(MIB);
    const bytes = pattern(MIB, 6);
    await buffer.write(0, bytes);
    const pages = bench.machine.memory.allocate(MIB);
    const why = { code: "BRINGS_OWN", text: "works on memory of its own" };
    const bringing = importerOn(bench, [], {
      offer: () => ({
        answer: "offer",
        types: [{ type: DMA }],
        target: pages.ranges,
        reason: why,
      }),
    });
    using attachment = buffer.attach(bringing);
    const peek = (): Uint8Array => {
      const seen = new Uint8Array(MIB);
      bench.machine.inspect.peek(pages.ranges.start(0), seen);
      return seen;
    };

    const first = attachment.map("bidirectional");
    await first.ready?.signaled();
    expectSameBytes(peek(), bytes);
    bench.machine.inspect.poke(pages.ranges.start(0), pattern(MIB, 7));
    await first.unmap()?.signaled();

    expectSameBytes(await buffer.read(0, MIB), pattern(MIB, 7));
    expectSameBytes(inCarveOut(bench, 0, MIB), pattern(MIB, 7));
    bench.machine.memory.free(pages);
  });

  it("keeps the CPU's bytes when it begins to move while they wait for the first fill", async () => {
    using bench = await start();
    using buffer = bench.allocate(MIB);
    const bytes = pattern(MIB, 9);

    const writing = buffer.write(0, bytes);
    for (let turn = 0; turn < 16; turn++) {
      await Promise.resolve(); // The machine stands still.
    }
    using attachment = buffer.attach(movable(bench, [{ type: DMA }], []));
    using mapping = attachment.map("to-device");
    await Promise.all([writing, mapping.ready?.signaled()]);

    expect(mapping.ready).toBeDefined();
    expectSameBytes(await buffer.read(0, MIB), bytes);
  });

  it("copies what a move still brings, not what was there before", async () => {
    using bench = await start();
    using buffer = bench.allocate(4 * MIB);
    const bytes = pattern(4 * MIB, 8);
    await buffer.write(0, bytes);
    const pages = bench.machine.memory.allocate(4 * MIB);
    const why = { code: "BRINGS_OWN", text: "works on memory of its own" };
    const types = [{ type: DMA }];
    const offer = () => ({ answer: "offer", types, target: pages.ranges, reason: why }) as const;
    using needsPages = buffer.attach(movable(bench, types, []));
    using brings = buffer.attach(importerOn(bench, [], { offer }));

    using moved = needsPages.map("to-device");
    using copied = brings.map("to-device");
    await copied.ready?.signaled();

    const seen = new Uint8Array(4 * MIB);
    bench.machine.inspect.peek(pages.ranges.start(0), seen);
    expect(moved.ready).toBeDefined();
    expectSameBytes(seen, bytes);
    copied.unmap();
    bench.machine.memory.free(pages);
  });

  it("clears the carve-out's part before anybody sees it, and takes it back", async () => {
    using bench = await start();
    bench.carveOut.memory.fill(0x5a, bench.carveOut.base, CARVE_OUT_BYTES);
    {
      using buffer = bench.allocate(MIB);
      expectSameBytes(await buffer.read(0, MIB), new Uint8Array(MIB));
      expect(bench.api.freeBytes()).toBe(CARVE_OUT_BYTES - MIB);
    }
    expect(bench.api.freeBytes()).toBe(CARVE_OUT_BYTES);
    expect(() => bench.allocate(CARVE_OUT_BYTES + 4096)).toThrow(
      expect.objectContaining({ code: "MEMORY_EXHAUSTED" }),
    );
  });

  it("is not opened on a GPU with memory of its own", async () => {
    const card = "0000:3b:00.0";
    using bench = await startCaptured("server-05", { [card]: createGpu({ vramBytes: 16 * MIB }) });

    expect(() => bench.framework.openExporter(apu, card, undefined)).toThrow(
      expect.objectContaining({ code: "DEVICE_FAILED" }),
    );

    using own = bench.framework.openExporter(gpu, card, undefined).allocate(4096);
    expect(own.sizeBytes).toBe(4096);
  });
});
