/**
 * IOMMU groups: our grouping against the groups that the real kernel made on the captured machines.
 */
import { iommuGroupsOf, readCapture, type Topology } from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { CAPTURES, captureFolder } from "./captures.ts";

/**
 * ACS control as it was when the groups were made. On two machines `setpci` changed ports afterwards; the
 * kernel had set 0x1d on all ports by then, as it does with an IOMMU on.
 */
const AT_BOOT: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  "conv-02": { "00:03.0": 0x1d, "00:06.0": 0x1d },
  "flat-04": { "00:04.0": 0x1d, "00:06.0": 0x1d },
};

function asAtBoot(topology: Topology, name: string): Topology {
  const changes = Object.entries(AT_BOOT[name] ?? {});
  return topology.withAcsControl(
    new Map(changes.map(([bdf, control]) => [topology.require(bdf), control])),
  );
}

/** Groups as sorted lists of BDFs, of the functions that the kernel put into one. */
function partition(topology: Topology, groups: Int32Array): string[] {
  const members = new Map<number, string[]>();
  topology.table.iommuGroup.forEach((captured, row) => {
    if (captured >= 0) {
      const group = groups[row] as number;
      members.set(group, [...(members.get(group) ?? []), topology.bdfOf(row)]);
    }
  });
  return [...members.values()].map((group) => group.join(" ")).sort();
}

const topologies = new Map(
  await Promise.all(
    CAPTURES.map(async (name) => [name, await readCapture(captureFolder(name))] as const),
  ),
);
const withGroups = [...topologies].filter(([, { table }]) =>
  table.iommuGroup.some((id) => id >= 0),
);

it("there are machines with groups to compare with", () => {
  expect(withGroups.map(([name]) => name)).toEqual([
    "conv-02",
    "flat-04",
    "server-01",
    "server-05",
    "switch-01",
    "switch-03",
    "tiny-02",
  ]);
});

describe.each(withGroups)("captured machine %s", (name, topology) => {
  it("is grouped as the kernel grouped it", () => {
    const groups = iommuGroupsOf(asAtBoot(topology, name)) as Int32Array;

    expect(partition(topology, groups)).toEqual(partition(topology, topology.table.iommuGroup));
  });
});

it("says nothing where ACS was not captured", async () => {
  const topology = topologies.get("server-05") as Topology;
  const records = topology.records().map(({ acs, ...record }) => record);
  const { buildTopology } = await import("@peerbuf/topology");

  expect(iommuGroupsOf(buildTopology("no ACS", records))).toBeUndefined();
});
