/** Config space of the modelled machine, with the offsets that `lspci -xxxx` and `setpci` use. */
import { fileURLToPath } from "node:url";
import { createMachine } from "@peerbuf/machine";
import { ACS, findExtendedCapability, readCapture } from "@peerbuf/topology";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BOTH, DATA, NONE, portOf, start, tryAs } from "./route-bench.ts";
import { atsConfig, barStart, configOf, endpoint, MIB, switchTopology } from "./small-machines.ts";

const CLIENT = "0000:03:00.0";
const PEER = barStart(4);
const AER = 0x100;
const DEVICE_STATUS = 0x4a;

const withConfig = (config: Uint8Array, bdf = CLIENT) =>
  start(switchTopology({ [bdf]: { config } }));

describe("config space", () => {
  it("switches memory and bus mastering by the command register, and shows how they stand", () => {
    const bench = withConfig(configOf({ command: 0x406 }));
    const config = bench.machine.configSpace(CLIENT);

    config.write(0x04, 1, 0x02);

    expect(config.read(0x04, 2)).toBe(0x02);
    expect(tryAs(bench, CLIENT, PEER, {})).toEqual(NONE);
    bench.machine.setCommand(CLIENT, { busMaster: true });
    expect(config.read(0x04, 1)).toBe(0x06);
  });

  it("shows what was logged, and ones that are written clear it bit by bit", () => {
    const bench = withConfig(configOf({ extended: [0x0001] }), "0000:02:01.0");
    const config = bench.machine.configSpace("0000:02:01.0");
    const hole = PEER + 2 * MIB;
    portOf(bench, CLIENT).write(hole, DATA, 0, 8);

    expect(config.read(AER + 0x04, 4)).toBe(0x0010_0000);
    expect(config.read(AER + 0x18, 1)).toBe(20);
    expect([0, 4, 8, 12].map((at) => config.read(AER + 0x1c + at, 4))).toEqual([
      0x4000_0002,
      0x0300_00ff,
      hole,
      0,
    ]);
    expect(config.read(DEVICE_STATUS, 2)).toBe(0x0a);

    config.write(AER + 0x04, 4, 0x0020_0000);
    expect(config.read(AER + 0x04, 4)).toBe(0x0010_0000);
    config.write(AER + 0x06, 1, 0x10);
    expect(config.read(AER + 0x04, 4)).toBe(0);
    expect(config.read(AER + 0x18, 4)).toBe(0);
    config.write(DEVICE_STATUS, 2, 0x08);
    expect(config.read(DEVICE_STATUS, 2)).toBe(0x02);
  });

  it("shows a read's master abort in the status register of who asked", () => {
    const bench = withConfig(configOf());
    const config = bench.machine.configSpace(CLIENT);
    portOf(bench, CLIENT).read(PEER + 2 * MIB, new Uint8Array(8), 0, 8);

    expect(config.read(0x06, 2)).toBe(0x2010);
    config.write(0x04, 4, 0x2000_0006);

    expect(config.read(0x04, 4)).toBe(0x0010_0006);
  });

  it("sets ACS control as far as the function can", async () => {
    const folder = new URL("../../../test/fixtures/captures/server-05", import.meta.url);
    const topology = await readCapture(fileURLToPath(folder));
    const machine = createMachine({ topology });
    const port = Array.from(topology.table.bdf.keys()).find(
      (row) => topology.table.acsState[row] === 1 && topology.table.portType[row] === 6,
    ) as number;
    const config = machine.configSpace(topology.bdfOf(port));
    const at = findExtendedCapability(topology.configOf(port), 0x000d) + 6;
    const capable = (topology.table.acsCapability[port] as number) & 0x7f;

    config.write(at, 2, 0xffff);
    expect(config.read(at, 2)).toBe(capable);
    config.write(at, 2, 0);

    expect(config.read(at, 2)).toBe(0);
    expect(machine.fabric.acs.controlOf(port) & ACS.RR).toBe(0);
  });

  it("resets the function by Device Control where it can, and leaves it disabled", () => {
    const config = configOf();
    config[0x47] = 0x10;
    const bench = withConfig(config);
    const space = bench.machine.configSpace(CLIENT);
    bench.machine.inspect.poke(barStart(3), DATA);

    space.write(0x48, 2, 0x8000);

    expect(space.read(0x48, 2)).toBe(0);
    expect(space.read(0x04, 2)).toBe(0);
    const found = new Uint8Array(8);
    bench.machine.inspect.peek(barStart(3), found);
    expect(found).toEqual(new Uint8Array(8));

    const without = withConfig(configOf());
    without.machine.configSpace(CLIENT).write(0x48, 2, 0x8000);
    expect(tryAs(without, CLIENT, PEER, {})).toEqual(BOTH);
  });

  it("turns ATS on and off", () => {
    const { machine } = withConfig(atsConfig(false));
    const config = machine.configSpace(CLIENT);

    config.write(0x106, 2, 0x8000);

    expect(config.read(0x106, 2)).toBe(0x8000);
    expect(machine.fabric.ats.isEnabled(machine.topology.require(CLIENT))).toBe(true);
  });

  it("has the memory bit of virtual functions in their physical function, and none in their own", () => {
    const config = configOf({ extended: [0x0010] });
    config[0x108] = 0x09;
    const virtual = endpoint("0000:03:00.4", { physicalFunction: CLIENT, config: configOf() });
    const { machine } = start(switchTopology({ [CLIENT]: { config }, "0000:05:00.0": virtual }));
    const own = machine.configSpace("0000:03:00.4");

    own.write(0x04, 2, 0x6);
    expect(own.read(0x04, 2)).toBe(0x4);
    machine.configSpace(CLIENT).write(0x108, 1, 0x01);

    expect(machine.configSpace(CLIENT).read(0x108, 2)).toBe(0x01);
    expect(machine.inspect.command("0000:03:00.4").memory).toBe(false);
  });

  it("of a function that is gone is all ones, and takes no writes", () => {
    const { machine } = withConfig(configOf());
    const config = machine.configSpace(CLIENT);
    machine.surpriseRemove(CLIENT);

    config.write(0x04, 2, 0);
    expect([config.read(0, 4), config.read(0x04, 1)]).toEqual([0xffff_ffff, 0xff]);

    machine.insert(CLIENT);
    expect(config.read(0x04, 2)).toBe(0);
  });

  it("is unknown where it was not captured, and has aligned registers only", () => {
    const short = withConfig(configOf().subarray(0, 256)).machine.configSpace(CLIENT);

    expect(() => short.read(0x100, 4)).toThrow(/beyond byte 256 of this function was not captured/);
    expect(() => short.read(0x02, 4)).toThrow(/no aligned register/);
    expect(() => short.read(4096, 1)).toThrow(
      expect.objectContaining({ code: "ARGUMENT_INVALID" }),
    );
    expect(() => start(switchTopology()).machine.configSpace(CLIENT)).toThrow(/was not captured/);
  });

  it("reads as captured before anything happened, in any width, and writes elsewhere change nothing", async () => {
    const folder = new URL("../../../test/fixtures/captures/server-05", import.meta.url);
    const topology = await readCapture(fileURLToPath(folder));
    const machine = createMachine({ topology });
    const access = fc.record({
      row: fc.nat(topology.count - 1),
      size: fc.constantFrom(1 as const, 2 as const, 4 as const),
      at: fc.nat(),
    });

    fc.assert(
      fc.property(access, ({ row, size, at }) => {
        const captured = topology.configOf(row);
        const offset = (at % (captured.length / size)) * size;
        const view = new DataView(captured.buffer, captured.byteOffset, captured.length);
        const expected =
          size === 4
            ? view.getUint32(offset, true)
            : size === 2
              ? view.getUint16(offset, true)
              : view.getUint8(offset);
        const config = machine.configSpace(topology.bdfOf(row));

        expect(config.read(offset, size)).toBe(expected);
        if (offset >= 0x10 && offset < 0x34) {
          config.write(offset, size, 0xffff_ffff);
          expect(config.read(offset, size)).toBe(expected);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
