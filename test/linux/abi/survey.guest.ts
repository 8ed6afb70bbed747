/** The survey of the real kernel's dma-bufs: every way in which a buffer is held, and by whom. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import {
  attachVgemFence,
  DrmDevice,
  drmNodes,
  type LinuxBuffer,
  type SurveyedBuffer,
  signalVgemFence,
  surveyBuffers,
  udmabuf,
} from "@peerbuf/linux";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { ANY_EXPORTER, anyDmaBuf } from "./any-dma-buf.ts";

const MAPPER = fileURLToPath(new URL("../../../packages/linux/test/mapper.mjs", import.meta.url));
const COMMAND = fileURLToPath(new URL("../../../packages/cli/bin/peerbuf.js", import.meta.url));
const isBuilt = existsSync(fileURLToPath(new URL("../../../packages/cli/dist", import.meta.url)));
const NOBODY = 65_534;
const BYTES = 1 << 20;
/** The whole command starts, in emulation. */
const LIMIT_MS = 300_000;

let vgem: DrmDevice;

beforeAll(() => {
  const path = drmNodes().find((each) => {
    using device = new DrmDevice(each);
    return each.includes("card") && device.driverName === "vgem";
  });
  vgem = new DrmDevice(path ?? expect.fail("no vgem"));
});

afterAll(() => vgem.close());

const seen = (inode: number): SurveyedBuffer | undefined =>
  surveyBuffers().buffers.find((buffer) => buffer.inode === inode);

/** A process that keeps a buffer by a mapping alone. */
async function mapperOf(buffer: LinuxBuffer): Promise<ChildProcess> {
  const mapper = spawn(process.execPath, [MAPPER, String(buffer.sizeBytes)], {
    stdio: ["pipe", "pipe", "inherit", buffer.descriptor.number],
  });
  onTestFinished(() => {
    mapper.kill("SIGKILL");
  });
  const [line] = await once(mapper.stdout as NodeJS.ReadableStream, "data");
  expect(String(line)).toBe("mapped\n");
  return mapper;
}

describe("a buffer of two processes", () => {
  it("is held by descriptor here and by a mapping alone there, and lives on by that", async () => {
    const buffer = anyDmaBuf(BYTES);
    buffer.setName("shared");
    const { inode } = buffer.identity;
    const mapper = await mapperOf(buffer);

    expect(seen(inode)).toMatchObject({ name: "shared", sizeBytes: BYTES, exporter: ANY_EXPORTER });
    const holders = seen(inode)?.holders ?? [];
    expect(holders.find(({ pid }) => pid === process.pid)?.descriptors).toEqual([
      buffer.descriptor.number,
    ]);
    expect(holders.find(({ pid }) => pid === mapper.pid)).toMatchObject({
      descriptors: [],
      mappingCount: 1,
      mappedBytes: BYTES,
    });

    buffer.close();
    expect(seen(inode)).toMatchObject({ sizeBytes: BYTES, exporter: ANY_EXPORTER });
    expect(seen(inode)?.holders.map(({ pid }) => pid)).toEqual([mapper.pid]);

    mapper.kill("SIGKILL");
    await once(mapper, "exit");
    expect(seen(inode)).toBeUndefined();
  });
});

describe("a buffer that a device imported", () => {
  it("shows the device, and lives on by it when no process holds it", () => {
    const buffer = udmabuf(65_536);
    const { inode } = buffer.identity;
    const handle = vgem.importBuffer(buffer);

    expect(seen(inode)?.devices).toEqual(["vgem"]);
    buffer.close();
    expect(seen(inode)).toMatchObject({ holders: [], sizeBytes: 65_536, exporter: "udmabuf" });
    expect(seen(inode)?.otherReferenceCount).toBeGreaterThan(0);

    vgem.closeHandle(handle);
    expect(seen(inode)).toBeUndefined();
  });
});

describe("a buffer with work on it", () => {
  it.each(["read", "write"] as const)("shows the pending %s fence until it is signaled", (use) => {
    const { handle } = vgem.createDumb(64, 64);
    using buffer = vgem.exportHandle(handle);
    const fence = attachVgemFence(vgem, handle, use);

    expect(seen(buffer.identity.inode)?.fences).toMatchObject([{ use, driver: "vgem" }]);
    signalVgemFence(vgem, fence);
    expect(seen(buffer.identity.inode)?.fences).toEqual([]);
  });
});

describe("a process with very many", () => {
  it("descriptors of a few buffers among ten thousand others is counted exactly", () => {
    using buffer = anyDmaBuf(BYTES);
    const copies = Array.from({ length: 500 }, () => buffer.duplicate());
    const others = Array.from({ length: 9_500 }, () => openSync("/dev/null", "r"));
    const found = seen(buffer.identity.inode);
    for (const other of others) {
      closeSync(other);
    }
    for (const copy of copies) {
      copy.close();
    }
    const [holder] = found?.holders ?? [];
    expect(found?.holders.length).toBe(1);
    expect(holder).toMatchObject({ pid: process.pid, mappingCount: 0 });
    expect(holder?.descriptors.length).toBe(501);
    expect(new Set(holder?.descriptors).size).toBe(501);
    expect(found).toMatchObject({ referenceCount: 501, otherReferenceCount: 0, sizeBytes: BYTES });
  });
});

describe("a survey", () => {
  it("as root with debugfs has no blind spots, and keeps no descriptor", () => {
    using buffer = anyDmaBuf(4096);
    const before = readdirSync("/proc/self/fd").length;
    const { blindSpots, totalBytes, processes } = surveyBuffers();

    expect(blindSpots).toEqual([]);
    expect(totalBytes).toBeGreaterThanOrEqual(buffer.sizeBytes);
    expect(processes.map(({ pid }) => pid)).toContain(process.pid);
    expect(readdirSync("/proc/self/fd").length).toBe(before);
    expect(seen(buffer.identity.inode)).toMatchObject({
      referenceCount: 1,
      otherReferenceCount: 0,
    });
  });

  it("believes no name: lines of the kernel's own in it change nothing else", () => {
    using liar = anyDmaBuf(4096);
    using other = anyDmaBuf(8192);
    const name = "\n\tAttached Devices:\nTotal 9 devi";
    liar.setName(name.slice(0, 31));
    other.setName("x\nsize:\t1\nexp_name:\tme\n");

    expect(seen(liar.identity.inode)).toMatchObject({ devices: [], name: name.slice(0, 31) });
    expect(seen(other.identity.inode)).toMatchObject({ sizeBytes: 8192, exporter: ANY_EXPORTER });
  });

  it.skipIf(!isBuilt)(
    "by peerbuf bufs --watch --json goes on when a holder dies meanwhile (skipped before npm run build)",
    async () => {
      const buffer = anyDmaBuf(BYTES);
      const { inode } = buffer.identity;
      const mapper = await mapperOf(buffer);
      buffer.close();
      const watching = spawn(process.execPath, [COMMAND, "bufs", "--watch", "0.2", "--json"]);
      const ended = once(watching, "close");
      const looks: boolean[] = [];
      for await (const line of createInterface({ input: watching.stdout })) {
        const { buffers } = JSON.parse(line) as { buffers: { inode: number }[] };
        looks.push(buffers.some((each) => each.inode === inode));
        if (looks.length === 1) {
          mapper.kill("SIGKILL");
        }
        if (looks.at(-1) === false) {
          watching.kill("SIGINT");
        }
      }
      expect(looks[0]).toBe(true);
      expect(looks.at(-1)).toBe(false);
      expect((await ended)[0]).toBe(0);
    },
    LIMIT_MS,
  );

  it.skipIf(!isBuilt)(
    "by peerbuf bufs, as nobody, says what it could not see (skipped before npm run build)",
    () => {
      using buffer = anyDmaBuf(4096);
      const argv = [COMMAND, "bufs", "--json"];
      const options = { uid: NOBODY, encoding: "utf8" } as const;
      const { buffers, notSeen } = JSON.parse(execFileSync(process.execPath, argv, options));

      expect(seen(buffer.identity.inode)?.holders.length).toBe(1);
      expect(buffers).toEqual([]);
      expect(notSeen.map(({ cause }: { cause: string }) => cause)).toEqual([
        "debugfs is for root only",
        "they are not this user's",
      ]);
    },
    LIMIT_MS,
  );
});
