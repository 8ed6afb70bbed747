/** The laws of the negotiation (design, section 2): each broken on purpose, and the message read. */
import {
  createFramework,
  DMA,
  defineExporter,
  defineImporter,
  describeDecision,
  FenceDomain,
  type FrameworkEvent,
  type Importer,
  NEGOTIATION_ROUNDS_MAX,
  type NegotiationError,
  narrow,
  P2P,
  type PeerbufError,
  PhysicalRanges,
  physicalAddress,
  reason,
  SoftwareFence,
  type Storage,
  TAKE,
} from "@peerbuf/core";
import { describe, expect, it } from "vitest";
import { benchPlatform, importerOn, judgeOf, memoryDriver, PAGE } from "./bench-platform.ts";

function scene(more?: (sizeBytes: number) => Partial<Storage>, traceHandles = false) {
  const platform = benchPlatform();
  const framework = createFramework({ platform, judge: judgeOf("bus-addr"), traceHandles });
  const exporter = framework.openExporter(
    memoryDriver(platform.device("gpu0"), more),
    "gpu0",
    undefined,
  );
  const importer = importerOn(platform.device("nic0"), [{ type: P2P }, { type: DMA }]);
  return { platform, framework, exporter, importer };
}

const thrownBy = (act: () => unknown): PeerbufError => {
  try {
    act();
  } catch (error) {
    return error as PeerbufError;
  }
  throw new Error("nothing was thrown");
};

describe("law 1: nothing silent", () => {
  it("a mapping that fell back says where the bytes are, and the record says why", () => {
    const why = reason("COMPRESSED", "its content is compressed", { blocks: 3 });
    const { exporter, importer } = scene(() => ({ attach: () => narrow([P2P], why) }));
    using buffer = exporter.allocate(PAGE, { name: "weights" });

    using attachment = buffer.attach(importer);
    using mapping = attachment.map("to-device");

    expect(mapping).toMatchObject({ target: "system", route: "system" });
    const decision = attachment.decisions.find(({ verdict }) => verdict === "narrow");
    expect(decision).toMatchObject({ left: ["dma"], reason: { numbers: { blocks: 3 } } });
    expect(decision && describeDecision(decision)).toBe(
      "exporter memory@gpu0 at attach: narrow: its content is compressed [COMPRESSED]",
    );
  });

  it("each answer is also an event, in the same order", () => {
    const { framework, exporter, importer } = scene();
    const seen: FrameworkEvent[] = [];
    framework.events.subscribe((event) => seen.push(event));
    using buffer = exporter.allocate(PAGE);

    using attachment = buffer.attach(importer);
    using _mapping = attachment.map("to-device");

    const told = seen.flatMap((event) => (event.kind === "decision" ? [event.decision] : []));
    expect(told).toEqual(attachment.decisions);
    expect(seen.map(({ kind }) => kind).filter((kind) => kind !== "decision")).toEqual([
      "buffer-exported",
      "attached",
      "mapped",
    ]);
  });

  it("the record of an attachment that is mapped for ever does not grow for ever", () => {
    const { exporter, importer } = scene();
    using buffer = exporter.allocate(PAGE);
    using attachment = buffer.attach(importer);

    for (let cycle = 0; cycle < 10_000; cycle++) {
      attachment.map("to-device").unmap();
    }

    expect(attachment.decisions.length).toBeLessThan(1000);
    expect(attachment.decisions[0]).toMatchObject({ party: "importer", stage: "attach" });
  });
});

describe("law 2: it ends", () => {
  it("an importer that always wants another proposal is stopped at the bound, with the rounds shown", () => {
    const { framework, exporter, importer } = scene();
    using buffer = exporter.allocate(PAGE);
    const never: Importer = {
      ...importer,
      take() {
        buffer.attachments[0]?.map("to-device");
        return TAKE;
      },
    };
    using attachment = buffer.attach(never);

    const error = thrownBy(() => attachment.map("to-device"));

    expect(error).toMatchObject({ code: "NEGOTIATION_ENDLESS", errno: "ELOOP" });
    expect((error as NegotiationError).decisions.map(({ round }) => round)).toContain(
      NEGOTIATION_ROUNDS_MAX,
    );
    expect(framework.handles().mappings).toBe(0);
  });
});

describe("law 3: synchronous steps, fences for time", () => {
  it("a mapping exists at once and carries the fence of bytes that still arrive", async () => {
    const platform = benchPlatform();
    const context = new FenceDomain(platform.clock).createContext({
      driverName: "memory",
      timelineName: "arrivals",
    });
    const arriving = new SoftwareFence(context, 1);
    const { exporter, importer } = scene((sizeBytes) => ({
      place: () => ({ target: "system", ranges: rangesOf(sizeBytes), ready: arriving }),
    }));
    using buffer = exporter.allocate(PAGE);
    using attachment = buffer.attach(importer);

    using mapping = attachment.map("to-device");

    expect(mapping.segments.count).toBe(1);
    expect(mapping.ready?.isSignaled).toBe(false);
    const arrival = mapping.ready?.signaled();
    arriving.signal();
    await expect(arrival).resolves.toBeUndefined();
  });
});

describe("law 4: errors are typed", () => {
  it.each([0, -4096, 4095, 1.5, Number.NaN, 2 ** 60])("a buffer of %d bytes cannot be", (size) => {
    const { exporter } = scene();

    expect(thrownBy(() => exporter.allocate(size))).toMatchObject({
      code: "SIZE_INVALID",
      errno: "EINVAL",
    });
  });

  it("a driver that throws becomes an error that names it, with the cause kept", () => {
    const cause = new RangeError("index -1");
    const { exporter, importer } = scene(() => ({
      place() {
        throw cause;
      },
    }));
    using buffer = exporter.allocate(PAGE);
    using attachment = buffer.attach(importer);

    expect(thrownBy(() => attachment.map("to-device"))).toMatchObject({
      code: "DRIVER_BROKEN",
      message: expect.stringContaining("memory@gpu0"),
      cause,
    });
    expect(attachment.mappingCount).toBe(0);
  });

  it("an importer that throws while it looks leaves nothing mapped", () => {
    const { platform, exporter, importer } = scene();
    using buffer = exporter.allocate(PAGE);
    const broken: Importer = {
      ...importer,
      take() {
        throw new Error("no");
      },
    };
    using attachment = buffer.attach(broken);

    expect(thrownBy(() => attachment.map("to-device")).code).toBe("DRIVER_BROKEN");
    expect(platform.mapped.size).toBe(0);
  });

  it.each([
    ["places too few bytes", PAGE / 2, /placed 2048 of 4096 bytes/],
    ["places too many", 2 * PAGE, /placed 8192 of 4096 bytes/],
  ])("an exporter that %s is stopped before an address exists", (_what, placedBytes, message) => {
    const { platform, exporter, importer } = scene(() => ({
      place: () => ({ target: "system", ranges: rangesOf(placedBytes) }),
    }));
    using buffer = exporter.allocate(PAGE);
    using attachment = buffer.attach(importer);

    expect(() => attachment.map("to-device")).toThrow(message);
    expect(platform.mapped.size).toBe(0);
  });

  it("a driver without a proper shape is refused when it is defined", () => {
    const noOpen = { name: "half", needsDevice: true } as unknown as Parameters<
      typeof defineExporter
    >[0];
    const badName = { name: "Bad Name", needsDevice: true, open: () => ({ api: {} }) };

    expect(thrownBy(() => defineExporter(noOpen))).toMatchObject({ code: "DRIVER_BROKEN" });
    expect(thrownBy(() => defineImporter(badName))).toMatchObject({ code: "DRIVER_BROKEN" });
  });
});

describe("law 5: taking and giving back", () => {
  it("names a double unmap, and which mapping it was", () => {
    const { exporter, importer } = scene();
    using buffer = exporter.allocate(PAGE, { name: "weights" });
    using attachment = buffer.attach(importer);
    const mapping = attachment.map("to-device");
    mapping.unmap();

    expect(thrownBy(() => mapping.unmap())).toMatchObject({
      code: "HANDLE_CLOSED",
      message:
        'mapping 1 of attachment 1 of reader@nic0 on "weights" is unmapped, and it was unmapped again',
    });
  });

  it("names the line that made a handle, if asked to trace", () => {
    const { exporter, importer } = scene(undefined, true);
    using buffer = exporter.allocate(PAGE);
    using attachment = buffer.attach(importer);
    const mapping = attachment.map("to-device");
    mapping.unmap();

    expect(thrownBy(() => mapping.unmap()).message).toMatch(/made at .*laws\.test\.ts:\d+/);
  });

  it("gives everything back at close and then names what leaked, with the line for a buffer", () => {
    let released = 0;
    const { platform, framework, exporter, importer } = scene(() => ({
      release: () => void released++,
    }));
    const buffer = exporter.allocate(PAGE, { name: "forgotten" });
    buffer.attach(importer).map("to-device");

    const leak = thrownBy(() => framework.close());

    expect(leak.code).toBe("HANDLE_LEAKED");
    expect(leak.message).toMatch(
      /mapping 1 of attachment 1 .*; attachment 1 .*; dma-buf "forgotten".*laws\.test\.ts:\d+/,
    );
    expect(released).toBe(1);
    expect(platform.mapped.size).toBe(0);
    expect(framework.handles()).toEqual({
      drivers: 0,
      buffers: 0,
      attachments: 0,
      mappings: 0,
      pins: 0,
    });
  });

  it("waits for work on closed buffers if asked to, and names it if not", async () => {
    const platform = benchPlatform();
    const context = new FenceDomain(platform.clock).createContext({
      driverName: "engine",
      timelineName: "copies",
    });
    const { framework, exporter } = scene();
    const work = [new SoftwareFence(context, 1), new SoftwareFence(context, 2)] as const;
    const [first, second] = [exporter.allocate(PAGE), exporter.allocate(PAGE, { name: "second" })];
    first.addFence(work[0], "write");
    second.addFence(work[1], "write");
    first.close();
    second.close();

    const idle = framework.idle();
    work[0].signal();
    expect(framework.handles().buffers).toBe(1);
    expect(thrownBy(() => framework.close())).toMatchObject({
      code: "HANDLE_LEAKED",
      message: expect.stringMatching(/"second".* waits for write fence: engine copies seq 2/),
    });
    work[1].signal();
    await idle;
  });

  it("leaves nothing behind when used with `using`", () => {
    const { framework, exporter, importer } = scene();
    {
      using buffer = exporter.allocate(PAGE);
      using attachment = buffer.attach(importer);
      using _mapping = attachment.map("to-device");
      expect(framework.handles()).toMatchObject({ buffers: 1, attachments: 1, mappings: 1 });
    }

    expect(framework.handles()).toMatchObject({ buffers: 0, attachments: 0, mappings: 0 });
    framework.close();
  });
});

describe("law 6: wrong order is refused and changes nothing", () => {
  it("detach while mapped", () => {
    const { exporter, importer } = scene();
    using buffer = exporter.allocate(PAGE);
    using attachment = buffer.attach(importer);
    using mapping = attachment.map("to-device");

    expect(thrownBy(() => attachment.detach())).toMatchObject({
      code: "WRONG_ORDER",
      message: expect.stringContaining("mapping 1"),
    });
    expect(mapping.segments.count).toBe(1);
  });

  it("detach while pinned", () => {
    const { exporter, importer } = scene();
    using buffer = exporter.allocate(PAGE);
    using attachment = buffer.attach(importer);
    attachment.pin();

    expect(thrownBy(() => attachment.detach())).toMatchObject({ code: "WRONG_ORDER" });
    attachment.unpin();
    expect(thrownBy(() => attachment.unpin())).toMatchObject({ code: "WRONG_ORDER" });
  });

  it("map after detach", () => {
    const { exporter, importer } = scene();
    using buffer = exporter.allocate(PAGE);
    const attachment = buffer.attach(importer);
    attachment.detach();

    expect(thrownBy(() => attachment.map("to-device"))).toMatchObject({ code: "WRONG_ORDER" });
  });

  it("segments after unmap", () => {
    const { exporter, importer } = scene();
    using buffer = exporter.allocate(PAGE);
    using attachment = buffer.attach(importer);
    const mapping = attachment.map("to-device");
    mapping.unmap();

    expect(thrownBy(() => mapping.segments)).toMatchObject({ code: "HANDLE_CLOSED" });
  });

  it("close a buffer while somebody is attached", () => {
    const { exporter, importer } = scene();
    using buffer = exporter.allocate(PAGE);
    using _attachment = buffer.attach(importer);

    expect(thrownBy(() => buffer.close())).toMatchObject({
      code: "BUFFER_BUSY",
      message: expect.stringContaining("attachment 1 of reader@nic0"),
    });
    expect(buffer.attachments).toHaveLength(1);
  });

  it("use a buffer after close", async () => {
    const { exporter, importer } = scene();
    const buffer = exporter.allocate(PAGE);
    buffer.close();

    expect(thrownBy(() => buffer.attach(importer))).toMatchObject({
      code: "BUFFER_CLOSED",
      errno: "EBADF",
    });
    expect(thrownBy(() => buffer.close())).toMatchObject({ code: "BUFFER_CLOSED" });
    await expect(buffer.read(0, 1)).rejects.toMatchObject({ code: "BUFFER_CLOSED" });
  });

  it("close an exporter while a buffer of it lives", () => {
    const { exporter } = scene();
    using _buffer = exporter.allocate(PAGE, { name: "weights" });

    expect(thrownBy(() => exporter.close())).toMatchObject({
      code: "WRONG_ORDER",
      message: expect.stringContaining('"weights"'),
    });
  });

  it("open a driver twice on one device, or without one, or after the end", () => {
    const { platform, framework } = scene();
    const driver = memoryDriver(platform.device("gpu0"));

    expect(thrownBy(() => framework.openExporter(driver, "gpu0", undefined)).code).toBe(
      "WRONG_ORDER",
    );
    expect(thrownBy(() => framework.openExporter(driver, undefined, undefined)).code).toBe(
      "ARGUMENT_INVALID",
    );
    expect(thrownBy(() => framework.openExporter(driver, "no such", undefined)).code).toBe(
      "DEVICE_UNKNOWN",
    );
    framework.close();
    expect(thrownBy(() => framework.openExporter(driver, "gpu1", undefined)).code).toBe(
      "FRAMEWORK_CLOSED",
    );
  });

  it("CPU access where the exporter gives none", async () => {
    const { exporter } = scene();
    using buffer = exporter.allocate(PAGE);

    await expect(buffer.read(0, 16)).rejects.toThrow(/gives the CPU no access/);
    await expect(buffer.write(0, new Uint8Array(2))).rejects.toMatchObject({ errno: "EINVAL" });
  });
});

const rangesOf = (sizeBytes: number): PhysicalRanges =>
  PhysicalRanges.of(physicalAddress(0x4000_0000), sizeBytes);
