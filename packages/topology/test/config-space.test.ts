/** Config space and capability lists: what is read from them, and that no bytes can lead astray. */
import {
  acsOfConfig,
  barsOfConfig,
  findCapability,
  findExtendedCapability,
  knownConfig,
  linkOfConfig,
  NOT_CAPTURED,
  NOT_PRESENT,
  PORT_TYPE,
  PORT_TYPE_NONE,
  PORT_TYPE_UNKNOWN,
  portTypeOfConfig,
  resizableBarsOfConfig,
  sriovOfConfig,
  windowsOfConfig,
} from "@peerbuf/topology";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sysfsJson } from "./captures.ts";

/** Config space of `bytes` bytes with some bytes set. */
function config(bytes: number, ...patches: [offset: number, ...values: number[]][]): Uint8Array {
  const space = new Uint8Array(4096);
  space.set([0x86, 0x80, 0x01, 0x20], 0);
  for (const [offset, ...values] of patches) {
    space.set(values, offset);
  }
  return space.slice(0, bytes);
}

const HAS_LIST: [number, number] = [0x06, 0x10];
const FIRST_AT_40: [number, number] = [0x34, 0x40];
/** A downstream port: PCI Express capability at 0x40, link 8 GT/s x4 of 16 GT/s x16. */
const EXPRESS: [number, ...number[]] = [
  0x40, 0x10, 0x00, 0x62, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0x04, 0x01, 0, 0, 0, 0, 0x43, 0x00,
];
const port = (bytes: number, ...patches: [number, ...number[]][]): Uint8Array =>
  config(bytes, HAS_LIST, FIRST_AT_40, EXPRESS, ...patches);

describe("capability lists", () => {
  it("are walked from the pointer in the header", () => {
    expect(findCapability(port(256), 0x10)).toBe(0x40);
    expect(findCapability(port(256), 0x05)).toBe(NOT_PRESENT);
  });

  it("say nothing where the capture ends before them", () => {
    expect(findCapability(port(64), 0x10)).toBe(NOT_CAPTURED);
    expect(findCapability(new Uint8Array(0), 0x10)).toBe(NOT_CAPTURED);
    expect(findExtendedCapability(port(256), 0x0d)).toBe(NOT_CAPTURED);
    expect(portTypeOfConfig(port(64))).toBe(PORT_TYPE_UNKNOWN);
    expect(acsOfConfig(port(256))).toBeUndefined();
  });

  it("are known to be empty without the status bit, even from the header alone", () => {
    expect(findCapability(config(64), 0x10)).toBe(NOT_PRESENT);
    expect(portTypeOfConfig(config(64))).toBe(PORT_TYPE_NONE);
    expect(acsOfConfig(config(64))).toBe("absent");
  });

  it("leave a host bridge open of which only the header was read: it may have extended space", () => {
    expect(acsOfConfig(config(64, [0x0b, 0x06]))).toBeUndefined();
    expect(acsOfConfig(config(256, [0x0b, 0x06]))).toBe("absent");
  });

  it("end after 48 entries when they run in a circle", () => {
    expect(findCapability(config(256, HAS_LIST, FIRST_AT_40, [0x40, 0x05, 0x40]), 0x10)).toBe(
      NOT_PRESENT,
    );
    expect(findExtendedCapability(port(4096, [0x100, 0x01, 0x00, 0x01, 0x10]), 0x0d)).toBe(
      NOT_PRESENT,
    );
  });

  it("never lead beyond the captured bytes, whatever those hold", () => {
    const bytes = fc
      .constantFrom(0, 64, 128, 256, 4096)
      .chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));
    fc.assert(
      fc.property(bytes, (raw) => {
        const known = knownConfig(raw);
        for (const id of [0x10, 0x05, 0xff]) {
          expect(findCapability(known, id)).toBeLessThan(Math.max(known.length, 1));
        }
        for (const id of [0x0d, 0x10, 0x15]) {
          expect(findExtendedCapability(known, id)).toBeLessThan(Math.max(known.length, 1));
        }
        const acs = acsOfConfig(known);
        expect(acs === undefined || acs === "absent" || acs.control <= 0xffff).toBe(true);
        expect(Number.isInteger(portTypeOfConfig(known))).toBe(true);
        for (const { start } of [...barsOfConfig(known), ...windowsOfConfig(known)]) {
          expect(Number.isSafeInteger(start)).toBe(true);
        }
        linkOfConfig(known);
        sriovOfConfig(known);
        resizableBarsOfConfig(known);
      }),
    );
  });
});

describe("a port's registers", () => {
  it("tell its kind and link", () => {
    expect(portTypeOfConfig(port(256))).toBe(PORT_TYPE.SWITCH_DOWNSTREAM);
    expect(linkOfConfig(port(256))).toEqual({
      speedMtps: 8000,
      width: 4,
      speedMaxMtps: 16_000,
      widthMax: 16,
    });
  });

  it("tell ACS capability, control and egress vector", () => {
    const acs = port(4096, [0x100, 0x0d, 0, 1, 0, 0x7f, 0x08, 0x1d, 0x00, 0xa5, 0, 0, 0]);

    expect(acsOfConfig(acs)).toEqual({
      capability: 0x087f,
      control: 0x1d,
      egressVector: Uint8Array.of(0xa5, 0, 0, 0),
    });
  });

  it("have no egress vector without egress control", () => {
    const acs = port(4096, [0x100, 0x0d, 0, 1, 0, 0x1f, 0x08, 0x1d, 0x00, 0xa5]);

    expect(acsOfConfig(acs)).toMatchObject({ egressVector: new Uint8Array(0) });
  });

  it("tell the windows that are open", () => {
    const bridge = config(
      64,
      [0x0e, 0x01],
      [0x1c, 0xf0, 0x00],
      [0x20, 0x20, 0xfe, 0x30, 0xfe],
      [0x24, 0x01, 0x00, 0xf1, 0x0f, 0x40, 0, 0, 0, 0x40, 0, 0, 0],
    );

    expect(windowsOfConfig(bridge)).toEqual([
      { kind: "memory", start: 0xfe200000, size: 0x200000 },
      { kind: "prefetchable", start: 0x40_0000_0000, size: 0x1000_0000 },
    ]);
  });

  it("tell BAR addresses but not sizes", () => {
    const endpoint = config(64, [0x10, 0x01, 0xc0, 0, 0], [0x14, 0x0c, 0, 0, 0x10, 0x40, 0, 0, 0]);

    expect(barsOfConfig(endpoint)).toEqual([
      { index: 0, start: 0xc000, kind: "io", wide: false, prefetchable: false },
      {
        index: 1,
        start: 0x40_1000_0000,
        kind: "memory",
        wide: true,
        prefetchable: true,
        assigned: true,
      },
    ]);
  });

  it("tell which BAR can be resized, and to what", () => {
    const gpu = port(4096, [0x100, 0x15, 0, 1, 0, 0xf0, 0x01, 0, 0, 0x21, 0x03, 0, 0]);

    expect(resizableBarsOfConfig(gpu)).toEqual([
      { index: 1, size: 8 * 2 ** 20, sizesSupported: [1, 2, 4, 8, 16].map((mib) => mib * 2 ** 20) },
    ]);
  });

  it("tell the virtual functions of a physical one", () => {
    const { length, hex } = sysfsJson("sriov-01").binary[
      "sys/devices/pci0000:00/0000:00:03.0/0000:01:00.0/config"
    ] ?? { length: 0, hex: "" };
    const space = new Uint8Array(length);
    space.set(Buffer.from(hex, "hex"));

    expect(sriovOfConfig(space)).toMatchObject({ enabledVfs: 4, firstVfOffset: 1, vfStride: 1 });
  });
});

describe("what is known of config space", () => {
  it("is nothing of a function that did not answer", () => {
    expect(knownConfig(new Uint8Array(4096).fill(0xff))).toHaveLength(0);
  });

  it("is the header only where zeros stand in for the rest", () => {
    expect(knownConfig(config(4096, HAS_LIST, FIRST_AT_40))).toHaveLength(64);
    expect(knownConfig(port(4096))).toHaveLength(4096);
  });
});
