/** `peerbuf run --live` on the real kernel: a dma-buf to another process and to the devices that there are. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ANY_EXPORTER, hasSystemHeap } from "./any-dma-buf.ts";

const COMMAND = fileURLToPath(new URL("../../../packages/cli/bin/peerbuf.js", import.meta.url));
const isBuilt = existsSync(fileURLToPath(new URL("../../../packages/cli/dist", import.meta.url)));
/** The whole command starts, in emulation. */
const LIMIT_MS = 300_000;

describe.skipIf(!isBuilt)("run --live (skipped before npm run build)", () => {
  it(
    "hands a dma-buf to a process, attaches vgem, records that virtio_gpu declines, and hands over memory of both",
    () => {
      const argv = [COMMAND, "run", "--live", "--json"];
      const answer = JSON.parse(execFileSync(process.execPath, argv, { encoding: "utf8" }));

      expect(answer).toMatchObject(
        hasSystemHeap
          ? { memory: "dma-heap", ok: true, missing: [] }
          : { memory: "udmabuf", ok: true },
      );
      const [toProcess, ...toDevices] = answer.transfers;
      expect(toProcess).toMatchObject({ provider: ANY_EXPORTER, state: "arrived" });
      expect(toProcess.sha256.destination).toBe(toProcess.sha256.source);
      const vgem = toDevices.find(({ name }: { name: string }) => name === "memory to vgem");
      expect(vgem).toMatchObject({ state: "attached", attached: ["vgem"] });
      const virtio = toDevices.find(({ name }: { name: string }) => name.endsWith("virtio_gpu"));
      expect(virtio).toMatchObject({ state: "declined" });
      expect(virtio.decisions.at(-1).reason).toBe("KERNEL_ENODEV");

      const own = (name: string): unknown =>
        answer.transfers.find((each: { name: string }) => each.name === name);
      // The kernel names the part of DRM that exports for all drivers without an exporter of their own.
      const ofVgem = own("memory of vgem to another process");
      expect(ofVgem).toMatchObject({ state: "arrived", provider: "drm" });
      expect(own("memory of vgem to virtio_gpu")).toMatchObject({ state: "declined" });
      const told = [
        own("memory of virtio_gpu to another process"),
        answer.missing.find(({ what }: { what: string }) =>
          what.startsWith("memory of virtio_gpu"),
        ),
      ];
      expect(told.filter((each) => each !== undefined)).toHaveLength(1);
    },
    LIMIT_MS,
  );
});
