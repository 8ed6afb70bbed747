/**
 * Platform scenarios: what holds on every platform, modelled or real: the same drivers, the same steps, the
 * same answers. Nothing in here knows which platform it runs on.
 */
import {
  createFramework,
  DEVICE,
  DMA,
  defineImporter,
  type Framework,
  HOST_MEMORY,
  type HostMemory,
  type Importer,
  type Judge,
  type Mapping,
  type PhysicalAddress,
  type Platform,
} from "@peerbuf/core";
import { systemHeap } from "@peerbuf/exporters";
import { expect, it } from "vitest";

export interface Ground {
  readonly platform: Platform;
  readonly judge: Judge;
  /** A device whose driver touches bytes through the CPU. */
  readonly deviceId: string;
  /** Mappings and host allocations that are out. */
  taken(): number;
  close(): void;
}

/** An importer that reads and writes mapped bytes through host memory, as a device of the process does. */
interface ReaderApi {
  readonly importer: Importer;
  read(mapping: Mapping): Uint8Array;
  write(mapping: Mapping, bytes: Uint8Array): void;
}

const reader = defineImporter<undefined, ReaderApi>({
  name: "reader",
  needsDevice: true,
  open(services) {
    const device = services.get(DEVICE);
    const memory = services.get(HOST_MEMORY);
    const offer: Importer["offer"] = () => ({ answer: "offer", types: [{ type: DMA }] });
    return {
      api: {
        importer: { name: "reader", device, offer },
        read: (mapping) => bytesOf(memory, mapping, "read", new Uint8Array(BYTES)),
        write: (mapping, bytes) => void bytesOf(memory, mapping, "write", bytes),
      },
    };
  },
});

const BYTES = 64 * 1024;

function bytesOf(
  memory: HostMemory,
  { segments }: Mapping,
  use: "read" | "write",
  bytes: Uint8Array,
): Uint8Array {
  let at = 0;
  for (let index = 0; index < segments.count; index++) {
    const piece = bytes.subarray(at, at + segments.lengthBytes(index));
    memory[use](segments.address(index) as number as PhysicalAddress, piece);
    at += piece.length;
  }
  return bytes;
}

const pattern = (seed: number): Uint8Array =>
  Uint8Array.from({ length: BYTES }, (_, at) => (at * 7 + seed) & 0xff);

const codeOf = (act: () => unknown): unknown => {
  try {
    act();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return "no error";
};

export function platformScenarios(open: () => Promise<Ground> | Ground): void {
  const onGround = async (
    work: (framework: Framework, ground: Ground, api: ReaderApi) => Promise<void>,
  ): Promise<void> => {
    const ground = await open();
    const before = ground.taken();
    const framework = createFramework(ground);
    const { api } = framework.openImporter(reader, ground.deviceId, undefined);
    await work(framework, ground, api);
    framework.close();
    expect(ground.taken()).toBe(before);
    ground.close();
  };

  it("what the CPU writes the importer reads, and the other way round, in place", () =>
    onGround(async (framework, _ground, api) => {
      const heap = framework.openExporter(systemHeap, undefined, undefined);
      using buffer = heap.allocate(BYTES);
      using attachment = buffer.attach(api.importer);
      await buffer.write(0, pattern(1));
      using mapping = attachment.map("bidirectional");
      expect(mapping.target).toBe("system");
      expect(mapping.route).toBe("system");
      expect(mapping.copied).toBe(false);

      expect(api.read(mapping)).toEqual(pattern(1));
      api.write(mapping, pattern(2));
      expect(await buffer.read(0, BYTES)).toEqual(pattern(2));
    }));

  it("two importers see one buffer", () =>
    onGround(async (framework, _ground, api) => {
      const heap = framework.openExporter(systemHeap, undefined, undefined);
      using buffer = heap.allocate(BYTES);
      using one = buffer.attach(api.importer);
      using two = buffer.attach(api.importer);
      using first = one.map("to-device");
      using second = two.map("from-device");
      api.write(second, pattern(3));
      expect(api.read(first)).toEqual(pattern(3));
    }));

  it("keeps who decided what, to the end", () =>
    onGround(async (framework, _ground, api) => {
      const heap = framework.openExporter(systemHeap, undefined, undefined);
      using buffer = heap.allocate(BYTES);
      using attachment = buffer.attach(api.importer);
      using mapping = attachment.map("to-device");
      const stages = attachment.decisions.map(({ party, stage }) => `${party} ${stage}`);
      expect(mapping.type).toBe(DMA);
      for (const stage of ["importer attach", "exporter map", "dma map", "importer map"]) {
        expect(stages.join("; ")).toContain(stage.split(" ")[1]);
      }
    }));

  it("refuses the wrong order and changes nothing", () =>
    onGround(async (framework, _ground, api) => {
      const heap = framework.openExporter(systemHeap, undefined, undefined);
      const buffer = heap.allocate(BYTES);
      const attachment = buffer.attach(api.importer);
      const mapping = attachment.map("to-device");
      expect(codeOf(() => attachment.detach())).toBe("WRONG_ORDER");
      expect(codeOf(() => buffer.close())).toBe("BUFFER_BUSY");
      mapping.unmap();
      expect(codeOf(() => mapping.unmap())).toBe("HANDLE_CLOSED");
      expect(codeOf(() => mapping.segments)).toBe("HANDLE_CLOSED");
      attachment.detach();
      expect(codeOf(() => attachment.map("to-device"))).toBe("WRONG_ORDER");
      buffer.close();
      expect(codeOf(() => buffer.close())).toBe("BUFFER_CLOSED");
    }));

  it("refuses sizes that are no pages, and devices that are not there", () =>
    onGround(async (framework) => {
      const heap = framework.openExporter(systemHeap, undefined, undefined);
      expect(codeOf(() => heap.allocate(0))).toBe("SIZE_INVALID");
      expect(codeOf(() => heap.allocate(4097))).toBe("SIZE_INVALID");
      const open = (): unknown => framework.openImporter(reader, "nowhere", undefined);
      expect(codeOf(open)).toBe("DEVICE_UNKNOWN");
    }));

  it("gives everything back when the framework closes over a user's leak, and names it", async () => {
    const ground = await open();
    const before = ground.taken();
    const framework = createFramework(ground);
    const { api } = framework.openImporter(reader, ground.deviceId, undefined);
    const heap = framework.openExporter(systemHeap, undefined, undefined);
    heap.allocate(BYTES, { name: "forgotten" }).attach(api.importer).map("to-device");
    expect(codeOf(() => framework.close())).toBe("HANDLE_LEAKED");
    expect(ground.taken()).toBe(before);
    ground.close();
  });
}
