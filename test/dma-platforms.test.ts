/**
 * DMA platforms: the drivers of the tree, unchanged, on every DMA platform of a captured machine.
 *
 * Bytes are compared at the far end, and at the end of each test nothing may be out. What a platform
 * cannot do is refused, and shows in the record.
 */
import {
  createFramework,
  describeDecision,
  type Framework,
  type NegotiationError,
  type OpenedExporter,
} from "@peerbuf/core";
import { gpu, systemHeap } from "@peerbuf/exporters";
import { connectQueuePairs, nvme, rdma } from "@peerbuf/importers";
import {
  createGpu,
  createMachine,
  createModelledPlatform,
  createNvmeController,
  createRdmaNic,
  type DmaPlatform,
  type Machine,
  type ModelledPlatform,
  type NvmeController,
  type PlatformOptions,
  RdmaWire,
} from "@peerbuf/machine";
import { ACS, createJudge, readCapture, rulesForKernel } from "@peerbuf/topology";
import { describe, expect, it } from "vitest";

const MIB = 2 ** 20;
const GPU = "0000:3b:00.0";
const NEAR_NIC = "0000:3d:00.0";
const FAR_NIC = "0000:15:00.0";
/** Below the GPU's switch; below its host bridge; below another host bridge. */
const DRIVES = ["0000:3e:00.0", "0000:3f:00.0", "0000:17:00.0"] as const;
const CAPTURE = new URL("fixtures/captures/server-05", import.meta.url).pathname;
const topology = await readCapture(CAPTURE);

interface Server extends Disposable {
  readonly machine: Machine;
  readonly platform: ModelledPlatform;
  readonly framework: Framework;
  readonly card: OpenedExporter<unknown>;
  readonly drives: readonly NvmeController[];
}

function start(options: PlatformOptions): Server {
  const machine = createMachine({ topology, pagePlacement: "scattered" });
  const wire = new RdmaWire();
  machine.place(GPU, createGpu({ vramBytes: 16 * MIB }));
  machine.place(NEAR_NIC, createRdmaNic({ wire }));
  machine.place(FAR_NIC, createRdmaNic({ wire }));
  const drives = DRIVES.map((bdf) => {
    const drive = createNvmeController({ capacityBytes: 16 * MIB });
    machine.place(bdf, drive);
    return drive;
  });
  const platform = createModelledPlatform(machine, options);
  const judge = createJudge(topology, rulesForKernel("6.12"));
  const framework = createFramework({ platform, judge });
  const dispose = (): void => {
    framework.close();
    expect(machine.handles()).toEqual({
      mappings: 0,
      coherent: 0,
      hostAllocations: 0,
      hostPages: 0,
      interruptHandlers: 0,
    });
    platform.close();
  };
  const card = framework.openExporter(gpu, GPU, undefined);
  return { machine, platform, framework, card, drives, [Symbol.dispose]: dispose };
}

/** Bytes that tell where they are: no two pages alike. */
function pattern(lengthBytes: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  let state = seed;
  for (let index = 0; index < lengthBytes; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

function onDrive({ drives }: Server, index: number): Uint8Array {
  const bytes = new Uint8Array(MIB);
  (drives[index] as NvmeController).inspect().namespace.read(0, bytes);
  return bytes;
}

const isSame = (one: Uint8Array, other: Uint8Array): boolean => Buffer.compare(one, other) === 0;

/** Writes a buffer of the GPU's to a drive; says by which way, and that every byte arrived. */
async function gpuToDrive(server: Server, index: number): Promise<string> {
  const drive = server.framework.openImporter(nvme, DRIVES[index] as string, undefined);
  using buffer = server.card.allocate(MIB);
  const bytes = pattern(MIB, index + 1);
  await buffer.write(0, bytes);

  const { negotiated } = await drive.api.write(buffer, { lba: 0 });

  expect(isSame(onDrive(server, index), bytes)).toBe(true);
  return `${negotiated.target} by ${negotiated.route}`;
}

/** Writes a buffer of host pages to a drive, and reads it back into another. */
async function heapToDriveAndBack(server: Server): Promise<void> {
  const heap = server.framework.openExporter(systemHeap, undefined, undefined);
  const drive = server.framework.openImporter(nvme, DRIVES[0], undefined);
  using source = heap.allocate(MIB);
  using target = heap.allocate(MIB);
  const bytes = pattern(MIB, 9);
  await source.write(0, bytes);

  await drive.api.write(source, { lba: 0 });
  await drive.api.read(target, { lba: 0 });

  expect(isSame(onDrive(server, 0), bytes)).toBe(true);
  expect(isSame(await target.read(0, MIB), bytes)).toBe(true);
}

/** The near NIC reads VRAM and writes it over the wire into host pages behind the far NIC. */
async function gpuOverWire({ framework, card }: Server): Promise<void> {
  const heap = framework.openExporter(systemHeap, undefined, undefined);
  const near = framework.openImporter(rdma, NEAR_NIC, undefined);
  const far = framework.openImporter(rdma, FAR_NIC, undefined);
  using source = card.allocate(MIB);
  using target = heap.allocate(MIB);
  const bytes = pattern(MIB, 5);
  await source.write(0, bytes);
  const local = await near.api.register(source);
  const remote = await far.api.register(target, { remoteWrite: true });
  const ends = [await near.api.createQueuePair(), await far.api.createQueuePair()] as const;
  await connectQueuePairs(...ends);

  await ends[0].write(local, remote);
  await Promise.all(ends.map((end) => end.close()));
  await local[Symbol.asyncDispose]();
  await remote[Symbol.asyncDispose]();

  expect(isSame(await target.read(0, MIB), bytes)).toBe(true);
}

const TRANSLATED = ["iommu", "iommu-lazy"] as const;
const FULL: readonly DmaPlatform[] = ["direct", ...TRANSLATED, "pass-through"];

describe.each(FULL)("on %s", (dma) => {
  it("a GPU's buffers reach drives below its switch, its host bridge and the other one", async () => {
    using server = start({ dma });

    expect([
      await gpuToDrive(server, 0),
      await gpuToDrive(server, 1),
      await gpuToDrive(server, 2),
    ]).toEqual(["device by bus-addr", "device by host-bridge", "system by system"]);
    expect(server.machine.inspect.faultCount).toBe(0);
  });

  it("host pages reach a drive and come back", async () => {
    using server = start({ dma });

    await heapToDriveAndBack(server);

    expect(server.machine.inspect.faultCount).toBe(0);
  });

  it("VRAM goes over the wire into host pages", async () => {
    using server = start({ dma });

    await gpuOverWire(server);

    expect(server.machine.inspect.faultCount).toBe(0);
  });

  it("without P2P operations a GPU's buffer reaches its neighbour through system memory", async () => {
    using server = start({ dma, peerToPeer: false });

    expect(await gpuToDrive(server, 0)).toBe("system by system");
  });
});

describe("on swiotlb", () => {
  it("peers below one switch need no bouncing", async () => {
    using server = start({ dma: "swiotlb" });

    expect(await gpuToDrive(server, 0)).toBe("device by bus-addr");
  });

  it("what would have to be bounced is refused with EIO, peers and shared pages alike, and says so", async () => {
    using server = start({ dma: "swiotlb" });

    const error = await gpuToDrive(server, 1).catch((reason: NegotiationError) => reason);

    expect(error).toMatchObject({ code: "MAP_DECLINED", errno: "EIO" });
    const { decisions } = error as NegotiationError;
    const codes = decisions.filter(({ party }) => party === "dma").map(({ reason }) => reason.code);
    expect(codes, decisions.map(describeDecision).join("\n")).toEqual([
      "P2P_NOT_BOUNCED",
      "SHARED_NOT_BOUNCED",
    ]);
  });

  it("bounced on demand, host pages reach a drive and come back, copied at map and unmap", async () => {
    using server = start({ dma: "swiotlb", swiotlb: { sharedBuffers: "bounce" } });

    await heapToDriveAndBack(server);
  });
});

it.each(TRANSLATED)(
  "%s translates the way through the host bridge, and never sees the way below",
  async (dma) => {
    using server = start({ dma });
    const passed = () => server.machine.inspect.passedBytes("root complex");

    await gpuToDrive(server, 0);
    const below = passed();
    await gpuToDrive(server, 1);

    // The GPU's staging of 1 MiB and the drivers' queues are in host memory: they pass it either way.
    expect(below).toBeLessThan(1.1 * MIB);
    expect(passed() - below).toBeGreaterThanOrEqual(2 * MIB);
  },
);

describe("ACS redirect is switched on behind the kernel's back, so that bus addresses go up", () => {
  function startRedirecting(dma: DmaPlatform): Server {
    const server = start({ dma });
    const port = topology.upstreamOf(topology.require(DRIVES[0]));
    server.machine.setAcsControl(topology.bdfOf(port), ACS.RR);
    return server;
  }

  it("an IOMMU does not map the peer's BAR: the drive's reads fault, and the command fails", async () => {
    using server = startRedirecting("iommu");

    await expect(gpuToDrive(server, 0)).rejects.toMatchObject({ code: "DEVICE_FAILED" });

    const [fault] = server.machine.inspect.recentFaults();
    expect(fault).toMatchObject({ requester: DRIVES[0], reason: "IOMMU_NOT_PRESENT", at: "iommu" });
  });

  it("in pass-through the root complex forwards them, and every byte arrives", async () => {
    using server = startRedirecting("pass-through");

    expect(await gpuToDrive(server, 0)).toBe("device by bus-addr");
  });
});
