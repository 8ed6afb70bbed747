/**
 * Device names: short and full names by PCI id list, by what a capture printed, and without either.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import {
  buildTopology,
  DeviceNames,
  loadDeviceNames,
  PciIdList,
  SYSTEM_PCI_IDS,
  type Topology,
  topologyFromLspci,
} from "@peerbuf/topology";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";

const LIST = `# A short list in the form of pci.ids
1002  Advanced Micro Devices, Inc. [AMD/ATI]
	73bf  Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]
	7312  Navi 10 [Radeon Pro W5700]
	740c  Aldebaran/MI200 [Instinct MI250X/MI250]
10de  NVIDIA Corporation
	2330  GH100[H100 SXM5 80GB]
		10de 16c1  A board by its maker
# Two products, one chip
	26b1  AD102GL [L6000 / RTX 6000 Ada Generation]
	28a1  AD107M [GeForce RTX 4050 Max-Q / Mobile]
144d  Samsung Electronics Co Ltd
	a808  NVMe SSD Controller SM981/PM981/PM983
		144d a801  SSD 970 EVO
		1d49 403b  Thinksystem U.2 PM983 NVMe SSD
	a80a  NVMe SSD Controller PM9A1/PM9A3/980PRO
	a80c  NVMe SSD Controller S4LV008[Pascal]
14e4  Broadcom Inc. and subsidiaries
	16d7  BCM57414 NetXtreme-E 10Gb/25Gb RDMA Ethernet Controller
15b3  Mellanox Technologies
	1021  MT2910 Family [ConnectX-7]
1b36  Red Hat, Inc.
	0010  QEMU NVM Express Controller
10b5  PLX Technology, Inc.
	8796  PEX 8796 96-lane, 24-Port PCI Express Gen 3 (8.0 GT/s) Multi-Root Switch
8086  Intel Corporation
	1592  Ethernet Controller E810-C for QSFP
abcd  Fine Boards Research Technology Co., Ltd.
	0001  Model One
C 00  Unclassified device
	2330  not a vendor's device
`;

const names = new DeviceNames("a list", new PciIdList(LIST));
const bare = new DeviceNames();

function machineWith(
  vendor: number,
  device: number,
  classCode = 0x030000,
  config?: Uint8Array,
): Topology {
  return buildTopology("one function", [
    { bdf: "01:00.0", vendor, device, classCode, ...(config !== undefined && { config }) },
  ]);
}

/** A header of an NVMe drive with the ids of its maker. */
function headerWith(subsystemVendor: number, subsystemDevice: number): Uint8Array {
  const header = new Uint8Array(64);
  new DataView(header.buffer).setUint16(0x2c, subsystemVendor, true);
  new DataView(header.buffer).setUint16(0x2e, subsystemDevice, true);
  return header;
}

describe("a short name by the list", () => {
  it.each([
    ["AMD Navi 21", "many products share the id: the chip", 0x1002, 0x73bf],
    ["AMD Radeon Pro W5700", "the product in brackets", 0x1002, 0x7312],
    ["AMD Instinct MI250X/MI250", "two products", 0x1002, 0x740c],
    ["NVIDIA H100 SXM5 80GB", "brackets without a blank before", 0x10de, 0x2330],
    ["NVIDIA L6000 / RTX 6000 Ada", "no word Generation", 0x10de, 0x26b1],
    ["NVIDIA GeForce RTX 4050 Mobile", "one product for laptops", 0x10de, 0x28a1],
    ["Samsung PM9A1/PM9A3/980PRO", "no words that every drive has", 0x144d, 0xa80a],
    ["Samsung S4LV008 Pascal", "a code name is no product", 0x144d, 0xa80c],
    ["Broadcom BCM57414 NetXtreme-E", "no speeds", 0x14e4, 0x16d7],
    ["Mellanox ConnectX-7", "the product in brackets", 0x15b3, 0x1021],
    ["QEMU NVM Express", "the maker is not said twice", 0x1b36, 0x0010],
    ["PLX PEX 8796", "no lanes and ports", 0x10b5, 0x8796],
    ["Intel E810-C", "no plug", 0x8086, 0x1592],
    ["Fine Boards Research Model One", "no legal form of a company", 0xabcd, 0x0001],
  ])("%s: %s", (expected, _, vendor, device) => {
    expect(names.shortNameOf(machineWith(vendor, device), 0)).toBe(expected);
  });

  it("is the name on the drive where its maker's ids were captured", () => {
    const named = (config: Uint8Array) =>
      names.shortNameOf(machineWith(0x144d, 0xa808, 0x010802, config), 0);

    expect(named(headerWith(0x144d, 0xa801))).toBe("Samsung 970 EVO");
    expect(named(headerWith(0x1d49, 0x403b))).toBe("Samsung Thinksystem U.2 PM983");
    expect(named(headerWith(0x1234, 0x0001))).toBe("Samsung SM981/PM981/PM983");
  });

  it("is the product, not the board, of everything but drives", () => {
    const topology = machineWith(0x10de, 0x2330, 0x030200, headerWith(0x10de, 0x16c1));

    expect(names.shortNameOf(topology, 0)).toBe("NVIDIA H100 SXM5 80GB");
    expect(names.subsystemName(0x10de, 0x2330, 0x10de, 0x16c1)).toBe("A board by its maker");
    expect(names.subsystemName(0x10de, 0x26b1, 0x10de, 0x16c1)).toBeUndefined();
  });

  it("falls back to kind and number for what the list does not have", () => {
    expect(names.shortNameOf(machineWith(0x10de, 0x9999), 0)).toBe(
      "NVIDIA VGA compatible controller 9999",
    );
    expect(names.shortNameOf(machineWith(0x4321, 0x0001, 0x020000), 0)).toBe(
      "Ethernet controller 4321:0001",
    );
    expect(names.deviceName(0x10de, 0x0010)).toBeUndefined();
    expect(names.deviceName(0x8086, 0x2330)).toBeUndefined();
  });
});

describe("without a list", () => {
  const printed = `00:00.0 Host bridge: Intel Corporation Device 4629
01:00.0 VGA compatible controller: NVIDIA Corporation AD102GL [RTX 6000 Ada Generation] (rev a1)
02:00.0 RAID bus controller: HighPoint Technologies, Inc. SSD7540 PCIe Gen4 x16 8-Port M.2 NVMe RAID Controller
03:00.0 Non-Volatile memory controller: Red Hat, Inc. QEMU NVM Express Controller [1b36:0010]
`;

  it("takes what the capture called a device", () => {
    const topology = topologyFromLspci("listing", printed);

    const found = Array.from(topology.table.bdf.keys(), (row) => bare.shortNameOf(topology, row));
    expect(found).toEqual([
      "Intel Host bridge 4629",
      "NVIDIA RTX 6000 Ada",
      "HighPoint SSD7540 PCIe Gen4 x16",
      "QEMU NVM Express",
    ]);
    expect(bare.fullNameOf(topology, 1)).toBe(
      "NVIDIA Corporation AD102GL [RTX 6000 Ada Generation]",
    );
    expect(bare.fullNameOf(topology, 3)).toBe(
      "Red Hat, Inc. QEMU NVM Express Controller [1b36:0010]",
    );
  });

  it("knows the makers of accelerators, NICs and drives, and every class", () => {
    expect([0x1002, 0x10de, 0x8086, 0x15b3, 0x144d].map((id) => bare.vendorName(id))).toEqual([
      "AMD",
      "NVIDIA",
      "Intel",
      "Mellanox",
      "Samsung",
    ]);
    expect(bare.className(0x010802)).toBe("Non-Volatile memory controller");
    expect(bare.className(0xfe0100)).toBe("Class fe01");
    expect(bare.shortNameOf(buildTopology("unknown", [{ bdf: "0:0.0" }]), 0)).toBe("device");
  });
});

describe("the list of the system", () => {
  const folder = mkdtempSync(join(tmpdir(), "peerbuf-names-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const file = (name: string, content: string | Uint8Array): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };

  it("is the first that can be read, packed or not", () => {
    const plain = file("pci.ids", LIST);
    const packed = file("pci.ids.gz", gzipSync(LIST));

    for (const path of [plain, packed]) {
      const found = loadDeviceNames([join(folder, "none"), folder, path]);
      expect([found.source, found.deviceName(0x15b3, 0x1021)]).toEqual([
        path,
        "MT2910 Family [ConnectX-7]",
      ]);
    }
    expect(loadDeviceNames([file("bad.gz", gzipSync(LIST).subarray(0, 100))]).source).toBe(
      "built-in",
    );
  });

  it("gives some name for every id, whatever is in the list", () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.string({ maxLength: 12 })), { maxLength: 30 });
    fc.assert(
      fc.property(damage, (changes) => {
        let text = LIST;
        for (const [at, put] of changes) {
          const place = at % text.length;
          text = text.slice(0, place) + put + text.slice(place + put.length);
        }
        const damaged = new DeviceNames("damaged", new PciIdList(text));

        for (const [vendor, device] of [
          [0x10de, 0x26b1],
          [0x144d, 0xa808],
          [0x8086, 0x1592],
        ] as const) {
          const topology = machineWith(vendor, device);
          expect(damaged.shortNameOf(topology, 0).length).toBeGreaterThan(0);
          expect(damaged.shortNameOf(topology, 0).length).toBeLessThan(260);
        }
      }),
      { numRuns: 100 },
    );
  });

  const present = SYSTEM_PCI_IDS.find((path) => existsSync(path));
  if (present === undefined) {
    console.warn("the names of this system are skipped: no pci.ids is installed");
  }
  it.skipIf(present === undefined)("names what every list has", () => {
    const found = loadDeviceNames();

    expect(found.source).toBe(present);
    expect(found.deviceName(0x8086, 0x29c0)).toMatch(/DRAM Controller/);
  });
});
