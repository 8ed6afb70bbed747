import {
  type Attachment,
  type DmaBuf,
  type Importer,
  type Lifetime,
  type MappingOffer,
  P2P,
  PHYSICAL,
} from "@peerbuf/core";
import { type Vfio, vfio } from "@peerbuf/exporters";
import { nvme } from "@peerbuf/importers";
import { type BarMemory, createBarMemory, createNvmeController } from "@peerbuf/machine";
import { describe, expect, it } from "vitest";
import { type CapturedMachine, startCaptured } from "../../importers/test/captured-machine.ts";
import { expectSameBytes, MIB, pattern } from "../../importers/test/server-machine.ts";
import { Probe } from "./probe.ts";

/** Below one switch: the function in user space, a drive, and a device that the test itself plays. */
const HANDED = "0000:3b:00.0";
const DRIVE = "0000:3e:00.0";
const PROBE = "0000:3d:00.0";
const FAR_DRIVE = "0000:17:00.0";

interface Bench extends CapturedMachine {
  readonly card: BarMemory;
  readonly probe: Probe;
  /** What was done in configuration space, in order. */
  readonly done: string[];
  readonly api: Vfio;
  allocate(sizeBytes: number, options?: Record<string, number>): DmaBuf;
}

async function start(guard = true): Promise<Bench> {
  const card = createBarMemory();
  const probe = new Probe();
  // Commands so small that a transfer of megabytes is never in the queue as a whole.
  const drive = createNvmeController({ capacityBytes: 4 * MIB, mdts: 1 });
  const far = createNvmeController({ capacityBytes: 4 * MIB });
  const models = { [HANDED]: card, [PROBE]: probe, [DRIVE]: drive, [FAR_DRIVE]: far };
  const started = await startCaptured("server-05", models, { guard });
  started.machine.setCommand(PROBE, { busMaster: true });
  const done: string[] = [];
  const handed = {
    reset: () => {
      done.push("reset");
      card.reset();
    },
    setMemoryEnabled: (isEnabled: boolean) => {
      done.push(isEnabled ? "enable" : "disable");
      started.machine.setCommand(HANDED, { memory: isEnabled });
    },
  };
  const { api, allocate } = started.framework.openExporter(vfio, HANDED, handed);
  return { ...started, card, probe, done, api, allocate };
}

/** An importer on the probe. What it does when it is told to let go is the test's affair. */
function probeImporter(
  { platform }: Bench,
  lifetime: Lifetime,
  types: readonly MappingOffer[] = [{ type: P2P }],
  onInvalidate: (attachment: Attachment) => void = () => undefined,
): Importer {
  const base = {
    name: "probe",
    device: platform.device(PROBE),
    offer: () => ({ answer: "offer" as const, types }),
  };
  return lifetime === "pinned"
    ? base
    : { ...base, pins: lifetime === "revocable", invalidateMappings: onInvalidate };
}

const ones = (lengthBytes: number): Uint8Array => new Uint8Array(lengthBytes).fill(0xff);

function memoryOf({ card }: Bench, offset: number, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  card.inspect().memory?.read(offset, bytes);
  return bytes;
}

describe("VFIO driver, windows", () => {
  it("shows a drive the bytes of the BAR where they lie", async () => {
    using bench = await start();
    const drive = bench.framework.openImporter(nvme, DRIVE, undefined);
    const bytes = pattern(MIB);
    bench.card.inspect().memory?.write(2 * MIB, bytes);
    using buffer = bench.allocate(MIB, { offset: 2 * MIB });
    using copy = bench.allocate(MIB, { offset: 4 * MIB });

    const { negotiated } = await drive.api.write(buffer, { lba: 0 });
    await drive.api.read(copy, { lba: 0 });

    expect(negotiated).toMatchObject({ type: "p2p", target: "device", route: "bus-addr" });
    expectSameBytes(memoryOf(bench, 4 * MIB, MIB), bytes);
  });

  it("gives physical ranges, not mapped, to an importer with a translation of its own", async () => {
    using bench = await start();
    const types = [{ type: PHYSICAL }, { type: P2P }];
    using buffer = bench.allocate(8192, { offset: 4096 });
    using attachment = buffer.attach(probeImporter(bench, "revocable", types));
    using mapping = attachment.map("bidirectional");

    const bar = bench.machine.fabric.map.slots.find(
      ({ sizeBytes, row }) =>
        sizeBytes === 16 * MIB && bench.machine.topology.bdfOf(row) === HANDED,
    );
    expect(mapping.type).toBe(PHYSICAL);
    expect(mapping.segments.address(0)).toBe((bar?.start ?? 0) + 4096);
    expect(bench.machine.handles().mappings).toBe(0);
  });

  it("refuses windows that do not lie within a BAR", async () => {
    using bench = await start();
    const invalid = expect.objectContaining({ code: "ARGUMENT_INVALID" });

    expect(() => bench.allocate(4096, { offset: 100 })).toThrow(invalid);
    expect(() => bench.allocate(4096, { offset: 16 * MIB })).toThrow(invalid);
    expect(() => bench.allocate(4096, { bar: 1 })).toThrow(invalid);
    expect(() => bench.allocate(4096, { size: 1 })).toThrow(invalid);
  });

  it("gives the CPU no access, as vfio-pci does not", async () => {
    using bench = await start();
    using buffer = bench.allocate(4096);

    await expect(buffer.read(0, 16)).rejects.toMatchObject({ errno: "EINVAL" });
  });
});

describe("VFIO driver, who may attach", () => {
  it("declines an importer that cannot be told to let go", async () => {
    using bench = await start();
    using buffer = bench.allocate(4096);

    expect(() => buffer.attach(probeImporter(bench, "pinned"))).toThrow(
      expect.objectContaining({
        code: "NO_COMMON_TYPE",
        errno: "EOPNOTSUPP",
        message: expect.stringContaining("NOT_REVOCABLE"),
      }),
    );
  });

  it("accepts pinned importers that can be revoked", async () => {
    using bench = await start();
    using buffer = bench.allocate(4096);
    using attachment = buffer.attach(probeImporter(bench, "revocable"));

    attachment.pin();
    using mapping = attachment.map("bidirectional");

    expect(mapping.target).toBe("device");
    mapping.unmap();
    attachment.unpin();
  });

  it("has nothing for importers of system memory, or where topology allows no peers", async () => {
    using bench = await start();
    const far = bench.framework.openImporter(nvme, FAR_DRIVE, undefined);
    const near = bench.framework.openImporter(nvme, DRIVE, { peerToPeer: "decline" });
    using buffer = bench.allocate(4096);
    const message = expect.stringContaining("DEVICE_MEMORY_ONLY");
    const nothing = { code: "NO_COMMON_TYPE", errno: "EOPNOTSUPP", message };

    await expect(far.api.write(buffer, { lba: 0 })).rejects.toMatchObject(nothing);
    await expect(near.api.write(buffer, { lba: 0 })).rejects.toMatchObject(nothing);
  });
});

describe("VFIO driver, revocation", () => {
  it("lets nobody reach a byte after a reset with the addresses from before", async () => {
    using bench = await start();
    using buffer = bench.allocate(4096);
    const importer = probeImporter(bench, "movable", undefined, () => mapping.unmap());
    using attachment = buffer.attach(importer);
    using mapping = attachment.map("bidirectional");
    const address = mapping.segments.address(0);
    const secret = pattern(64);
    bench.probe.write(address, secret);
    expectSameBytes(bench.probe.read(address, 64), secret);

    await bench.api.reset();
    bench.card.inspect().memory?.write(0, secret);
    bench.probe.write(address, pattern(64, 9));

    expectSameBytes(bench.probe.read(address, 64), ones(64));
    expectSameBytes(memoryOf(bench, 0, 64), secret);
    expect(bench.platform.guardFaults).toBe(2);
    expect(bench.done).toEqual(["reset"]);
  });

  it("can be attached to and mapped again after a reset, with the memory cleared", async () => {
    using bench = await start();
    using buffer = bench.allocate(4096);
    const held: { unmap(): unknown }[] = [];
    const importer = probeImporter(bench, "movable", undefined, () => held.pop()?.unmap());
    using attachment = buffer.attach(importer);
    held.push(attachment.map("bidirectional"));
    bench.card.inspect().memory?.write(0, pattern(64));

    await bench.api.reset();
    using again = attachment.map("bidirectional");

    expectSameBytes(bench.probe.read(again.segments.address(0), 64), new Uint8Array(64));
    const revoked = attachment.decisions.find(({ stage }) => stage === "revoke");
    expect(revoked).toMatchObject({ party: "exporter", reason: { code: "FUNCTION_RESET" } });
  });

  it("refuses everything while the memory is disabled, and goes on after that", async () => {
    using bench = await start();
    using buffer = bench.allocate(4096);
    const importer = probeImporter(bench, "movable");
    const gone = expect.objectContaining({ code: "DEVICE_GONE", errno: "ENODEV" });

    await bench.api.disableMemory();

    expect(() => buffer.attach(importer)).toThrow(gone);
    expect(() => bench.allocate(4096)).toThrow(gone);
    bench.api.enableMemory();
    using attachment = buffer.attach(importer);
    using mapping = attachment.map("bidirectional");
    expect(mapping.target).toBe("device");
    expect(bench.done).toEqual(["disable", "enable"]);
  });

  it("leaves nothing to reach behind a disabled memory space, even where nobody guards", async () => {
    using bench = await start(false);
    using buffer = bench.allocate(4096);
    const importer = probeImporter(bench, "movable", undefined, () => mapping.unmap());
    using attachment = buffer.attach(importer);
    using mapping = attachment.map("bidirectional");
    const address = mapping.segments.address(0);
    bench.probe.write(address, pattern(64));

    await bench.api.disableMemory();
    bench.probe.write(address, new Uint8Array(64));

    expectSameBytes(bench.probe.read(address, 64), ones(64));
    expectSameBytes(memoryOf(bench, 0, 64), pattern(64));
    bench.api.enableMemory();
    expectSameBytes(bench.probe.read(address, 64), pattern(64));
  });

  it("stays disabled over a reset", async () => {
    using bench = await start();

    await bench.api.disableMemory();
    await bench.api.reset();

    expect(() => bench.allocate(4096)).toThrow(expect.objectContaining({ code: "DEVICE_GONE" }));
  });

  it("leaves the function alone while somebody keeps a mapping, names him, and can be asked again", async () => {
    using bench = await start();
    using buffer = bench.allocate(4096);
    using attachment = buffer.attach(probeImporter(bench, "movable"));
    using mapping = attachment.map("bidirectional");

    await expect(bench.api.reset()).rejects.toMatchObject({
      code: "WAIT_TIMED_OUT",
      message: expect.stringContaining(`probe@${PROBE}`),
    });
    expect(bench.done).toEqual([]);
    expect(() => attachment.map("bidirectional")).toThrow(
      expect.objectContaining({ code: "DEVICE_GONE" }),
    );

    mapping.unmap();
    await bench.api.reset();
    expect(bench.done).toEqual(["reset"]);
  });

  it("lets a drive's running transfer end first; the rest of it fails, and its memory is not touched again", async () => {
    using bench = await start();
    const drive = bench.framework.openImporter(nvme, DRIVE, undefined);
    await drive.api.identity();
    using buffer = bench.allocate(4 * MIB);
    const running = drive.api.read(buffer, { lba: 0 });
    await new Promise((resolve) => setImmediate(resolve));

    const [outcome] = await Promise.allSettled([running, bench.api.reset()]);

    expect(outcome).toMatchObject({ status: "rejected", reason: { code: "DEVICE_GONE" } });
    expect(bench.done).toEqual(["reset"]);
    expect(bench.platform.guardFaults).toBe(0);
  });

  it("is over for good once user space has closed the device", async () => {
    using bench = await start();
    using buffer = bench.allocate(4096);
    const gone = { code: "DEVICE_GONE" };

    await bench.api.closeDevice();

    expect(() => buffer.attach(probeImporter(bench, "movable"))).toThrow(
      expect.objectContaining(gone),
    );
    await expect(bench.api.reset()).rejects.toMatchObject(gone);
    expect(() => bench.api.enableMemory()).toThrow(expect.objectContaining(gone));
    expect(bench.done).toEqual([]);
  });

  it("takes its memory away one call at a time", async () => {
    using bench = await start();
    using buffer = bench.allocate(4096);
    using attachment = buffer.attach(probeImporter(bench, "movable"));
    using mapping = attachment.map("to-device");
    const first = bench.api.reset();

    await expect(bench.api.disableMemory()).rejects.toMatchObject({ code: "WRONG_ORDER" });

    mapping.unmap();
    await first;
  });
});
