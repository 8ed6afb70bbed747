import { walkSgl } from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FakePort } from "./fake-port.ts";
import { BLOCK, type Command, DATA, NvmeBench } from "./nvme-bench.ts";

const SGL = 0x40;
const LIST = 0x6000;
const NEXT_LIST = 0x7000;
const [DATA_BLOCK, BIT_BUCKET, SEGMENT, LAST_SEGMENT, KEYED] = [0, 1, 2, 3, 4];

/** `[type, address, lengthBytes]`. */
type Row = readonly [number, number, number];

function putSegment(port: FakePort, address: number, rows: readonly Row[]): void {
  rows.forEach(([type, at, lengthBytes], index) => {
    port.memory.writeNumber(address + 16 * index, 8, at);
    port.memory.writeNumber(address + 16 * index + 8, 4, lengthBytes);
    port.memory.writeNumber(address + 16 * index + 12, 4, type * 2 ** 28);
  });
}

/** Reads (2) or writes (1) blocks from 0 on, with the command's own descriptor. */
const command = (
  opcode: 1 | 2,
  blocks: number,
  [type, address, lengthBytes]: Row,
  flags = SGL,
): Command => ({
  opcode,
  flags,
  prp1: address,
  sgl: { type, lengthBytes },
  dwords: [0, 0, blocks - 1],
});

const segmentOf = (rows: readonly Row[], type = LAST_SEGMENT): Row => [
  type,
  LIST,
  16 * rows.length,
];

describe("NVMe controller, SGLs", () => {
  it("are stated in the identity, with bit buckets", () => {
    const bench = new NvmeBench().ready();

    bench.admin({ opcode: 0x06, prp1: DATA, dwords: [1] });

    expect(bench.port.memory.readNumber(DATA + 536, 4)).toBe(0x1_0001);
  });

  it("move blocks to and from any byte of memory with one descriptor", () => {
    const bench = new NvmeBench().ready();
    const bytes = bench.fillMemory(DATA + 1, 2 * BLOCK);

    const stored = bench.io(command(1, 2, [DATA_BLOCK, DATA + 1, 2 * BLOCK]));
    const loaded = bench.io(command(2, 2, [DATA_BLOCK, 0x20_0003, 2 * BLOCK]));

    expect([stored.status, loaded.status]).toEqual([0, 0]);
    expect(bench.media(0, 2 * BLOCK)).toEqual(bytes);
    const back = new Uint8Array(2 * BLOCK);
    bench.port.memory.read(0x20_0003, back);
    expect(back).toEqual(bytes);
  });

  it("lead from segment to segment, over data blocks of any length", () => {
    const bench = new NvmeBench().ready();
    const bytes = bench.fillMemory(DATA, BLOCK);
    const first: Row[] = [
      [DATA_BLOCK, DATA, 1],
      [DATA_BLOCK, DATA + 1, 0],
      [DATA_BLOCK, DATA + 1, 200],
      [LAST_SEGMENT, NEXT_LIST, 16],
    ];
    putSegment(bench.port, LIST, first);
    putSegment(bench.port, NEXT_LIST, [[DATA_BLOCK, DATA + 201, BLOCK - 201]]);

    const { status } = bench.io(command(1, 1, segmentOf(first, SEGMENT), 0x80));

    expect(status).toBe(0);
    expect(bench.media(0, BLOCK)).toEqual(bytes);
  });

  it("throw away what falls into a bit bucket of a read", () => {
    const bench = new NvmeBench().ready();
    const bytes = bench.fillMemory(DATA, 2 * BLOCK);
    bench.io(command(1, 2, [DATA_BLOCK, DATA, 2 * BLOCK]));
    bench.port.memory.fill(0x77, 0x20_0000, 4096);
    const rows: Row[] = [
      [BIT_BUCKET, 0, BLOCK],
      [DATA_BLOCK, 0x20_0000, 100],
      [BIT_BUCKET, 0, BLOCK - 100],
    ];
    putSegment(bench.port, LIST, rows);

    const { status } = bench.io(command(2, 2, segmentOf(rows)));

    expect(status).toBe(0);
    const arrived = new Uint8Array(101);
    bench.port.memory.read(0x20_0000, arrived);
    expect(arrived.subarray(0, 100)).toEqual(bytes.subarray(BLOCK, BLOCK + 100));
    expect(arrived[100]).toBe(0x77);
  });

  it("take nothing out of a bit bucket of a write", () => {
    const bench = new NvmeBench().ready();
    const bytes = bench.fillMemory(DATA, BLOCK);
    const rows: Row[] = [
      [BIT_BUCKET, 0, 4096],
      [DATA_BLOCK, DATA, BLOCK],
    ];
    putSegment(bench.port, LIST, rows);

    const { status } = bench.io(command(1, 1, segmentOf(rows)));

    expect(status).toBe(0);
    expect(bench.media(0, BLOCK)).toEqual(bytes);
  });

  it.each([
    ["a data block shorter than the data", [DATA_BLOCK, DATA, BLOCK - 1], 0x00f],
    ["a data block longer than the data", [DATA_BLOCK, DATA, BLOCK + 1], 0x00f],
    ["a keyed descriptor", [KEYED, DATA, BLOCK], 0x011],
    ["a segment of no bytes", [LAST_SEGMENT, LIST, 0], 0x00d],
    ["a segment of half a descriptor", [LAST_SEGMENT, LIST, 24], 0x00d],
    ["a segment off a quad word", [LAST_SEGMENT, LIST + 4, 16], 0x00d],
    ["a segment that cannot be read", [LAST_SEGMENT, 0x9000_0000, 16], 0x004],
    ["a segment of more descriptors than it takes", [LAST_SEGMENT, LIST, 0x10_0010], 0x00e],
  ] as const)("refuse %s", (_, row, status) => {
    const bench = new NvmeBench().ready();

    expect(bench.io(command(2, 1, row)).status).toBe(status);
  });

  const FULL: Row = [DATA_BLOCK, DATA, BLOCK];

  it.each<[string, Row[], number | undefined, number]>([
    ["a pointer that is not the last", [[LAST_SEGMENT, NEXT_LIST, 16], FULL], SEGMENT, 0x00e],
    ["a pointer in the last segment", [FULL, [SEGMENT, NEXT_LIST, 16]], LAST_SEGMENT, 0x00d],
    ["a segment that ends without a pointer", [FULL], SEGMENT, 0x00d],
    ["more data than the command's", [FULL, [DATA_BLOCK, DATA, 1]], LAST_SEGMENT, 0x00f],
    ["a transport descriptor", [[5, DATA, BLOCK]], LAST_SEGMENT, 0x011],
    ["a segment that leads back to itself", [[SEGMENT, LIST, 16]], SEGMENT, 0x00e],
  ])("refuse %s", (_, rows, type, status) => {
    const bench = new NvmeBench().ready();
    putSegment(bench.port, LIST, rows);

    expect(bench.io(command(2, 1, segmentOf(rows, type))).status).toBe(status);
    expect(bench.status).toBe(1);
  });

  it("refuse a descriptor that is an offset and no address", () => {
    const bench = new NvmeBench().ready();
    putSegment(bench.port, LIST, [FULL]);
    bench.port.memory.writeNumber(LIST + 15, 1, 0x01);

    expect(bench.io(command(2, 1, segmentOf([FULL]))).status).toBe(0x011);
  });

  it("never lead the walker anywhere but to a status, whatever stands in memory", () => {
    const types = fc.constantFrom(0, 1, 2, 2, 3, 4, 15);
    const rows = fc.array(
      fc.tuple(types, fc.nat(0x4000), fc.oneof(fc.nat(600), fc.constant(16), fc.constant(64))),
      { minLength: 1, maxLength: 40 },
    );

    fc.assert(
      fc.property(rows, types, fc.integer({ min: 1, max: 4096 }), (table, type, lengthBytes) => {
        const port = new FakePort();
        putSegment(port, 0, table as Row[]);

        const first = { type, address: 0, lengthBytes: 16 * table.length };
        const walked = walkSgl(port, first, lengthBytes, "to-host");

        if (walked.status === 0) {
          const lengths = walked.runs.filter((_, index) => index % 2 === 1);
          expect(lengths.reduce((sum, each) => sum + each, 0)).toBe(lengthBytes);
        } else {
          expect([0x004, 0x00d, 0x00e, 0x00f, 0x011]).toContain(walked.status);
        }
      }),
    );
  });
});
