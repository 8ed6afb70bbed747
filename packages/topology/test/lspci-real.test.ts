/**
 * Lspci output of real machines, read in place where a collection of them is present.
 *
 * `lspci -F DUMP` makes trees and details from a dump, so two forms of one dump are each other's oracle.
 */
import { readFileSync } from "node:fs";
import {
  ACS_ABSENT,
  ACS_PRESENT,
  ACS_UNKNOWN,
  DeviceNames,
  judgePair,
  readCapture,
  redirectAnswer,
  rulesForKernel,
} from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { expectSubset } from "./lspci-claims.ts";
import { COLLECTION_MISSING, realFiles, realPath } from "./real-collection.ts";

const rules = rulesForKernel();
const names = new DeviceNames();
const open = (path: string) => readCapture(realPath(path));

if (COLLECTION_MISSING !== "") {
  console.warn(`lspci output of real machines is skipped: ${COLLECTION_MISSING}`);
}

describe.skipIf(COLLECTION_MISSING !== "")("a real machine", () => {
  it("with an NF200 switch is the same by its dump, by the details and by the tree lspci made of it", async () => {
    const folder = "asus-p6t6-x58-nf200-hexdump";
    const dump = await open(`${folder}/lspci-xxxx.txt`);
    const details = await open(`${folder}/expected-lspci-vvvnn.txt`);
    const tree = await open(`${folder}/expected-lspci-tv.txt`);

    expectSubset(details, dump);
    expectSubset(tree, dump);
    expect([dump.count, details.count, tree.count]).toEqual([53, 53, 53]);
    const ports = Array.from(dump.table.bdf.keys()).filter((row) => dump.isBridge(row));
    const answers = new Set(ports.map((row) => redirectAnswer(dump, rules, row)));
    expect(answers).toEqual(new Set(["no"]));
    // The NF200's downstream ports have no ACS: two cards below it would not leave the switch.
    const nf200 = ["0000:03:00.0", "0000:03:02.0"].map((bdf) => dump.require(bdf));
    expect(nf200.map((row) => dump.table.acsState[row])).toEqual([ACS_ABSENT, ACS_ABSENT]);
  });

  it("with a Radeon below two bridges of its own shows them in its tree", async () => {
    const folder = "am5-desktop-radeon-w5700-2nvme";
    const tree = await open(`${folder}/lspci-tv.txt`);
    const picked = await open(`${folder}/lspci-vvv-selected.txt`);

    const gpu = tree.require("03:00.0");
    const above = [tree.parentOf(gpu), tree.parentOf(tree.parentOf(gpu))].map((row) =>
      tree.bdfOf(row),
    );
    expect(above).toEqual(["0000:02:00.0", "0000:01:00.0"]);
    expect(names.shortNameOf(tree, gpu)).toBe("AMD Radeon Pro W5700");
    expect(judgePair(tree, rules, gpu, tree.require("04:00.0")).type).toBe("unknown");
    // What the poster states: redirect on at both root ports.
    const ports = ["00:01.1", "00:01.2"].map((bdf) =>
      redirectAnswer(picked, rules, picked.require(bdf)),
    );
    expect(ports).toEqual(["yes", "yes"]);
    expect(picked.table.acsState[picked.require("00:01.0")]).toBe(ACS_UNKNOWN);
    expect(picked.facts.tree).toBe("chains");
  });

  it("with four host bridges has them in its tree, and picked devices are no tree", async () => {
    const folder = "puget-wrx90-2xrtx6000ada-cx7-nvme";
    const tree = await open(`${folder}/lspci-tv.txt`);
    const picked = await open(`${folder}/lspci-vvv-selected.txt`);

    expect(tree.rootBuses.map(({ id }) => id)).toEqual([
      "0000:00",
      "0000:20",
      "0000:c0",
      "0000:e0",
    ]);
    const gpus = ["c1:00.0", "c2:00.0"].map((bdf) => tree.require(bdf));
    expect(gpus.map((row) => tree.rootBusOf(row).id)).toEqual(["0000:c0", "0000:c0"]);
    expect(names.shortNameOf(tree, gpus[0] as number)).toBe("NVIDIA RTX 6000 Ada");
    expect(tree.table.vendor[tree.require("00:00.0")]).toBe(0x1022);
    const gpu = picked.require("c1:00.0");
    expect(picked.facts.tree).toBe("none");
    expect(picked.resizableBarsOf(gpu)?.find(({ index }) => index === 1)).toMatchObject({
      size: 64 * 2 ** 30,
      sizesSupported: expect.arrayContaining([256 * 2 ** 20]),
    });
    expect(judgePair(picked, rules, gpu, picked.require("c2:00.0")).type).toBe("unknown");
    await expect(open(`${folder}/lspci-vvv-grep-ACSCtl.txt`)).rejects.toThrow(
      /none of 26 redirects peer traffic.*completes a capture/,
    );
  });

  it("completes its tree by the picked details, and keeps what ACS lines without functions say", async () => {
    const topology = await open("puget-wrx90-2xrtx6000ada-cx7-nvme");

    const gpu = topology.require("c1:00.0");
    expect(topology.facts.tree).toBe("whole");
    expect(topology.rootBusOf(gpu).id).toBe("0000:c0");
    expect(topology.barOf(gpu, 1)?.size).toBe(64 * 2 ** 30);
    expect(topology.facts.format).toContain("none of 26 redirects peer traffic");
  });

  it("captured by an ordinary user has buses and BARs, and ACS nowhere but where none can be", async () => {
    const topology = await open("msi-cyborg15-rtx4050-nvme-unprivileged/lspci-vvnn.txt");

    const gpu = topology.require("01:00.0");
    expect(topology.bdfOf(topology.parentOf(gpu))).toBe("0000:00:01.0");
    expect(topology.barOf(gpu, 1)?.size).toBe(8 * 2 ** 30);
    expect(Array.from(topology.table.acsState)).not.toContain(ACS_PRESENT);
    expect(topology.table.acsState[gpu]).toBe(ACS_UNKNOWN);
    const types = Array.from(
      topology.endpoints,
      (row) => judgePair(topology, rules, gpu, row).type,
    );
    expect(new Set(types)).toEqual(new Set(["unknown"]));
  });

  it.each(realFiles(/lspci.*\.txt$/).filter((path) => !path.includes("grep")))(
    "%s is read",
    async (path) => {
      const topology = await open(path);

      const text = readFileSync(realPath(path), "utf8");
      expect(topology.count).toBeGreaterThan(2);
      expect(topology.facts.format).toMatch(/^lspci \(/);
      expect(text).toContain(topology.bdfOf(topology.count - 1).slice(8));
    },
  );
});
