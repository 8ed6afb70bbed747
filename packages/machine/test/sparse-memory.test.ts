import { CHUNK_BYTES, SparseMemory } from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

function contents(memory: SparseMemory, offset: number, lengthBytes: number): Uint8Array {
  const found = new Uint8Array(lengthBytes);
  memory.read(offset, found);
  return found;
}

describe("sparse memory", () => {
  it("of a tebibyte commits nothing until something is written, and reads as zeros", () => {
    const memory = new SparseMemory(2 ** 40);

    expect(contents(memory, 2 ** 39, 4)).toEqual(bytes(0, 0, 0, 0));
    expect(memory.committedBytes).toBe(0);
  });

  it("commits one chunk for a write, and two for one over a border", () => {
    const memory = new SparseMemory(2 ** 40);

    memory.write(100, bytes(1));
    expect(memory.committedBytes).toBe(CHUNK_BYTES);

    memory.write(2 * CHUNK_BYTES - 1, bytes(1, 2));
    expect(memory.committedBytes).toBe(3 * CHUNK_BYTES);
    expect(contents(memory, 2 * CHUNK_BYTES - 2, 4)).toEqual(bytes(0, 1, 2, 0));
  });

  it("commits nothing for zeros, filled or copied from where nothing was written", () => {
    const memory = new SparseMemory(2 ** 30);

    memory.fill(0);
    new SparseMemory(2 ** 30).copyTo(0, memory, 0, 2 ** 30);

    expect(memory.committedBytes).toBe(0);
  });

  it("holds little-endian numbers of 1, 2, 4 and 8 bytes, over chunk borders too", () => {
    const memory = new SparseMemory(2 * CHUNK_BYTES);
    for (const [size, value] of [
      [1, 0xfe],
      [2, 0xfedc],
      [4, 0xfedc_ba98],
      [8, 2 ** 53 - 1],
    ] as const) {
      const offset = CHUNK_BYTES - Math.ceil(size / 2);
      memory.writeNumber(offset, size, value);

      expect(memory.readNumber(offset, size)).toBe(value);
      expect(contents(memory, offset, 1)[0]).toBe(value % 256);
    }
  });

  it("refuses what is not within it, and changes nothing", () => {
    const memory = new SparseMemory(4096);
    const outside = expect.objectContaining({ code: "ARGUMENT_INVALID" });

    expect(() => memory.write(4095, bytes(1, 2))).toThrow(outside);
    expect(() => memory.read(-1, new Uint8Array(1))).toThrow(outside);
    expect(() => memory.fill(1, 4096, 1)).toThrow(outside);
    expect(() => memory.copyTo(0, new SparseMemory(10), 8, 4)).toThrow(outside);
    expect(memory.committedBytes).toBe(0);
  });

  it("is back to zeros, with nothing committed, after clear", () => {
    const memory = new SparseMemory(4096);
    memory.fill(7);

    memory.clear();

    expect(contents(memory, 0, 4)).toEqual(bytes(0, 0, 0, 0));
    expect(memory.committedBytes).toBe(0);
  });

  it("behaves like plain arrays under any writes, fills and copies, overlapping ones too", () => {
    const size = 3 * CHUNK_BYTES;
    const near = fc.oneof(
      fc.integer({ min: 0, max: 200 }),
      fc.integer({ min: CHUNK_BYTES - 100, max: CHUNK_BYTES + 100 }),
      fc.integer({ min: 2 * CHUNK_BYTES - 100, max: 2 * CHUNK_BYTES + 100 }),
    );
    const step = fc.record({
      kind: fc.constantFrom("write", "fill", "copy", "copy-other"),
      offset: near,
      targetOffset: near,
      length: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.constant(CHUNK_BYTES - 50)),
      value: fc.integer({ min: 0, max: 255 }),
    });
    const memories = [new SparseMemory(size), new SparseMemory(size)] as const;
    const arrays = [new Uint8Array(size), new Uint8Array(size)] as const;

    fc.assert(
      fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
        for (const { kind, offset, targetOffset, length: wanted, value } of steps) {
          const length = Math.min(wanted, size - Math.max(offset, targetOffset));
          if (kind === "write") {
            const data = Uint8Array.from({ length }, (_, index) => value + index);
            memories[0].write(offset, data);
            arrays[0].set(data, offset);
          } else if (kind === "fill") {
            memories[0].fill(value, offset, length);
            arrays[0].fill(value, offset, offset + length);
          } else {
            const to = kind === "copy" ? 0 : 1;
            memories[0].copyTo(offset, memories[to], targetOffset, length);
            arrays[to].set(arrays[0].slice(offset, offset + length), targetOffset);
          }
        }
        for (const side of [0, 1] as const) {
          expect(Buffer.compare(contents(memories[side], 0, size), arrays[side])).toBe(0);
        }
      }),
      { numRuns: 25 },
    );
  });
});
