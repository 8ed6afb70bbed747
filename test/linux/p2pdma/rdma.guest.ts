/**
 * RDMA NICs on a kernel with PCI_P2PDMA: all that holds on the stock kernel, with siw as well; and a drive's
 * memory for a NIC that can only take system memory.
 */
import { createFramework, describeDecision } from "@peerbuf/core";
import {
  createLinuxPlatform,
  kernelJudge,
  p2pMemoryExporter,
  p2pProviders,
  RdmaNic,
  rdmaImporter,
  rdmaNodes,
} from "@peerbuf/linux";
import { describe, expect, it } from "vitest";
import "../abi/rdma.guest.ts";

const BYTES = 65536;

describe.skipIf(rdmaNodes().length === 0)("a drive's memory for a software NIC", () => {
  it("moves to system memory after the kernel's refusal, bytes and all, and is registered there", async () => {
    const [path = ""] = rdmaNodes();
    const nic = new RdmaNic(path);
    using platform = createLinuxPlatform({ importers: [nic], memory: "memfd" });
    using framework = createFramework({ platform, judge: kernelJudge });
    const provider = p2pProviders()[0]?.bdf ?? "";
    const memory = framework.openExporter(p2pMemoryExporter, provider, undefined);
    const rdma = framework.openImporter(rdmaImporter, path, { nic }).api;
    using buffer = memory.allocate(BYTES);
    await buffer.write(0, new Uint8Array(BYTES).fill(0x6d));

    const registration = await rdma.register(buffer, "bidirectional");

    expect(registration.target).toBe("system");
    expect(registration.isCopy).toBe(false);
    expect(registration.regions.map(({ way }) => way)).toEqual(["memory"]);
    const record = registration.decisions.map(describeDecision).join("\n");
    expect(record).toMatch(/at map: decline.*takes dma-bufs[\s\S]*MOVED_TO_SYSTEM/);
    expect(new Set(await buffer.read(0, BYTES))).toEqual(new Set([0x6d]));
    await registration.close();
    expect(nic.rdma.regionCount).toBe(0);
  });
});
