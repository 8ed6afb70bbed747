/** Buffers of the kernel under an importer that brings memory of its own: the exporter copies, by the CPU. */
import {
  type Attachment,
  createFramework,
  DEVICE,
  type Direction,
  DMA,
  type DmaBuf,
  defineImporter,
  describeDecision,
  type Framework,
} from "@peerbuf/core";
import { systemHeap } from "@peerbuf/exporters";
import {
  createLinuxPlatform,
  dmaBufExporter,
  KERNEL_BUFFERS,
  kernelJudge,
  type LinuxBuffer,
  type LinuxPlatform,
  sharedMemory,
} from "@peerbuf/linux";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const SIZE = 16384;

/** A device of this process that works on memory of its own. */
const bouncing = defineImporter<
  { readonly own: LinuxBuffer },
  { attach(buffer: DmaBuf): Attachment }
>({
  name: "bouncing",
  needsDevice: true,
  open(services, { own }) {
    const device = services.get(DEVICE);
    const buffers = services.get(KERNEL_BUFFERS);
    const target = buffers.adopt(own);
    const reason = { code: "OWN", text: "works on its own memory" };
    return {
      api: {
        attach: (buffer) =>
          buffer.attach({
            name: "bouncing",
            device,
            offer: () => ({ answer: "offer", types: [{ type: DMA }], target, reason }),
          }),
      },
      close: () => buffers.forget(own),
    };
  },
});

let platform: LinuxPlatform;
let framework: Framework;
let foreign: LinuxBuffer;
let own: LinuxBuffer;
let buffer: DmaBuf;
let importer: { attach(buffer: DmaBuf): Attachment };
let attachment: Attachment;

beforeEach(() => {
  platform = createLinuxPlatform({ memory: "memfd" });
  framework = createFramework({ platform, judge: kernelJudge });
  foreign = sharedMemory(SIZE);
  own = sharedMemory(SIZE);
  const exporter = framework.openExporter(dmaBufExporter, undefined, undefined);
  importer = framework.openImporter(bouncing, "process", { own }).api;
  buffer = exporter.allocate(SIZE, { fd: foreign.descriptor.number });
  attachment = importer.attach(buffer);
});

afterEach(() => {
  attachment.detach();
  buffer.close();
  framework.close();
  platform.close();
  foreign.close();
  own.close();
});

const fill = (target: LinuxBuffer, value: number): void =>
  target.withBytesSync("write", (bytes) => {
    bytes.fill(value);
  });
const bytesOf = (source: LinuxBuffer): Set<number> =>
  source.withBytesSync("read", (bytes) => new Set(bytes));

async function worked(direction: Direction, work: () => void): Promise<void> {
  const mapping = attachment.map(direction);
  expect(mapping.copied).toBe(true);
  expect(await mapping.ready?.signaled()).toBeUndefined();
  work();
  expect(await mapping.unmap()?.signaled()).toBeUndefined();
}

describe("memory of the importer's own", () => {
  it("has the buffer's bytes when the device may read them", async () => {
    fill(foreign, 0x11);
    await worked("to-device", () => expect(bytesOf(own)).toEqual(new Set([0x11])));
    expect(bytesOf(foreign)).toEqual(new Set([0x11]));
  });

  it("is copied back when the device has written", async () => {
    fill(foreign, 0x11);
    await worked("from-device", () => fill(own, 0x22));
    expect(bytesOf(foreign)).toEqual(new Set([0x22]));
  });

  it("goes both ways, on the record with the bytes moved", async () => {
    fill(foreign, 0x33);
    await worked("bidirectional", () =>
      own.withBytesSync("write", (bytes) => bytes.fill(0x44, 0, SIZE / 2)),
    );
    expect(bytesOf(foreign)).toEqual(new Set([0x33, 0x44]));
    const record = attachment.decisions.map(describeDecision).join("\n");
    expect(record).toMatch(/COPIED_OUT[\s\S]*COPIED_BACK/);
    expect(attachment.decisions.at(-1)?.reason.numbers).toMatchObject({ bytes: SIZE });
  });
});

describe("system memory under an importer that brings its own", () => {
  it("is copied by the CPU, both ways", async () => {
    const heap = framework.openExporter(systemHeap, undefined, undefined);
    using pages = heap.allocate(SIZE);
    await pages.write(0, new Uint8Array(SIZE).fill(0x55));
    using attached = importer.attach(pages);

    const mapping = attached.map("bidirectional");
    expect(await mapping.ready?.signaled()).toBeUndefined();
    expect(bytesOf(own)).toEqual(new Set([0x55]));
    fill(own, 0x66);
    expect(await mapping.unmap()?.signaled()).toBeUndefined();

    expect(new Set(await pages.read(0, SIZE))).toEqual(new Set([0x66]));
    expect(attached.decisions.map(({ reason }) => reason.code)).toEqual(
      expect.arrayContaining(["OWN", "COPIED_OUT", "COPIED_BACK"]),
    );
  });
});
