/** The captured machines: what firmware and kernel laid out must be reachable in the model. */
import { readdirSync } from "node:fs";
import { createMachine } from "@peerbuf/machine";
import { readCapture } from "@peerbuf/topology";
import { describe, expect, it } from "vitest";

const CAPTURES = new URL("../../../test/fixtures/captures/", import.meta.url).pathname;

describe("a machine built from a capture", () => {
  it.each(readdirSync(CAPTURES))("%s: the processors reach every BAR in full", async (name) => {
    const machine = createMachine({ topology: await readCapture(`${CAPTURES}${name}`) });

    expect(machine.inspect.bars().length).toBeGreaterThan(0);
    expect(machine.inspect.unreachableBars()).toEqual([]);
  });
});
