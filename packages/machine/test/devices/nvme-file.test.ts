import {
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createNvmeController } from "@peerbuf/machine";
import { afterAll, describe, expect, it } from "vitest";
import { BLOCK, DATA, NvmeBench, transfer } from "./nvme-bench.ts";

const folder = mkdtempSync(join(tmpdir(), "peerbuf-nvme-"));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
const newPath = (): string => join(folder, `drive-${files++}`);

function fileOf(bytes: Uint8Array): string {
  const path = newPath();
  writeFileSync(path, bytes);
  return path;
}

const MIB = 2 ** 20;

describe("NVMe controller, namespace in a file", () => {
  it("keeps its blocks in the file, where another drive finds them again", () => {
    const path = newPath();
    using first = new NvmeBench({ file: { path, create: true } }).ready();
    const bytes = first.fillMemory(DATA, 2 * BLOCK);
    first.io(transfer(1, 5, 2, DATA));
    first.io({ opcode: 0 });
    first.model.close();

    using second = new NvmeBench({ file: { path } }).ready();
    const { status } = second.io(transfer(2, 5, 2, 0x20_0000));

    const back = new Uint8Array(2 * BLOCK);
    second.port.memory.read(0x20_0000, back);
    expect(status).toBe(0);
    expect(back).toEqual(bytes);
    expect(readFileSync(path).subarray(5 * BLOCK, 7 * BLOCK)).toEqual(Buffer.from(bytes));
    expect(readFileSync(path)).toHaveLength(MIB);
  });

  it("is as large as the file when no capacity is stated, and has a write cache", () => {
    using bench = new NvmeBench({
      file: { path: fileOf(new Uint8Array(24 * BLOCK)) },
      capacityBytes: undefined,
    }).ready();

    bench.admin({ opcode: 0x06, namespace: 1, prp1: DATA, dwords: [0] });
    bench.admin({ opcode: 0x06, prp1: DATA + 4096, dwords: [1] });

    expect(bench.port.memory.readNumber(DATA, 8)).toBe(24);
    expect(bench.port.memory.readNumber(DATA + 4096 + 525, 1)).toBe(1);
  });

  it("writes zeros into the file", () => {
    const path = fileOf(new Uint8Array(MIB).fill(0x5a));
    using bench = new NvmeBench({ file: { path } }).ready();

    bench.io({ opcode: 0x08, dwords: [1, 0, 0] });

    const now = readFileSync(path);
    expect([now[BLOCK - 1], now[BLOCK], now[2 * BLOCK - 1], now[2 * BLOCK]]).toEqual([
      0x5a, 0, 0, 0x5a,
    ]);
  });

  it("stores all ones where the data could not be read, and fails the command", () => {
    const path = fileOf(new Uint8Array(MIB));
    using bench = new NvmeBench({ file: { path } }).ready();
    bench.port.holes.push([DATA, DATA + 4096]);

    const { status } = bench.io(transfer(1, 0, 1, DATA));

    expect(status).toBe(0x004);
    expect(readFileSync(path).subarray(0, BLOCK)).toEqual(Buffer.alloc(BLOCK, 0xff));
  });

  it("reports an unrecovered read error when somebody made the file shorter", () => {
    const path = fileOf(new Uint8Array(MIB));
    using bench = new NvmeBench({ file: { path } }).ready();
    truncateSync(path, 4096);

    expect(bench.io(transfer(2, 8, 1, DATA)).status).toBe(0x281);
    expect(bench.io(transfer(2, 7, 1, DATA)).status).toBe(0);
  });

  it("is not ready any more when it is closed, and can be closed twice", () => {
    using bench = new NvmeBench({ file: { path: fileOf(new Uint8Array(MIB)) } }).ready();
    bench.model.close();

    const statuses = [
      bench.io(transfer(2, 0, 1, DATA)).status,
      bench.io(transfer(1, 0, 1, DATA)).status,
      bench.io({ opcode: 0x08, dwords: [0, 0, 0] }).status,
      bench.io({ opcode: 0 }).status,
    ];

    expect(statuses).toEqual(Array(4).fill(0x082));
  });

  it("is not reached past the controller: its file is", () => {
    using model = createNvmeController({ file: { path: fileOf(new Uint8Array(MIB)) } });

    expect(() => model.inspect().namespace).toThrow("kept in a file");
  });

  it.each([
    ["a file that is not there", () => ({ path: newPath() }), undefined, "ENOENT"],
    ["a folder", () => ({ path: folder }), undefined, "EISDIR"],
    ["a device", () => ({ path: "/dev/null" }), undefined, "no ordinary file"],
    ["an empty file", () => ({ path: fileOf(new Uint8Array(0)) }), undefined, "it is empty"],
    ["a short file", () => ({ path: fileOf(new Uint8Array(BLOCK)) }), MIB, "fewer than"],
    ["a file of half blocks", () => ({ path: fileOf(new Uint8Array(700)) }), undefined, "multiple"],
    ["a new file without a size", () => ({ path: newPath(), create: true }), undefined, "size"],
    [
      "a new file where one is",
      () => ({ path: fileOf(new Uint8Array(BLOCK)), create: true }),
      MIB,
      "EEXIST",
    ],
  ])("refuses %s", (_, file, capacityBytes, cause) => {
    expect(() => createNvmeController({ file: file(), capacityBytes })).toThrow(
      expect.objectContaining({ name: "InputError", message: expect.stringContaining(cause) }),
    );
  });

  it("does not follow a link when it creates a file", () => {
    const path = newPath();
    symlinkSync(newPath(), path);

    expect(() =>
      createNvmeController({ file: { path, create: true }, capacityBytes: MIB }),
    ).toThrow("EEXIST");
  });
});
