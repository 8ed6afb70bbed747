/**
 * Agreement with the real kernel: type and distance of every ordered pair of every captured machine,
 * read through every form a capture can have.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
  ACS_PRESENT,
  cpuAnswer,
  createJudge,
  hostBridgesOf,
  judgeAllPairs,
  judgePair,
  readCapture,
  rulesForKernel,
  type Topology,
} from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import {
  CAPTURES,
  CAPTURES_WITH_TAR,
  captureFolder,
  kernelFacts,
  kernelVerdicts,
  sysfsJson,
} from "./captures.ts";

const rules = rulesForKernel("6.12.117");

/** Our answers for the pairs the kernel was asked about, in the kernel's form. */
function ourVerdicts(topology: Topology, name: string) {
  return kernelVerdicts(name).map(({ provider, client }) => {
    const verdict = judgePair(
      topology,
      rules,
      topology.require(provider),
      topology.require(client),
    );
    return { provider, client, type: verdict.type, distance: verdict.distance };
  });
}

/** Writes a capture as the tree it was taken from. */
function writeTree(name: string, root: string): void {
  const capture = sysfsJson(name);
  const place = (path: string): string => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    return join(root, path);
  };
  for (const [path, text] of Object.entries(capture.files)) {
    writeFileSync(place(path), text);
  }
  for (const [path, { length, hex }] of Object.entries(capture.binary)) {
    const bytes = Buffer.alloc(length);
    bytes.write(hex, "hex");
    writeFileSync(place(path), bytes);
  }
  for (const [path, target] of Object.entries(capture.links)) {
    symlinkSync(target, place(path));
  }
}

it("has all the captures it was made with", () => {
  expect(CAPTURES).toHaveLength(24);
  expect(CAPTURES_WITH_TAR).toEqual(["server-05", "tiny-02"]);
});

describe.each(CAPTURES)("captured machine %s", (name) => {
  it("gets the kernel's type and distance for every pair, read from its sysfs.json", async () => {
    const topology = await readCapture(captureFolder(name));

    expect(ourVerdicts(topology, name)).toEqual(kernelVerdicts(name));
  });

  it("gets the same from the table of all pairs and from the judge", async () => {
    const topology = await readCapture(captureFolder(name));
    const pairs = judgeAllPairs(topology, rules);
    const judge = createJudge(topology, rules);

    const expected = kernelVerdicts(name);
    expect(pairs.count ** 2).toBe(expected.length);
    for (const { provider, client, type, distance } of expected) {
      const from = pairs.positionOf(topology.indexOf(provider));
      const to = pairs.positionOf(topology.indexOf(client));
      expect([pairs.typeAt(from, to), pairs.distanceAt(from, to)]).toEqual([type, distance]);
      expect(judge.judge(provider, client)).toMatchObject({ reads: type, writes: type, distance });
    }
  });

  it("gets the same from the folder tree it was captured from", async () => {
    const root = mkdtempSync(join(tmpdir(), "peerbuf-tree-"));
    try {
      writeTree(name, root);
      const topology = await readCapture(root);
      const direct = await readCapture(captureFolder(name));

      expect(ourVerdicts(topology, name)).toEqual(kernelVerdicts(name));
      expect(topology.records()).toEqual(direct.records());
      expect({ ...topology.facts, source: "" }).toEqual({ ...direct.facts, source: "" });
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  it("shows what the kernel held: ACS, port types, bridges above, host bridges, CPU", async () => {
    const topology = await readCapture(captureFolder(name));
    const facts = kernelFacts(name);

    expect(cpuAnswer(topology, rules)).toBe(facts.cpu_supports_p2pdma ? "yes" : "no");
    for (const device of facts.devices) {
      const row = topology.require(device.bdf);
      const { table } = topology;
      const upstream = topology.upstreamOf(row);
      expect({
        bdf: topology.bdfOf(row),
        header_type: table.headerType[row],
        pcie_type: table.portType[row],
        hasAcs: table.acsState[row] === ACS_PRESENT,
        acs_cap: table.acsCapability[row],
        acs_ctrl: table.acsControl[row],
        upstream: upstream < 0 ? null : topology.bdfOf(upstream),
        virtfn: (table.physicalFunction[row] as number) >= 0,
      }).toEqual({
        bdf: device.bdf,
        header_type: device.header_type,
        pcie_type: device.pcie_type,
        hasAcs: device.acs_cap_offset > 0,
        acs_cap: device.acs_cap,
        acs_ctrl: device.acs_ctrl,
        upstream: device.upstream,
        virtfn: device.virtfn,
      });
    }
    const bridges = hostBridgesOf(topology, rules);
    expect(bridges).toHaveLength(facts.host_bridges.length);
    for (const theirs of facts.host_bridges) {
      const ours = bridges.find(({ root }) => root.id === theirs.bus);
      expect([ours?.alone, ours?.withOthers]).toEqual([
        theirs.whitelisted_same ? "yes" : "no",
        theirs.whitelisted_other ? "yes" : "no",
      ]);
      const isUnnamed = ours?.reason.code === "HOST_BRIDGE_UNNAMED";
      expect(isUnnamed ? null : ours?.reason.at).toBe(theirs.host_bridge_dev);
    }
  });
});

// These tars hold /sys only. Without /proc the CPU is not known, and a Zen CPU would let every path pass.
describe.each(CAPTURES_WITH_TAR)("tar of captured machine %s", (name) => {
  const tar = join(captureFolder(name), "sysfs.tar.gz");

  it("holds the same functions as its sysfs.json", async () => {
    const topology = await readCapture(tar);
    const direct = await readCapture(captureFolder(name));

    expect(topology.records()).toEqual(direct.records());
    expect(topology.facts.iommuGroupTypes).toEqual(direct.facts.iommuGroupTypes);
  });

  it("gets the kernel's verdicts once the CPU is told", async () => {
    const { cpu } = (await readCapture(captureFolder(name))).facts;
    const topology = (await readCapture(tar)).withFacts(cpu === undefined ? {} : { cpu });

    expect(ourVerdicts(topology, name)).toEqual(kernelVerdicts(name));
  });

  it("answers unknown, for want of the CPU, exactly where the kernel refuses", async () => {
    const topology = await readCapture(tar);

    const expected = kernelVerdicts(name).map((verdict) =>
      verdict.type === "unsupported" ? { ...verdict, type: "unknown" } : verdict,
    );
    expect(ourVerdicts(topology, name)).toEqual(expected);
    const hanging = expected.find(({ type }) => type === "unknown");
    const [provider, client] = [hanging?.provider ?? "", hanging?.client ?? ""].map((bdf) =>
      topology.require(bdf),
    );
    const { reasons } = judgePair(topology, rules, provider as number, client as number);
    expect(reasons.map(({ code }) => code)).toContain("CPU_UNKNOWN");
  });
});
