/**
 * Field threads: machines that people described in public reports, built from the facts they stated.
 *
 * The facts are read in place where a collection of them is present; they are not part of this repository.
 */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  type AcsRecord,
  buildTopology,
  diagnosePair,
  type FunctionRecord,
  PORT_TYPE,
  rulesForKernel,
  type Topology,
} from "@peerbuf/topology";
import { describe, expect, it } from "vitest";

const COLLECTION = fileURLToPath(new URL("../../../../shared/topologies/real", import.meta.url));
const reason = existsSync(COLLECTION) ? "" : "no collection of reports beside the repository";
const rules = rulesForKernel("6.12");
const ZEN = { vendor: "AuthenticAMD", family: 0x19 };

if (reason !== "") {
  console.warn(`field threads are skipped: ${reason}`);
}

const facts = (folder: string) =>
  JSON.parse(readFileSync(`${COLLECTION}/${folder}/facts.json`, "utf8"));

/** A chain of functions, the device first and the root port last, as records. */
function chainOf(bdfs: readonly string[], redirecting: ReadonlySet<string>): FunctionRecord[] {
  const acsOf = (bdf: string): AcsRecord => ({
    capability: 0x5f,
    control: redirecting.has(bdf) ? 0x1d : 0,
  });
  return bdfs.map((bdf, index) => {
    const parent = bdfs[index + 1] ?? null;
    const below = bdfs[index - 1];
    const busNumbers = (below === undefined ? "" : below.split(":")[1]) ?? "";
    return {
      bdf,
      parent,
      portType: parent === null ? PORT_TYPE.ROOT_PORT : PORT_TYPE.ENDPOINT,
      ...(below === undefined
        ? { acs: "absent" as const, classCode: 0x030000 }
        : {
            headerType: 1,
            secondaryBus: Number.parseInt(busNumbers, 16),
            subordinateBus: Number.parseInt(bdfs[0]?.split(":")[1] ?? "", 16),
            acs: acsOf(bdf),
          }),
    };
  });
}

const pair = (topology: Topology, provider: string, client: string) =>
  diagnosePair(topology, rules, topology.require(provider), topology.require(client), {
    between: [],
  });

describe.skipIf(reason !== "")("four GPUs with on-card bridges below an AMD processor", () => {
  const stated = reason === "" ? facts("thread-compute-runtime957-4xb70-turin") : { paths: {} };
  const chains = Object.entries<string[]>(stated.paths).map(([gpu, path]) => [
    gpu,
    ...path.map((text) => text.split(" ")[0] as string),
  ]);
  const redirecting = new Set<string>(stated.acsRedirectOn);
  const records = chains.flatMap((chain) => chainOf(chain, redirecting));

  it("pass through the root complex at distance 8, as the kernel's own logic said there", () => {
    const topology = buildTopology("Turin", records).withFacts({ cpu: ZEN });
    const { verdict, redirecting: named, reads } = pair(topology, "03:00.0", "23:00.0");

    expect([verdict.type, verdict.distance]).toEqual(["host-bridge", 8]);
    expect(reads.hardware).toBe("yes");
    // Without a common bridge no redirect counts: a hint to clear them would change nothing here.
    expect(named).toEqual([]);
  });
});

describe.skipIf(reason !== "")("two GPUs on AMD root ports with redirect on, and an IOMMU", () => {
  const stated =
    reason === "" ? facts("thread-nccl2079-2xrtx5880ada-amd-acs") : { gpus: [], acsCtl: {} };
  const ports = ["0000:40:01.1", "0000:60:01.1"];
  const redirecting =
    Number.parseInt(stated.acsCtl.hex, 16) === 0x1d ? new Set(ports) : new Set<string>();
  const records = (stated.gpus as string[]).flatMap((gpu, index) =>
    chainOf([gpu, ports[index] as string], redirecting).map((record) => ({
      ...record,
      iommuGroup: index,
    })),
  );

  it("are let through by the kernel, and their traffic is told to meet a translating IOMMU", () => {
    const topology = buildTopology("Starship", records).withFacts({
      cpu: ZEN,
      iommuGroupTypes: new Map([
        [0, "DMA-FQ"],
        [1, "DMA-FQ"],
      ]),
    });
    const { verdict, translation, fixes } = pair(topology, "41:00.0", "61:00.0");

    expect(verdict.type).toBe("host-bridge");
    expect(translation.isMet).toBe("yes");
    expect(fixes.map(({ kind }) => kind)).toContain("pass-through");
  });
});
