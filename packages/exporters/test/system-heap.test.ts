import { systemHeap } from "@peerbuf/exporters";
import { describe, expect, it } from "vitest";
import { expectSameBytes, pattern, startServer } from "../../importers/test/server-machine.ts";

describe("system heap", () => {
  it("gives zeroed memory that the CPU can write and read, wherever its pages lie", async () => {
    using server = startServer({ machine: { pagePlacement: "scattered" } });
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);
    using buffer = heap.allocate(5 * 4096);
    const expected = new Uint8Array(5 * 4096);
    expectSameBytes(await buffer.read(0, expected.length), expected);

    for (const [offset, length] of [
      [4000, 200],
      [8192, 4096],
      [20_479, 1],
      [1, 20_000],
    ] as const) {
      const bytes = pattern(length, offset);
      await buffer.write(offset, bytes);
      expected.set(bytes, offset);
    }

    expectSameBytes(await buffer.read(0, expected.length), expected);
    expectSameBytes(await buffer.read(4099, 9000), expected.subarray(4099, 13_099));
  });

  it("refuses a wish it does not know by name", () => {
    using server = startServer();
    const heap = server.framework.openExporter(systemHeap, undefined, undefined);

    expect(() => heap.allocate(4096, { colour: "blue" })).toThrow(
      expect.objectContaining({
        code: "ARGUMENT_INVALID",
        message: expect.stringContaining('no option "colour"'),
      }),
    );
  });
});
