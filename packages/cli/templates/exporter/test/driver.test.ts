/** my-driver: the contract of every exporter, and what is special about this one. */
import { createWorld, describeContract, exporterContract } from "@peerbuf/testkit";
import { describe, expect, it } from "vitest";
import driver from "../src/driver.ts";

describeContract(exporterContract(driver), { describe, it });

describe("my-driver", () => {
  it("keeps the bytes that the CPU writes", async () => {
    const world = createWorld({ decisions: { choose: () => 0 } });
    const exporter = world.openExporter(driver, undefined, undefined);
    const buffer = exporter.allocate(4096);

    await buffer.write(0, Uint8Array.of(1, 2, 3));

    expect([...(await buffer.read(0, 3))]).toEqual([1, 2, 3]);
    buffer.close();
    exporter.close();
  });

  it("refuses an option that it does not know", () => {
    const world = createWorld({ decisions: { choose: () => 0 } });
    const exporter = world.openExporter(driver, undefined, undefined);

    expect(() => exporter.allocate(4096, { colour: "blue" })).toThrow(/colour/);
  });
});
