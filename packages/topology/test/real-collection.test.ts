/**
 * Real collection: every file of it is read, or it is said why it is no capture; and where somebody
 * stated or measured what is true of a machine, the class or verdict agrees.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { InputError } from "@peerbuf/core";
import {
  buildTopology,
  type FunctionRecord,
  factsNamed,
  functionsOfMatrix,
  judgePair,
  type PathClassTable,
  pathClassOf,
  readCapture,
  readCaptures,
  redirectAnswer,
  rulesForKernel,
} from "@peerbuf/topology";
import { afterAll, describe, expect, it } from "vitest";
import { COLLECTION_MISSING, realFiles, realPath, sourceOf } from "./real-collection.ts";

const rules = rulesForKernel();
const folder = mkdtempSync(join(tmpdir(), "peerbuf-collection-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Files that are no captures, with what they are. */
const NO_CAPTURES: readonly (readonly [RegExp, string])[] = [
  [/(?:^|\/)(?:INDEX|source)\.json$|FORMATS\.md$/, "says where captures come from"],
  [/\/facts\.json$/, "facts of a thread, from which the tests below build captures"],
  [/\/gdsio\.txt$/, "measured throughput"],
  [/\/p2pBandwidthLatencyTest\.txt$/, "measured throughput"],
];
/** Captures that are recognised and refused, because a verdict from them would be a guess. */
const REFUSED: readonly (readonly [RegExp, RegExp])[] = [
  [/lspci-vvv-grep-ACSCtl\.txt$/, /ACS control lines without the functions they belong to/],
];
/** Texts that say something only beside a capture. */
const COMPANIONS = /kernel-cmdline\.txt$|numactl-hardware\.txt$/;

const captures = realFiles(/./).filter(
  (path) => /\.\w+$/.test(basename(path)) && !NO_CAPTURES.some(([pattern]) => pattern.test(path)),
);

if (COLLECTION_MISSING !== "") {
  console.warn(`the collection is skipped: ${COLLECTION_MISSING}`);
}

/** Machines whose ground truth is compared, here or (the expected- files) in `xml-captures.test.ts`. */
const COMPARED: readonly string[] = [
  "am5-desktop-radeon-w5700-2nvme",
  "intel-2s-snb-phi-nvme-cx3-sysfs",
  "intel-4s-westmere-ex-two-iohs-sysfs",
  "puget-wrx90-2xrtx6000ada-cx7-nvme",
  "thread-compute-runtime957-4xb70-turin",
  "thread-nccl243-6gpu-2ib",
  "thread-quda669-4xk80-8gpu-plx",
];
/** Statements that are neither a class nor a verdict of this kind, with what they are about. */
const OTHER_KIND: Readonly<Record<string, string>> = {
  "thread-club3090-2x5090-wrx80": "the vendor driver's own refusal of a model",
  "thread-nccl2079-2xrtx5880ada-amd-acs":
    "a transfer; which ports are above the cards is not stated",
  "thread-nccl257-4x1080ti-intel-iommu": "transfers through an IOMMU that was on",
};

const json = (path: string): Record<string, never> =>
  JSON.parse(readFileSync(realPath(path), "utf8"));

describe.skipIf(COLLECTION_MISSING !== "")("every real file", () => {
  it.each(captures)("%s is read, or refused for what it lacks", async (path) => {
    const refusal = REFUSED.find(([pattern]) => pattern.test(path));
    if (refusal !== undefined) {
      await expect(readCapture(realPath(path))).rejects.toThrow(refusal[1]);
      return;
    }
    if (COMPANIONS.test(path)) {
      await expect(readCapture(realPath(path))).rejects.toThrow(/completes a capture/);
      const tree = `${dirname(path)}/lspci-tv.txt`;
      const { facts } = await readCaptures([realPath(tree), realPath(path)]);
      expect(facts.format).toMatch(/^lspci \(tree\) \+ /);
      return;
    }

    const topology = await readCapture(realPath(path));

    expect(topology.count > 0 || topology.facts.pathClasses !== undefined).toBe(true);
    expect(topology.facts.source).toBe(realPath(path));
  });

  it("of one machine in one folder is read together with the others", async () => {
    const topology = await readCapture(realPath("puget-wrx90-2xrtx6000ada-cx7-nvme"));

    expect(topology.facts.format).toMatch(/^\/proc\/cmdline \+ lspci \(tree\) \+ /);
    expect(topology.facts.tree).toBe("whole");
    expect(topology.facts.contradictions).toEqual([]);
  });

  it("that is no capture is refused, and no other exception comes", async () => {
    for (const path of realFiles(/gdsio|p2pBandwidth|facts\.json|source\.json/)) {
      await expect(readCapture(realPath(path)), path).rejects.toBeInstanceOf(InputError);
    }
  });
});

/** A matrix as the tool prints it, from the one restated in a thread. */
type Matrix = Record<string, Record<string, string>>;
function printed(matrix: Matrix): string {
  const names = Object.keys(matrix);
  const rows = names.map((row) =>
    [row, ...names.map((column) => matrix[row]?.[column] ?? "")].join("\t"),
  );
  return [["", ...names].join("\t"), ...rows].join("\n");
}

const classesOf = ({ names, classes }: PathClassTable) =>
  Object.fromEntries(
    names.map((row, r) => [
      row,
      Object.fromEntries(names.map((column, c) => [column, classes[r]?.[c]])),
    ]),
  );

describe.skipIf(COLLECTION_MISSING !== "")("what was stated about a real machine", () => {
  const puget = "puget-wrx90-2xrtx6000ada-cx7-nvme";
  const turin = "thread-compute-runtime957-4xb70-turin";

  it("is its matrix: the file of nvidia-smi says what its authors say", async () => {
    const { facts } = await readCapture(realPath(`${puget}/nvidia-smi-topo-m.txt`));

    const { pathTypes } = sourceOf(`${puget}/x`)["groundTruth"] as { pathTypes: object };
    expect(classesOf(facts.pathClasses as PathClassTable)).toEqual(pathTypes);
  });

  it("is the class of its GPUs, which the tree gives as well", async () => {
    const topology = await readCaptures(
      [
        "lspci-tv.txt",
        "lspci-vvv-selected.txt",
        "numactl-hardware.txt",
        "nvidia-smi-topo-m.txt",
      ].map((name) => realPath(`${puget}/${name}`)),
    );

    const [one, other] = ["GPU0", "GPU1"].map((name) =>
      topology.require(functionsOfMatrix(topology).get(name) ?? ""),
    );
    expect(pathClassOf(topology, one as number, other as number)).toBe("PHB");
    expect(topology.facts.pathClasses?.classes[0]?.[1]).toBe("PHB");
  });

  it.each(["thread-nccl243-6gpu-2ib", "thread-quda669-4xk80-8gpu-plx"])(
    "is the matrix in %s, read from its text",
    async (thread) => {
      const { pathMatrix } = json(`${thread}/facts.json`) as unknown as { pathMatrix: Matrix };
      const path = join(folder, "topo.txt");
      writeFileSync(path, printed(pathMatrix));

      const { facts } = await readCapture(path);

      expect(classesOf(facts.pathClasses as PathClassTable)).toEqual(pathMatrix);
      expect(facts.contradictions).toEqual([]);
    },
  );

  it("is the verdict of a tool that restates the kernel, on two cards of one EPYC socket", () => {
    const { paths, acsRedirectOn } = json(`${turin}/facts.json`) as unknown as {
      paths: Record<string, string[]>;
      acsRedirectOn: string[];
    };
    const records = Object.entries(paths).flatMap(([card, above]): FunctionRecord[] => {
      const bridges = above.map((text) => text.split(" ")[0] as string);
      return [
        { bdf: card, parent: bridges[0] as string, classCode: 0x030000 },
        ...bridges.map((bdf, index) => ({
          bdf,
          parent: bridges[index + 1] ?? null,
          headerType: 1,
          acs: { capability: 0x5f, control: acsRedirectOn.includes(bdf) ? 0x1d : 0 },
        })),
      ];
    });
    const facts = { ...factsNamed(turin), cpu: { vendor: "AuthenticAMD", family: 0x1a } };
    const topology = buildTopology({ ...facts, tree: "chains" }, records);

    const [pair] = (sourceOf(`${turin}/x`)["groundTruth"] as { pairs: Record<string, string>[] })
      .pairs;
    const [provider, client] = [pair?.["provider"], pair?.["client"]].map((bdf) =>
      topology.require(bdf ?? ""),
    );
    expect(judgePair(topology, rules, provider as number, client as number)).toMatchObject({
      type: pair?.["mapType"] === "PCI_P2PDMA_MAP_THRU_HOST_BRIDGE" ? "host-bridge" : "",
      distance: pair?.["distance"],
      hangsOn: [],
    });
  });

  it("is redirect at both root ports of an AM5 board, named in the verdict where it could matter", async () => {
    const board = "am5-desktop-radeon-w5700-2nvme";
    const topology = await readCapture(realPath(board));
    const { acs } = sourceOf(`${board}/x`)["groundTruth"] as { acs: Record<string, string> };

    const redirecting = Object.keys(acs).filter((bdf) => acs[bdf] === "redirect on");
    expect(redirecting).toHaveLength(2);
    for (const bdf of redirecting) {
      expect(redirectAnswer(topology, rules, topology.require(bdf))).toBe("yes");
    }
    const cpu = { vendor: "AuthenticAMD", family: 0x19 };
    const known = topology.withFacts({ cpu });
    const [gpu, drive] = ["03:00.0", "04:00.0"].map((bdf) => known.require(bdf));
    expect(judgePair(known, rules, gpu as number, drive as number).type).toBe("host-bridge");
  });

  it("is compared here or by the test of its format, or is about something else", () => {
    const stated = realFiles(/source\.json$/)
      .map(dirname)
      .filter((folder) => sourceOf(`${folder}/x`)["groundTruth"] !== undefined);

    expect(stated.sort()).toEqual([...COMPARED, ...Object.keys(OTHER_KIND)].sort());
  });
});
