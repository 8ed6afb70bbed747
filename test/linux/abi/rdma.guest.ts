/** RDMA NICs and buffers: software RDMA over the guest's own network, and what it says to dma-bufs. */
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { createFramework, describeDecision, NegotiationError } from "@peerbuf/core";
import { systemHeap } from "@peerbuf/exporters";
import {
  createLinuxPlatform,
  dmaBufExporter,
  kernelJudge,
  RdmaDevice,
  RdmaNic,
  rdmaImporter,
  rdmaNodes,
  sharedMemory,
} from "@peerbuf/linux";
import { describe, expect, it } from "vitest";
import { ANY_SOURCE, anyDmaBuf } from "./any-dma-buf.ts";
import { openDescriptors as fds, refusal } from "./kernel-view.ts";

/** Runs a tool of iproute2; what it complained about, if it did. */
function complaintOf(command: string): string | undefined {
  const [tool = "", ...args] = command.split(" ");
  try {
    execFileSync(tool, args, { stdio: ["ignore", "pipe", "pipe"] });
    return undefined;
  } catch (error) {
    const { stderr, message } = error as { stderr?: Buffer; message: string };
    return `${command}: ${stderr?.toString().trim() || message}`;
  }
}

/**
 * Makes a NIC of each software driver that this kernel has: rxe needs an Ethernet device, siw takes loopback
 * as well. What went wrong.
 */
function setUp(): string {
  const added = complaintOf("ip link add peerbuf0 type dummy");
  const ethernet = readdirSync("/sys/class/net").find((name) => name !== "lo");
  const complaints =
    ethernet === undefined
      ? [added]
      : [
          complaintOf(`ip link set ${ethernet} up`),
          complaintOf(`rdma link add rxe0 type rxe netdev ${ethernet}`),
        ];
  complaints.push(complaintOf("rdma link add siw0 type siw netdev lo"));
  return complaints.filter((complaint) => complaint !== undefined).join("; ");
}

const problems = rdmaNodes().length > 0 ? "" : setUp();
const nodes = rdmaNodes();
if (problems !== "") {
  console.warn(`software RDMA: ${problems}`);
}

describe("what is no RDMA device", () => {
  it("is refused with a typed error, and nothing stays open", () => {
    const before = fds();
    expect(refusal(() => new RdmaDevice("/dev/infiniband/uverbs99"))).toBe(
      "PLATFORM_MISSING ENODEV",
    );
    expect(refusal(() => new RdmaDevice("/dev/null"))).toBe("SYSCALL_FAILED ENOTTY");
    expect(fds()).toBe(before);
  });
});

describe.skipIf(nodes.length === 0).each(nodes)("an RDMA device (%s)", (path) => {
  it("registers memory and gives keys, until it is given back", () => {
    const before = fds();
    using device = new RdmaDevice(path);
    expect(device.name).toMatch(/^(rxe|siw)0$/);
    using memory = sharedMemory(1 << 20);
    const one = device.register(memory, "bidirectional");
    using two = device.register(memory, "to-device");
    expect(one.way).toBe("memory");
    expect(one.sizeBytes).toBe(1 << 20);
    expect(one.localKey).toBeGreaterThan(0);
    expect(one.localKey).not.toBe(two.localKey);
    expect(device.regionCount).toBe(2);
    one.close();
    expect(device.regionCount).toBe(1);
    expect(refusal(() => one.close())).toBe("HANDLE_CLOSED EBADF");
    device.close();
    expect(two.isOpen).toBe(false);
    expect(refusal(() => device.register(memory, "to-device"))).toBe("HANDLE_CLOSED EBADF");
    memory.close();
    expect(fds()).toBe(before);
  });

  it("of a software driver takes no dma-buf, and says EOPNOTSUPP", () => {
    using device = new RdmaDevice(path);
    using buffer = anyDmaBuf(65536);
    expect(refusal(() => device.register(buffer, "bidirectional"))).toBe(
      "SYSCALL_FAILED EOPNOTSUPP",
    );
    expect(device.regionCount).toBe(0);
  });

  it("refuses regions of a buffer that is closed, and survives hundreds of registrations", () => {
    using device = new RdmaDevice(path);
    const memory = sharedMemory(4096);
    const before = fds();
    for (let round = 0; round < 200; round++) {
      using region = device.register(memory, "from-device");
      expect(region.isOpen).toBe(true);
    }
    expect(device.regionCount).toBe(0);
    expect(fds()).toBe(before);
    memory.close();
    expect(refusal(() => device.register(memory, "to-device"))).toBe("HANDLE_CLOSED EBADF");
  });
});

describe.skipIf(nodes.length === 0).each(nodes)("negotiating with an RDMA NIC (%s)", (path) => {
  it("registers system memory where it is, without a copy", async () => {
    const nic = new RdmaNic(path);
    using platform = createLinuxPlatform({ importers: [nic], memory: "memfd" });
    using framework = createFramework({ platform, judge: kernelJudge });
    const heap = framework.openExporter(systemHeap, undefined, undefined);
    const rdma = framework.openImporter(rdmaImporter, path, { nic }).api;
    using buffer = heap.allocate(65536);

    const registration = await rdma.register(buffer, "bidirectional");

    expect(registration.isCopy).toBe(false);
    expect(registration.target).toBe("system");
    expect(registration.regions.map(({ way }) => way)).toEqual(["memory"]);
    await registration.close();
    expect(nic.rdma.regionCount).toBe(0);
    expect(platform.handles().mappings).toBe(0);
  });

  it("falls back to memory of its own for a dma-buf, with the kernel's word on the record, both ways", async () => {
    const nic = new RdmaNic(path);
    using platform = createLinuxPlatform({ importers: [nic] });
    using framework = createFramework({ platform, judge: kernelJudge });
    using foreign = anyDmaBuf(65536);
    foreign.withBytesSync("write", (bytes) => bytes.fill(0x42));
    const exporter = framework.openExporter(dmaBufExporter, undefined, undefined);
    const rdma = framework.openImporter(rdmaImporter, path, { nic }).api;
    using buffer = exporter.allocate(65536, { fd: foreign.descriptor.number });

    const registration = await rdma.register(buffer, "bidirectional");

    expect(registration.isCopy).toBe(true);
    expect(registration.regions.map(({ way, sizeBytes }) => [way, sizeBytes])).toEqual([
      ["memory", 65536],
    ]);
    const record = registration.decisions.map(describeDecision).join("\n");
    expect(record).toMatch(/dma.*at map: decline.*EOPNOTSUPP.*\[KERNEL_EOPNOTSUPP\]/);
    expect(record).toMatch(/memory of this driver's own/);
    expect(record).toMatch(/\[COPIED_OUT\]/);
    await registration.close();
    expect(foreign.withBytesSync("read", (bytes) => [bytes[0], bytes[65535]])).toEqual([
      0x42, 0x42,
    ]);
    expect(registration.decisions.at(-1)?.reason.code).toBe("COPIED_BACK");
    expect(nic.rdma.regionCount).toBe(0);
    expect(platform.handles().mappings).toBe(0);
  });

  it("falls back to memory of its own for a heap of this platform as well", async () => {
    const nic = new RdmaNic(path);
    using platform = createLinuxPlatform({ importers: [nic], memory: ANY_SOURCE });
    using framework = createFramework({ platform, judge: kernelJudge });
    const heap = framework.openExporter(systemHeap, undefined, undefined);
    const rdma = framework.openImporter(rdmaImporter, path, { nic }).api;
    using buffer = heap.allocate(65536);
    await buffer.write(0, new Uint8Array(65536).fill(0x24));

    const registration = await rdma.register(buffer, "bidirectional");

    expect(registration.isCopy).toBe(true);
    expect(registration.target).toBe("system");
    expect(registration.regions.map(({ way }) => way)).toEqual(["memory"]);
    const record = registration.decisions.map(describeDecision).join("\n");
    expect(record).toMatch(/decline.*EOPNOTSUPP.*\[KERNEL_EOPNOTSUPP\][\s\S]*\[COPIED_OUT\]/);
    await registration.close();
    expect(new Set(await buffer.read(0, 65536))).toEqual(new Set([0x24]));
    expect(nic.rdma.regionCount).toBe(0);
  });

  it("says no with everybody's reasons where nobody may copy, and holds nothing", async () => {
    const before = fds();
    const nic = new RdmaNic(path);
    const platform = createLinuxPlatform({ importers: [nic], memory: ANY_SOURCE });
    const framework = createFramework({ platform, judge: kernelJudge });
    const heap = framework.openExporter(systemHeap, undefined, undefined);
    const rdma = framework.openImporter(rdmaImporter, path, { nic }).api;
    const buffer = heap.allocate(65536);

    const error = await rdma
      .register(buffer, "to-device", { copy: "never" })
      .catch((refused: unknown) => refused);

    expect(error).toBeInstanceOf(NegotiationError);
    expect((error as NegotiationError).message).toMatch(/COPY_FORBIDDEN|EOPNOTSUPP/);
    buffer.close();
    framework.close();
    platform.close();
    expect(fds()).toBe(before);
  });

  it("refuses a NIC that is another device's", () => {
    const nic = new RdmaNic(path);
    using platform = createLinuxPlatform({ importers: [nic] });
    using framework = createFramework({ platform, judge: kernelJudge });
    expect(refusal(() => framework.openImporter(rdmaImporter, "process", { nic }))).toBe(
      "ARGUMENT_INVALID EINVAL",
    );
  });
});
