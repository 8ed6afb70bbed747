/** Who is given a device by the platform is also reported as done with it, once, whatever happens in between. */
import { createFramework, type Device, defineImporter, type Platform } from "@peerbuf/core";
import { describe, expect, it } from "vitest";
import { benchPlatform, judgeOf } from "./bench-platform.ts";

function scene() {
  const calls: string[] = [];
  const name = (device: Device | undefined): string => device?.id ?? "none";
  const platform: Platform = {
    ...benchPlatform(),
    provide: (device) => void calls.push(`provide ${name(device)}`),
    release: (device) => void calls.push(`release ${name(device)}`),
  };
  return { calls, framework: createFramework({ platform, judge: judgeOf("bus-addr") }) };
}

const driver = (open: () => { close?(): void }) =>
  defineImporter({
    name: "reader",
    needsDevice: false,
    open: () => ({ api: {}, ...open() }),
  });

const fail = (): never => {
  throw new RangeError("broken");
};

describe("a device that a driver was given", () => {
  it("is released when the driver is closed, and not again when the framework is", () => {
    const { calls, framework } = scene();

    const opened = framework.openImporter(
      driver(() => ({})),
      "nic0",
      undefined,
    );
    opened.close();
    opened.close();
    framework.close();

    expect(calls).toEqual(["provide nic0", "release nic0"]);
  });

  it("is released when the driver could not be opened", () => {
    const { calls, framework } = scene();

    expect(() => framework.openImporter(driver(fail), "nic0", undefined)).toThrow(/broken/);

    expect(calls).toEqual(["provide nic0", "release nic0"]);
  });

  it("stays given while the driver cannot be closed, and is released with the framework at last", () => {
    const { calls, framework } = scene();
    const opened = framework.openImporter(
      driver(() => ({ close: fail })),
      "nic0",
      undefined,
    );

    expect(() => opened.close()).toThrow(/broken/);
    expect(calls).toEqual(["provide nic0"]);
    expect(() => framework.close()).toThrow(/broken/);

    expect(calls).toEqual(["provide nic0", "release nic0"]);
    expect(framework.handles().drivers).toBe(0);
  });

  it("a driver without hardware is reported in the same way", () => {
    const { calls, framework } = scene();

    framework.openImporter(
      driver(() => ({})),
      undefined,
      undefined,
    );
    framework.close();

    expect(calls).toEqual(["provide none", "release none"]);
  });
});
