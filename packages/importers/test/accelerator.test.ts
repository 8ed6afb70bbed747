import { interconnect, type MappingType, type OpenedExporter } from "@peerbuf/core";
import {
  type AcceleratorMemory,
  acceleratorMemory,
  gpu,
  systemHeap,
  vfio,
} from "@peerbuf/exporters";
import { accelerator } from "@peerbuf/importers";
import {
  type BulkDevice,
  createAccelerator,
  createBarMemory,
  createGpu,
  PrivateLink,
} from "@peerbuf/machine";
import { describe, expect, it } from "vitest";
import { type CapturedMachine, startCaptured } from "./captured-machine.ts";
import { bytesIn, expectSameBytes, MIB, pattern } from "./server-machine.ts";

/** Two accelerators below one switch, and two functions more below another. */
const OWNER = "0000:3b:00.0";
const READER = "0000:3c:00.0";
const CARD = "0000:13:00.0";
const FAR_READER = "0000:14:00.0";

interface Bench extends CapturedMachine {
  readonly owner: BulkDevice;
  readonly reader: BulkDevice;
  readonly farReader: BulkDevice;
  readonly link: MappingType;
  openMemory(link?: MappingType): OpenedExporter<AcceleratorMemory>;
}

async function start(): Promise<Bench> {
  const wire = new PrivateLink();
  const [owner, reader, farReader] = [0, 1, 2].map(() =>
    createAccelerator({ memoryBytes: 32 * MIB, link: wire }),
  ) as [BulkDevice, BulkDevice, BulkDevice];
  const card = createGpu({ vramBytes: 16 * MIB });
  const models = { [OWNER]: owner, [READER]: reader, [FAR_READER]: farReader, [CARD]: card };
  const started = await startCaptured("server-05", models);
  const openMemory = (link?: MappingType): OpenedExporter<AcceleratorMemory> =>
    started.framework.openExporter(
      acceleratorMemory,
      OWNER,
      link === undefined ? undefined : { link },
    );
  return { ...started, owner, reader, farReader, link: interconnect("ring0"), openMemory };
}

describe("accelerator driver", () => {
  it("reads over the private link what both hold the same link value for", async () => {
    using bench = await start();
    const memory = bench.openMemory(bench.link);
    const reader = bench.framework.openImporter(accelerator, READER, { link: bench.link });
    using buffer = memory.allocate(MIB);
    const bytes = pattern(MIB);
    bench.owner.inspect().memory.write(0, bytes);

    const { type, route } = await reader.api.write(buffer, { deviceOffset: 8 * MIB });

    expect([type, route]).toEqual(["interconnect:ring0", "untranslated"]);
    expectSameBytes(bytesIn(bench.reader.inspect().memory, 8 * MIB, MIB), bytes);
    // Only the table of segments was read over PCIe.
    expect(bench.machine.inspect.traffic(READER).readBytes).toBe(16);
  });

  it("reads over the link where topology has no path at all", async () => {
    using bench = await start();
    const memory = bench.openMemory(bench.link);
    const far = bench.framework.openImporter(accelerator, FAR_READER, { link: bench.link });
    using buffer = memory.allocate(MIB);
    const bytes = pattern(MIB, 8);
    bench.owner.inspect().memory.write(0, bytes);

    const { type, target, route, decisions } = await far.api.write(buffer);

    expect([type, target, route]).toEqual(["interconnect:ring0", "device", "untranslated"]);
    expect(decisions.find(({ party }) => party === "topology")?.verdict).toBe("unsupported");
    expectSameBytes(bytesIn(bench.farReader.inspect().memory, 0, MIB), bytes);
  });

  it("writes over the private link", async () => {
    using bench = await start();
    const memory = bench.openMemory(bench.link);
    const reader = bench.framework.openImporter(accelerator, READER, { link: bench.link });
    using before = memory.allocate(4096);
    using buffer = memory.allocate(MIB);
    const bytes = pattern(MIB, 2);
    bench.reader.inspect().memory.write(0, bytes);

    await reader.api.read(buffer);

    expectSameBytes(bytesIn(bench.owner.inspect().memory, before.sizeBytes, MIB), bytes);
    expect(bench.machine.inspect.traffic(READER).writtenBytes).toBe(0);
  });

  it("reaches memory that no BAR shows, which peers on PCIe do not", async () => {
    using bench = await start();
    const memory = bench.openMemory(bench.link);
    const onLink = bench.framework.openImporter(accelerator, READER, { link: bench.link });
    using buffer = memory.allocate(MIB, { place: "hidden" });
    const bytes = pattern(MIB, 3);
    bench.owner.inspect().memory.write(16 * MIB, bytes);

    await onLink.api.write(buffer);
    onLink.close();
    const onPcie = bench.framework.openImporter(accelerator, READER, undefined);

    expectSameBytes(bytesIn(bench.reader.inspect().memory, 0, MIB), bytes);
    await expect(onPcie.api.write(buffer)).rejects.toMatchObject({
      code: "NO_COMMON_TYPE",
      message: expect.stringContaining("MEMORY_NOT_VISIBLE"),
    });
  });

  it("meets an exporter that is not on its link as a peer", async () => {
    using bench = await start();
    const memory = bench.openMemory();
    const reader = bench.framework.openImporter(accelerator, READER, { link: bench.link });
    using buffer = memory.allocate(MIB);
    const bytes = pattern(MIB, 4);
    bench.owner.inspect().memory.write(0, bytes);

    const { type, route } = await reader.api.write(buffer);

    expect([type, route]).toEqual(["p2p", "bus-addr"]);
    expectSameBytes(bytesIn(bench.reader.inspect().memory, 0, MIB), bytes);
  });

  it("takes two links of one name for two links", async () => {
    using bench = await start();
    const memory = bench.openMemory(bench.link);
    const link = interconnect("ring0");
    const reader = bench.framework.openImporter(accelerator, READER, { link });
    using buffer = memory.allocate(4096);

    const { type } = await reader.api.write(buffer);

    expect(type).toBe("p2p");
  });

  it("falls back to system memory where there is neither link nor a path for peers", async () => {
    using bench = await start();
    const card = bench.framework.openExporter(gpu, CARD, undefined);
    const heap = bench.framework.openExporter(systemHeap, undefined, undefined);
    const reader = bench.framework.openImporter(accelerator, READER, { link: bench.link });
    using moved = card.allocate(MIB);
    using pages = heap.allocate(MIB);
    await moved.write(0, pattern(MIB, 5));
    await pages.write(0, pattern(MIB, 6));

    const one = await reader.api.write(moved);
    const other = await reader.api.write(pages, { deviceOffset: MIB });

    expect([one.type, one.target, other.type]).toEqual(["dma", "system", "dma"]);
    expectSameBytes(bytesIn(bench.reader.inspect().memory, 0, MIB), pattern(MIB, 5));
    expectSameBytes(bytesIn(bench.reader.inspect().memory, MIB, MIB), pattern(MIB, 6));
  });

  it("gives up at once what is taken away, and works on with the rest", async () => {
    const reader = createAccelerator({ memoryBytes: 32 * MIB });
    const card = createBarMemory();
    using bench = await startCaptured("server-05", { [OWNER]: card, [READER]: reader });
    const calls = { reset: () => card.reset(), setMemoryEnabled: () => undefined };
    const handed = bench.framework.openExporter(vfio, OWNER, calls);
    const heap = bench.framework.openExporter(systemHeap, undefined, undefined);
    const { api } = bench.framework.openImporter(accelerator, READER, undefined);
    using buffer = handed.allocate(8 * MIB);
    using other = heap.allocate(4096);
    await other.write(0, pattern(4096, 7));
    const running = api.read(buffer);
    const waiting = api.write(other, { deviceOffset: 16 * MIB });
    await new Promise((resolve) => setImmediate(resolve));

    const outcomes = await Promise.allSettled([running, waiting, handed.api.reset()]);

    expect(outcomes).toMatchObject([
      { status: "rejected", reason: { code: "DEVICE_GONE" } },
      { status: "fulfilled" },
      { status: "fulfilled" },
    ]);
    expectSameBytes(bytesIn(reader.inspect().memory, 16 * MIB, 4096), pattern(4096, 7));
    expect(bench.platform.guardFaults).toBe(0);
  });

  it("shows the memory of one without any link to peers on PCIe", async () => {
    using bench = await startCaptured("server-05", {
      [OWNER]: createAccelerator({ memoryBytes: 32 * MIB }),
      [READER]: createAccelerator({ memoryBytes: 32 * MIB }),
    });
    const memory = bench.framework.openExporter(acceleratorMemory, OWNER, undefined);
    const reader = bench.framework.openImporter(accelerator, READER, undefined);
    using buffer = memory.allocate(4096);

    const { type, route } = await reader.api.write(buffer);

    expect([type, route]).toEqual(["p2p", "bus-addr"]);
  });

  it("is not taken for one on a link that it is not on", async () => {
    using bench = await startCaptured("server-05", {
      [OWNER]: createAccelerator({ memoryBytes: 32 * MIB }),
    });
    const link = interconnect("ring0");

    expect(() => bench.framework.openExporter(acceleratorMemory, OWNER, { link })).toThrow(
      expect.objectContaining({ code: "DEVICE_FAILED" }),
    );
  });
});
