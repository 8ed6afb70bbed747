/**
 * Real machines: /sys of servers as hwloc-gather-topology packs it, read in place where present.
 *
 * All hold 64 bytes of config space, so what is asked of them is the tree, and that nothing about ACS is
 * invented.
 */
import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { ACS_UNKNOWN, judgePair, readCapture, rulesForKernel, walkPair } from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { COLLECTION_MISSING, realFiles, realPath } from "./real-collection.ts";

const tars = realFiles(/\.tar\.bz2$/);

if (COLLECTION_MISSING !== "") {
  console.warn(`real machines are skipped: ${COLLECTION_MISSING}`);
}

/** The PCI functions that hwloc's own test suite expects to be found in a capture of this folder. */
function expectedFunctions(folder: string): string[] {
  const [file = ""] = realFiles(/\/expected-.*\.xml$/).filter((path) => dirname(path) === folder);
  const xml = readFileSync(realPath(file), "utf8");
  return Array.from(xml.matchAll(/pci_busid="([^"]+)"/g), ([, bdf = ""]) => bdf);
}

describe.skipIf(COLLECTION_MISSING !== "")("a real server captured by hwloc", () => {
  it.each(tars.map((path) => [basename(path), path]))(
    "%s gives its tree and invents no ACS",
    async (_, path) => {
      const topology = await readCapture(realPath(path));

      const expected = expectedFunctions(dirname(path));
      expect(expected.length).toBeGreaterThan(10);
      expect(expected.filter((bdf) => topology.indexOf(bdf) < 0)).toEqual([]);
      expect(topology.facts.cpu?.vendor).toBe("GenuineIntel");
      expect(topology.facts.numaNodes.map(({ id, socket }) => socket === id)).not.toContain(false);
      const { acsState, headerType, parent } = topology.table;
      const ports = Array.from(headerType.keys()).filter(
        (row) => headerType[row] === 1 && parent[row] === -1,
      );
      expect(ports.some((row) => acsState[row] === ACS_UNKNOWN)).toBe(true);
      const rules = rulesForKernel();
      for (const provider of topology.endpoints) {
        for (const client of topology.endpoints) {
          const { type } = judgePair(topology, rules, provider, client);
          const { providerSide, clientSide } = walkPair(topology, provider, client);
          const isUnread = [...providerSide, ...clientSide].some(
            (row) => acsState[row] === ACS_UNKNOWN,
          );
          expect(type === "bus-addr" && isUnread).toBe(false);
        }
      }
    },
  );
});
