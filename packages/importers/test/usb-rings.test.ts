import { gpu, systemHeap } from "@peerbuf/exporters";
import { cutForTrbs, usb } from "@peerbuf/importers";
import { createGpu, createUsbDrive } from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { startCaptured } from "./captured-machine.ts";
import { bytesIn, changeLink, expectSameBytes, MIB, pattern } from "./server-machine.ts";

const CARD = "0000:3b:00.0";
const CONTROLLER = "0000:3c:00.0";

async function start() {
  const drive = createUsbDrive({ capacityBytes: 4 * MIB });
  const models = { [CARD]: createGpu({ vramBytes: 16 * MIB }), [CONTROLLER]: drive };
  const bench = await startCaptured("server-05", models);
  const stick = bench.framework.openImporter(usb, CONTROLLER, undefined);
  const heap = bench.framework.openExporter(systemHeap, undefined, undefined);
  return { ...bench, drive, stick, heap, [Symbol.dispose]: () => bench[Symbol.dispose]() };
}

describe("USB driver, on the controller's own function", () => {
  it("reaches a peer below the same switch, since the controller is a PCI function", async () => {
    using bench = await start();
    using buffer = bench.framework.openExporter(gpu, CARD, undefined).allocate(MIB);
    const bytes = pattern(MIB);
    await buffer.write(0, bytes);

    const negotiated = await bench.stick.api.write(buffer, { deviceOffset: 77 });
    await buffer.write(0, new Uint8Array(MIB));
    await bench.stick.api.read(buffer, { deviceOffset: 77 });

    expect(negotiated).toMatchObject({ type: "p2p", target: "device", route: "bus-addr" });
    expectSameBytes(bytesIn(bench.drive.inspect().memory, 77, MIB), bytes);
    expectSameBytes(await buffer.read(0, MIB), bytes);
  });

  it("asks the drive how large it is", async () => {
    using bench = await start();

    expect(await bench.stick.api.capacityBytes()).toBe(4 * MIB);
  });

  it("goes through its rings more than once, over all their links", async () => {
    using bench = await start();
    using buffer = bench.heap.allocate(8192);
    const bytes = pattern(8192, 3);
    await buffer.write(0, bytes);

    for (let part = 0; part < 300; part++) {
      await bench.stick.api.write(buffer, {
        deviceOffset: part * 64,
        offset: part,
        lengthBytes: 64,
      });
    }

    for (let part = 0; part < 300; part += 50) {
      const there = bytesIn(bench.drive.inspect().memory, part * 64, 64);
      expectSameBytes(there, bytes.subarray(part, part + 64));
    }
  });

  it("stops a controller that falls silent, and brings it up afresh for the next transfer", async () => {
    using bench = await start();
    using buffer = bench.heap.allocate(4096);
    await bench.stick.api.capacityBytes();
    const silent = changeLink(bench, CONTROLLER, () => ({ interrupt: () => undefined }));

    await expect(bench.stick.api.write(buffer)).rejects.toMatchObject({
      code: "DEVICE_GONE",
      message: expect.stringContaining("no answer within 30 s to a command wrapper"),
    });
    silent.remove();

    await expect(bench.stick.api.write(buffer)).resolves.toMatchObject({ target: "system" });
  });

  it("names the completion code when memory cannot be reached, and goes on afterwards", async () => {
    using bench = await start();
    using buffer = bench.heap.allocate(65_536);
    await bench.stick.api.capacityBytes();
    const cut = changeLink(bench, CONTROLLER, (port) => ({
      readInto: (...request) =>
        request[3] > 4096 ? { ok: false, lostBytes: request[3] } : port.readInto(...request),
    }));

    await expect(bench.stick.api.write(buffer)).rejects.toMatchObject({
      code: "DEVICE_FAILED",
      message: expect.stringContaining("data buffer error"),
    });
    cut.remove();

    await expect(bench.stick.api.write(buffer)).resolves.toMatchObject({ target: "system" });
  });

  it("recovers from a stall: what the drive refuses fails alone", async () => {
    using bench = await start();
    using buffer = bench.heap.allocate(4096);
    await bench.stick.api.capacityBytes();
    const LENGTH_AT = 25;
    const meddled = changeLink(bench, CONTROLLER, (port) => ({
      readInto(address, target, offset, lengthBytes) {
        const done = port.readInto(address, target, offset, lengthBytes);
        if (lengthBytes === 31) {
          target.writeNumber(offset + LENGTH_AT, 4, 0xffff_ffff);
        }
        return done;
      },
    }));

    await expect(bench.stick.api.read(buffer)).rejects.toThrow("the drive refused the command");
    await expect(bench.stick.api.write(buffer)).rejects.toThrow("the drive refused the command");
    meddled.remove();

    await expect(bench.stick.api.read(buffer)).resolves.toMatchObject({ target: "system" });
  });
});

describe("buffers of TRBs", () => {
  it("are the same memory in the same order, each within 64 KiB of a multiple of 64 KiB", () => {
    const pieces = fc.array(fc.tuple(fc.nat(2 ** 40), fc.integer({ min: 1, max: 300_000 })), {
      maxLength: 20,
    });

    fc.assert(
      fc.property(pieces, (rows) => {
        const cut = cutForTrbs(rows.flat());

        const joined: number[] = [];
        const lengths: number[] = [];
        for (let at = 0; at < cut.length; at += 2) {
          const [address, length] = [cut[at] as number, cut[at + 1] as number];
          expect(Math.floor(address / 65_536)).toBe(Math.floor((address + length - 1) / 65_536));
          const row = lengths.length - 1;
          const [start, want] = rows[row] ?? [0, 0];
          if (row >= 0 && (lengths[row] as number) < want) {
            expect(address).toBe(start + (lengths[row] as number));
            lengths[row] = (lengths[row] as number) + length;
          } else {
            joined.push(address);
            lengths.push(length);
          }
        }
        expect(joined).toEqual(rows.map(([address]) => address));
        expect(lengths).toEqual(rows.map(([, length]) => length));
      }),
    );
  });
});
