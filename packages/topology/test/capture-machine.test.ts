/**
 * Capture machine: the file that peerbuf writes holds all that is judged by, and redacted nothing that
 * identifies the machine.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import {
  captureMachine,
  findExtendedCapability,
  generateFabric,
  judgeAllPairs,
  liveTree,
  MemoryTree,
  readCapture,
  rulesForKernel,
  type SysfsTree,
  type Topology,
  topologyFromSysfs,
  treeFromJson,
} from "@peerbuf/topology";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CAPTURES, sysfsText } from "./captures.ts";

const rules = rulesForKernel();
const SERIAL_NUMBER = 0x0003;

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "peerbuf-capture-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function captured(tree: SysfsTree, redact = false): Promise<Topology> {
  const path = join(folder, "machine.peerbuf");
  writeFileSync(path, captureMachine(tree, { redact }).bytes);
  return readCapture(path);
}

const verdictsOf = (topology: Topology): unknown[] => {
  const pairs = judgeAllPairs(topology, rules);
  const positions = Array.from({ length: pairs.count }, (_, position) => position);
  return positions.map((p) => positions.map((c) => [pairs.typeAt(p, c), pairs.distanceAt(p, c)]));
};

/** Everything of a function but where its memory is. */
const withoutAddresses = (topology: Topology): unknown[] =>
  topology.records().map(({ config, bars = [], windows = [], ...rest }) => ({
    ...rest,
    configLength: config?.length,
    bars: bars.map(({ start, ...bar }) => bar),
    windows: windows.map(({ start, ...window }) => window),
  }));

describe.each(CAPTURES)("captured machine %s, captured again", (name) => {
  const tree = (): SysfsTree => treeFromJson(name, sysfsText(name));

  it("is the same machine", async () => {
    const before = topologyFromSysfs(tree());
    const after = await captured(tree());

    expect(after.records()).toEqual(before.records());
    const { source: _, missing, ...facts } = after.facts;
    expect({ ...before.facts, ...facts }).toEqual(before.facts);
    expect(missing.map(({ fact }) => fact)).not.toContain("acs");
  });

  it("and redacted keeps every verdict, and every fact but addresses", async () => {
    const before = topologyFromSysfs(tree());
    const after = await captured(tree(), true);

    expect(verdictsOf(after)).toEqual(verdictsOf(before));
    expect(withoutAddresses(after)).toEqual(withoutAddresses(before));
  });

  it("and redacted has its BARs and windows elsewhere, nested and aligned as before", async () => {
    const before = topologyFromSysfs(tree());
    const after = await captured(tree(), true);

    const memory = (topology: Topology) =>
      Array.from(topology.table.bdf.keys(), (row) => [
        ...topology.barsOf(row),
        ...topology.windowsOf(row),
      ]).flat();
    const [old, moved] = [memory(before), memory(after)];
    const shifts = new Set(
      moved
        .map(({ start }, index) => start - (old[index]?.start as number))
        .filter((by) => by !== 0),
    );
    // One distance below 4 GiB, one above; a machine with memory BARs has at least one of them.
    expect(shifts.size).toBeGreaterThan(0);
    expect(shifts.size).toBeLessThanOrEqual(2);
    for (const row of after.table.bdf.keys()) {
      for (const bar of after
        .barsOf(row)
        .filter(({ kind, assigned }) => kind === "memory" && assigned)) {
        const size = bar.size ?? 1;
        expect(bar.start % size).toBe((before.barOf(row, bar.index)?.start as number) % size);
      }
    }
  });

  it("and redacted has no capability left that nobody decodes, and registers that agree with sysfs", async () => {
    const after = await captured(tree(), true);
    const text = JSON.parse(gunzipSync(captureMachine(tree(), { redact: true }).bytes).toString());

    for (const row of after.table.bdf.keys()) {
      const config = after.configOf(row);
      const serial = findExtendedCapability(config, SERIAL_NUMBER);
      if (serial > 0) {
        expect([...config.subarray(serial + 4, serial + 12)]).toEqual(Array(8).fill(0));
      }
    }
    // Read from the registers alone, the memory is where the resource files say.
    for (const path of Object.keys(text.files)) {
      if (path.endsWith("/resource")) {
        delete text.files[path];
      }
    }
    const registers = topologyFromSysfs(treeFromJson("registers", JSON.stringify(text)));
    for (const row of registers.table.bdf.keys()) {
      for (const bar of registers
        .barsOf(row)
        .filter(({ kind, assigned }) => kind === "memory" && assigned)) {
        const told = after.barOf(row, bar.index);
        if (told?.assigned === true) {
          expect(bar.start, `${after.bdfOf(row)} BAR ${bar.index}`).toBe(told.start);
        }
      }
    }
  });
});

/** One `resource` file: six BARs, the ROM, six VF BARs, three windows and one row more. */
function resourceText(topology: Topology, row: number): string {
  const line = (start: number, size: number, flags: number): string =>
    [start, start + size - 1, flags]
      .map((each) => `0x${each.toString(16).padStart(16, "0")}`)
      .join(" ");
  const rows = Array<string>(17).fill(line(0, 1, 0));
  for (const { index, start, size = 1, kind, prefetchable } of topology.barsOf(row)) {
    rows[index] = line(start, size, (kind === "io" ? 0x100 : 0x200) + (prefetchable ? 0x2000 : 0));
  }
  for (const { kind, start, size } of topology.windowsOf(row)) {
    const slot = ["io", "memory", "prefetchable"].indexOf(kind);
    rows[13 + slot] = line(start, size, kind === "io" ? 0x100 : 0x200);
  }
  return rows.join("\n");
}

/** A machine as /sys shows it, without config space. */
function sysfsOf(topology: Topology): MemoryTree {
  const tree = new MemoryTree("a generated machine");
  for (const row of topology.table.bdf.keys()) {
    const chain: string[] = [];
    for (let at = row; at >= 0; at = topology.parentOf(at)) {
      chain.unshift(topology.bdfOf(at));
    }
    const path = `sys/devices/pci${topology.rootBusOf(row).id}/${chain.join("/")}`;
    tree.addFile(`${path}/class`, topology.isBridge(row) ? "0x060400" : "0x030000");
    tree.addFile(`${path}/resource`, resourceText(topology, row));
  }
  return tree;
}

/** Pairs of a range and one that lies in it, by their order among all. */
function nesting(topology: Topology): string[] {
  const ranges = Array.from(topology.table.bdf.keys(), (row) =>
    [...topology.barsOf(row), ...topology.windowsOf(row)].map(({ start, size = 1 }) => ({
      start,
      end: start + size,
    })),
  ).flat();
  return ranges.flatMap((outer, o) =>
    ranges.flatMap((inner, i) =>
      inner.start >= outer.start && inner.end <= outer.end ? [`${o} holds ${i}`] : [],
    ),
  );
}

describe("moved addresses of any machine", () => {
  it("nest exactly as before, stay aligned, and stay below 4 GiB or above it", () => {
    fc.assert(
      fc.property(
        fc.record({
          seed: fc.nat(),
          endpoints: fc.integer({ min: 1, max: 12 }),
          smallBarBytes: fc.constantFrom(0, 4096, 2 ** 21),
          largeBarBytes: fc.constantFrom(0, 2 ** 16, 2 ** 28, 2 ** 34),
        }),
        (options) => {
          const tree = sysfsOf(generateFabric(options));
          const before = topologyFromSysfs(tree);
          const { bytes } = captureMachine(tree, { redact: true });
          const after = topologyFromSysfs(treeFromJson("redacted", gunzipSync(bytes).toString()));

          expect(nesting(after)).toEqual(nesting(before));
          for (const row of after.table.bdf.keys()) {
            for (const { index, start, size = 1, kind } of after.barsOf(row)) {
              const old = before.barOf(row, index)?.start as number;
              expect(start % size).toBe(old % size);
              expect(start >= 2 ** 32).toBe(old >= 2 ** 32);
              expect(start).toBe(kind === "io" ? old : start);
              expect(start + size).toBeLessThan(2 ** 53);
            }
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe("a redacted capture", () => {
  const PORT = "sys/devices/pci0000:00/0000:00:03.0";

  function machine(): MemoryTree {
    const tree = new MemoryTree("this machine");
    tree.addFile(`${PORT}/class`, "0x020000");
    tree.addFile(`${PORT}/vendor`, "0x15b3");
    tree.addFolder(`${PORT}/net/enx0c42a1b2c3d4`);
    tree.addFolder(`${PORT}/infiniband/mlx5_0`);
    tree.addFile(
      "proc/cmdline",
      "root=UUID=5f1c-77 quiet iommu=pt pci=disable_acs_redir=00:01.0 ip=10.0.0.7",
    );
    tree.addFile(
      "proc/cpuinfo",
      "vendor_id\t: GenuineIntel\ncpu family\t: 6\nSerial\t: 00a1b2\nflags\t: fpu hypervisor",
    );
    tree.addFile("proc/sys/kernel/osrelease", "6.12.117");
    tree.addFile("boot/config-6.12.117", 'CONFIG_PCI_P2PDMA=y\nCONFIG_LOCALVERSION="-acme"\n');
    tree.addFile("sys/devices/virtual/dmi/id/sys_vendor", "Dell Inc.");
    tree.addFile("sys/devices/virtual/dmi/id/product_serial", "7XK2P93");
    return tree;
  }

  it.each([
    ["there and empty", ["sys/kernel/iommu_groups"], true],
    ["not there", [], undefined],
    ["there with a group", ["sys/kernel/iommu_groups/0"], undefined],
  ])(
    "keeps that there is no IOMMU group where the folder of groups is %s",
    async (_, folders, expected) => {
      const tree = machine();
      for (const folder of folders) {
        tree.addFolder(folder);
      }

      for (const redact of [false, true]) {
        expect((await captured(tree, redact)).facts.hasNoIommuGroup).toBe(expected);
      }
    },
  );

  it("names no MAC address, disk, host or serial number", async () => {
    const text = gunzipSync(captureMachine(machine(), { redact: true }).bytes).toString();

    expect(text).not.toMatch(/0c42a1|5f1c|10\.0\.0\.7|00a1b2|acme|7XK2P93/);
    const { facts } = await captured(machine(), true);
    expect(facts.commandLine).toBe(
      "root=redacted quiet iommu=pt pci=disable_acs_redir=00:01.0 ip=redacted",
    );
    expect(facts.osNames.get("0000:00:03.0")).toEqual(["enx", "mlx5_0"]);
    expect(facts).toMatchObject({ product: "Dell Inc.", isVirtualMachine: true });
    expect(facts.kernelConfig?.get("CONFIG_PCI_P2PDMA")).toBe("y");
  });

  it("is the same bytes every time", () => {
    expect(captureMachine(machine()).bytes).toEqual(captureMachine(machine()).bytes);
  });
});

describe("a capture without root", () => {
  it("says what it could not read, and so does whoever reads it", async () => {
    const capture = JSON.parse(sysfsText("switch-09"));
    for (const content of Object.values<{ hex: string; length: number }>(capture.binary)) {
      content.hex = content.hex.slice(0, 128);
      content.length = 64;
    }
    const tree = treeFromJson("as a user", JSON.stringify(capture));

    const { headerOnlyCount, functionCount, notReadable } = captureMachine(tree);

    expect(headerOnlyCount).toBe(functionCount);
    expect(notReadable[0]).toMatchObject({ fact: "acs", command: expect.stringContaining("sudo") });
    expect((await captured(tree)).facts.missing).toEqual(notReadable);
  });
});

describe("this machine", () => {
  it("can be captured and read back, with PCI functions or without", async () => {
    const topology = await captured(liveTree());

    expect(topology.count).toBe(captureMachine(liveTree()).functionCount);
    expect(topology.facts.kernelRelease).toMatch(/^\d+\./);
  });
});

describe("a capture by another peerbuf", () => {
  it("of a later form is refused with the version", () => {
    const later = JSON.stringify({ format: "peerbuf capture", version: 2, files: {} });

    expect(() => treeFromJson("later", later)).toThrow(
      /version 2, and version 1 of "peerbuf capture" is read/,
    );
  });
});
