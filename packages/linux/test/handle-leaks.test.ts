/** A forgotten handle is given back and reported with the line that made it. */
import { setTimeout } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Channel, channelPair, openHandles, sharedMemory } from "@peerbuf/linux";
import { describe, expect, it } from "vitest";
import { openDescriptorCount } from "./open-descriptors.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const forget = (): void => {
  sharedMemory(4096, "forgotten").withBytesSync("write", (bytes) => bytes.fill(1));
};

describe.skipIf(process.platform !== "linux")("a handle that nobody closes", () => {
  it("is listed while it is out, with the place where it was made", () => {
    using buffer = sharedMemory(4096, "listed");
    buffer.withBytesSync("read", () => undefined);

    const mine = openHandles().filter(({ what }) => what.includes("listed"));
    expect(mine.map(({ what }) => what.replace(/\d+/, "N"))).toEqual([
      'descriptor N of memfd "listed"',
      'mapping of memfd "listed"',
    ]);
    expect(mine[0]?.madeAt).toContain("handle-leaks.test.ts");
  });

  it("is given back when it is collected, and a warning names its maker", async () => {
    const warnings: string[] = [];
    const listen = (warning: Error): number => warnings.push(warning.message);
    process.on("warning", listen);
    const before = openDescriptorCount();

    forget();
    // A new handle is held for a moment before its collection is watched.
    for (let turn = 0; turn < 500 && openDescriptorCount() > before; turn++) {
      collectGarbage();
      await setTimeout(10);
    }
    await new Promise(setImmediate);
    process.off("warning", listen);

    expect(openDescriptorCount()).toBe(before);
    expect(warnings.some((text) => /forgotten.*never closed.*handle-leaks/s.test(text))).toBe(true);
  });

  it("is not collected while it is waited for", async () => {
    const [far, woken] = (() => {
      const [channel, theirs] = channelPair();
      return [new Channel(theirs), channel.receive().then((delivery) => delivery?.meta)] as const;
    })();
    for (let turn = 0; turn < 30; turn++) {
      collectGarbage();
      await setTimeout(10);
    }
    await far.share({}, "still there");
    expect(await woken).toBe("still there");
    far.close();
  });

  it("keeps its mapping as long as somebody has the bytes", async () => {
    const view = (() => {
      const buffer = sharedMemory(4096, "kept");
      const access = buffer.beginCpuAccess("write");
      return access.bytes;
    })();
    view.fill(0x77);
    for (let turn = 0; turn < 10; turn++) {
      collectGarbage();
      await new Promise(setImmediate);
    }
    expect(view.length === 0 || view[4095] === 0x77).toBe(true);
    expect(view.length).toBe(4096);
  });
});
