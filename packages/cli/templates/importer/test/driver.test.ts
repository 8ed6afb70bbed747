/** my-driver: the contract of every importer, and what is special about this one. */
import { describeContract, importerContract } from "@peerbuf/testkit";
import { describe, expect, it } from "vitest";
import driver, { check } from "../src/driver.ts";

describeContract(importerContract(driver, check), { describe, it });

describe("my-driver", () => {
  it("needs a device: it is opened once for each", () => {
    expect(driver.needsDevice).toBe(true);
  });
});
