/**
 * XML captures: NCCL, RCCL and hwloc files give the functions, names and chains that are in them, and
 * no verdict that would need more.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import {
  hasEveryBridge,
  judgePair,
  readCapture,
  rulesForKernel,
  type Topology,
} from "@peerbuf/topology";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { COLLECTION_MISSING, realFiles, realPath, sourceOf } from "./real-collection.ts";

const rules = rulesForKernel();

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "peerbuf-xml-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function read(text: string): Promise<Topology> {
  const path = join(folder, "capture.xml");
  writeFileSync(path, text);
  return readCapture(path);
}

interface DerivedEndpoint {
  readonly busid: string;
  readonly class: string;
  readonly id: string | null;
  readonly under: readonly string[];
  readonly osdev?: readonly string[];
}
interface Derived {
  readonly cpus?: readonly { vendor: string; familyid: string }[];
  readonly gpuTags?: number;
  readonly netTags?: readonly string[];
  readonly endpoints: readonly DerivedEndpoint[];
}

const derivedOf = (path: string): Derived =>
  (sourceOf(path)["derivedFromFile"] as Record<string, Derived>)[basename(path)] as Derived;

/** BDFs of the bridges above a function, the topmost first. */
function chainOf(topology: Topology, row: number): string[] {
  const chain: string[] = [];
  for (let at = topology.parentOf(row); at >= 0; at = topology.parentOf(at)) {
    chain.unshift(topology.bdfOf(at));
  }
  return chain;
}

const xmlFiles = realFiles(/^(?!.*expected-).*\.xml$/);
if (COLLECTION_MISSING !== "") {
  console.warn(`real XML captures are skipped: ${COLLECTION_MISSING}`);
}

describe.skipIf(COLLECTION_MISSING !== "")("a real XML capture", () => {
  it.each(xmlFiles)(
    "%s gives the devices, ids and chains that others read from it",
    async (path) => {
      const topology = await readCapture(realPath(path));

      const derived = derivedOf(path);
      expect(derived.endpoints.length).toBeGreaterThan(0);
      expect(topology.endpoints.length).toBeGreaterThanOrEqual(derived.endpoints.length);
      for (const endpoint of derived.endpoints) {
        const row = topology.require(endpoint.busid);
        const real = endpoint.under.filter((name) => /^(?!ffff:ff)[0-9a-f]{4,8}:/.test(name));
        // hwloc files are listed from the host bridge down, the others from the device up.
        const isDown = endpoint.under[0]?.startsWith("hostbridge") === true;
        expect(chainOf(topology, row), endpoint.busid).toEqual(isDown ? real : real.reverse());
        const classCode = Number.parseInt(endpoint.class, 16);
        const known = topology.table.classCode[row] as number;
        expect(endpoint.class.length > 4 ? known : known >> 8).toBe(classCode);
        if (endpoint.id !== null) {
          const ids = [topology.table.vendor[row], topology.table.device[row]];
          expect(ids).toEqual(endpoint.id.split(":").map((id) => Number.parseInt(id, 16)));
        }
        const group = endpoint.under.find((name) => name.startsWith("ffff:ff"));
        if (group !== undefined) {
          const near = topology.facts.nearGroups.find(({ name }) => name === group);
          expect(near?.members).toContain(topology.bdfOf(row));
          expect(topology.indexOf(group)).toBe(-1);
        }
        for (const name of endpoint.osdev ?? []) {
          expect(topology.facts.osNames.get(topology.bdfOf(row))).toContain(name);
        }
      }
      const names = [...topology.facts.osNames.values(), topology.facts.nonPciNames].flat();
      expect(names.filter((name) => /^GPU\d/.test(name))).toHaveLength(derived.gpuTags ?? 0);
      for (const name of derived.netTags ?? []) {
        expect(names).toContain(name);
      }
    },
  );

  it.each(xmlFiles)("%s gives no verdict that hangs on ACS, which it lacks", async (path) => {
    const topology = await readCapture(realPath(path));

    expect(topology.facts.missing.map(({ fact }) => fact)).toContain("acs");
    for (const provider of topology.endpoints) {
      for (const client of topology.endpoints) {
        const verdict = judgePair(topology, rules, provider, client);
        expect(verdict.type).not.toBe("bus-addr");
        if (!hasEveryBridge(topology)) {
          expect(verdict.type).toBe("unknown");
        }
        expect(verdict.hangsOn.length > 0).toBe(verdict.type === "unknown");
      }
    }
  });

  it("of one EPYC server with whole chains lets pairs of two root complexes pass, as its CPU does", async () => {
    const topology = await readCapture(
      realPath("corona-8xvega20-rome-hdr-nvme/epyc-corona-p2.xml"),
    );
    const [gpu, drive] = [topology.require("03:00.0"), topology.require("21:00.0")];

    expect(judgePair(topology, rules, gpu, drive)).toMatchObject({
      type: "host-bridge",
      distance: 6,
    });
  });

  it("knows the family of a CPU however it is written", async () => {
    const [written, summed] = await Promise.all([
      readCapture(realPath("oci-bm-a100-8gpu-flattened/topo-flattened.xml")),
      readCapture(realPath("azure-ndv4-8xa100-vm/ndv4-topo.xml")),
    ]);

    expect(written.facts.cpu).toMatchObject({ vendor: "AuthenticAMD", family: 23, model: 49 });
    expect(summed.facts.cpu).toMatchObject({ vendor: "AuthenticAMD", family: 23, model: 49 });
  });

  it("of a guest in which every card has a domain of its own is said to be a virtual machine's", async () => {
    const guest = await readCapture(realPath("azure-ndv4-8xa100-vm/ndv4-topo.xml"));
    const metal = await readCapture(realPath("oci-bm-h100-8gpu-pex-gen5/H100-topology.xml"));

    expect(guest.facts.isVirtualMachine).toBe(true);
    expect(metal.facts.isVirtualMachine).toBeUndefined();
  });

  it.each(realFiles(/\/expected-.*\.xml$/))(
    "%s claims nothing that the /sys of the same machine denies",
    async (path) => {
      const tar = realFiles(/\.tar\.bz2$/).find((each) => dirname(each) === dirname(path)) ?? "";
      const [xml, sysfs] = await Promise.all([
        readCapture(realPath(path)),
        readCapture(realPath(tar)),
      ]);

      for (const row of xml.table.bdf.keys()) {
        const same = sysfs.require(xml.bdfOf(row));
        expect(chainOf(xml, row)).toEqual(chainOf(sysfs, same));
        expect(xml.table.vendor[row]).toBe(sysfs.table.vendor[same]);
      }
      for (const provider of xml.endpoints) {
        for (const client of xml.endpoints) {
          const claim = judgePair(xml, rules, provider, client);
          const [p, c] = [provider, client].map((row) => sysfs.require(xml.bdfOf(row)));
          const truth = judgePair(sysfs, rules, p as number, c as number);
          expect(claim.distance).toBe(truth.distance);
          if (claim.type !== "unknown" && truth.type !== "unknown") {
            expect(claim.type).toBe(truth.type);
          }
        }
      }
    },
  );
});

const BRIDGE = 'busid="0000:21:00.0" class="0x060400" vendor="0x1022" device="0x14c7"';
const nccl = (inside: string): string =>
  `\n<!-- a comment first -->\n<system version="1"><cpu numaid="0" affinity="0000ffff,00000001" arch="x86_64" vendor="GenuineIntel" familyid="6" modelid="143">${inside}</cpu></system>`;

describe("an NCCL topology", () => {
  it("names GPUs, NICs, peer links and who may reach GPU memory directly", async () => {
    const topology = await read(
      nccl(`<pci ${BRIDGE} link_speed="16 GT/s" link_width="16">
        <pci busid="0000:23:00.0" class="0x030200" link_speed="" link_width="0">
          <gpu dev="3" gdr="1"><nvlink target="0000:1c:00.0" count="5"/></gpu></pci>
        <pci busid="0000:24:00.0" class="0x020000"><nic><net name="mlx5_1" gdr="0"/></nic></pci>
      </pci><nic><net name="eth0"/></nic>`),
    );

    expect([...topology.facts.osNames]).toEqual([
      ["0000:23:00.0", ["GPU3"]],
      ["0000:24:00.0", ["mlx5_1"]],
    ]);
    expect(topology.facts.peerLinks).toEqual([
      { kind: "nvlink", from: "0000:23:00.0", to: "0000:1c:00.0", count: 5 },
    ]);
    expect(topology.facts.nonPciNames).toEqual(["eth0"]);
    expect([...topology.facts.directNicAccess]).toEqual(["0000:23:00.0"]);
    expect(topology.facts.numaNodes).toEqual([{ id: 0, distances: [], cpuList: "0,32-47" }]);
    expect(topology.record(topology.require("21:00.0")).link).toMatchObject({
      speedMtps: 16_000,
      width: 16,
    });
    expect(topology.record(topology.require("23:00.0")).link).toMatchObject({ speedMtps: 0 });
  });

  it("with a bridge that has functions of another domain below it takes it as a group", async () => {
    const topology = await read(
      nccl(`<pci ${BRIDGE}><pci busid="0001:01:00.0"/><pci busid="0000:22:00.0"/></pci>`),
    );

    expect(topology.parentOf(topology.require("0001:01:00.0"))).toBe(-1);
    expect(topology.parentOf(topology.require("22:00.0"))).toBe(topology.require("21:00.0"));
    expect(topology.facts.nearGroups).toEqual([
      { name: "0000:21:00.0", members: ["0001:01:00.0"] },
    ]);
  });

  it.each([
    [
      "an address that is none",
      '<pci busid="21:00"/>',
      /line 3: <pci>: busid="21:00" is not a PCI/,
    ],
    ["no address", "<pci/>", /busid="" is not a PCI address/],
    ["a class that is no number", '<pci busid="1:0.0" class="vga"/>', /class="vga" is not a hex/],
    ["one function twice", `<pci ${BRIDGE}/><pci ${BRIDGE}/>`, /given twice/],
    ["no function", "<nic/>", /no PCI functions in it/],
  ])("is refused for %s", async (_, inside, message) => {
    await expect(read(nccl(inside))).rejects.toThrow(message);
  });

  it("of two machines is refused", async () => {
    const two =
      '<system version="1"><cpu numaid="0" host_hash="0x1"/><cpu host_hash="0x2"/></system>';

    await expect(read(two)).rejects.toThrow(/no PCI functions|holds 2 machines/);
  });
});

const hwloc = (inside: string): string =>
  `<?xml version="1.0"?>\n<!DOCTYPE topology SYSTEM "hwloc2.dtd">\n<topology version="2.0"><object type="Machine">${inside}</object></topology>`;
const HOST = 'type="Bridge" bridge_type="0-1" bridge_pci="0000:[00-05]"';
const PORT =
  'type="Bridge" bridge_type="1-1" bridge_pci="0000:[01-03]" pci_busid="0000:00:01.0" pci_type="0604 [8086:3c02] [0000:0000] 07"';
const card = (bdf: string): string =>
  `<object type="PCIDev" pci_busid="${bdf}" pci_type="0300 [10de:2230] [10de:1459] a1"/>`;

describe("an hwloc topology", () => {
  it("whose bus numbers meet has every bridge", async () => {
    const topology = await read(
      hwloc(`<object ${HOST}><object ${PORT}>${card("0000:01:00.0")}</object></object>`),
    );

    expect(topology.facts.tree).toBe("chains");
  });

  it.each([
    [
      "a bridge was left out",
      `<object ${HOST}><object ${PORT}>${card("0000:02:00.0")}</object></object>`,
    ],
    ["no bridge is shown at all", card("0000:02:00.0")],
  ])("has gaps when %s", async (_, inside) => {
    const topology = await read(hwloc(inside));

    expect(topology.facts.tree).toBe("gaps");
    expect(topology.facts.missing.map(({ fact }) => fact)).toContain("bridges");
  });
});
