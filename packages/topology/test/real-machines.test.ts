/**
 * Real machines: /sys captures of servers, read in place where a collection of them is present.
 *
 * They are third parties' and not part of this repository. All hold 64 bytes of config space, so what
 * is asked of them is the tree, and that nothing about ACS is invented.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ACS_UNKNOWN, judgePair, readCapture, rulesForKernel, walkPair } from "@peerbuf/topology";
import { describe, expect, it } from "vitest";

const COLLECTION = fileURLToPath(new URL("../../../../shared/topologies/real", import.meta.url));
const UNPACK = ["/usr/bin/bunzip2", "/bin/bunzip2"].find(existsSync) ?? "";
const reason = [
  existsSync(COLLECTION) ? "" : "no collection of real captures beside the repository",
  UNPACK !== "" ? "" : "bunzip2 is not installed",
]
  .filter((each) => each !== "")
  .join("; ");

const tars =
  reason === ""
    ? readdirSync(COLLECTION, { recursive: true, encoding: "utf8" }).filter((path) =>
        path.endsWith(".tar.bz2"),
      )
    : [];

if (reason !== "") {
  console.warn(`real machines are skipped: ${reason}`);
}

/** The PCI functions that hwloc's own test suite expects to be found in a capture of this folder. */
function expectedFunctions(folder: string): string[] {
  const file = readdirSync(folder).find((name) => name.startsWith("expected-")) ?? "";
  const xml = readFileSync(join(folder, file), "utf8");
  return Array.from(xml.matchAll(/pci_busid="([^"]+)"/g), ([, bdf = ""]) => bdf);
}

describe.skipIf(reason !== "")("a real server captured by hwloc", () => {
  it.each(tars.map((path) => [basename(path), path]))(
    "%s gives its tree and invents no ACS",
    async (_, path) => {
      const folder = mkdtempSync(join(tmpdir(), "peerbuf-real-"));
      try {
        const tar = execFileSync(UNPACK, ["-c", join(COLLECTION, path)], { maxBuffer: 2 ** 28 });
        writeFileSync(join(folder, "capture.tar"), tar);

        const topology = await readCapture(join(folder, "capture.tar"));

        const expected = expectedFunctions(join(COLLECTION, dirname(path)));
        expect(expected.length).toBeGreaterThan(10);
        expect(expected.filter((bdf) => topology.indexOf(bdf) < 0)).toEqual([]);
        expect(topology.facts.cpu?.vendor).toBe("GenuineIntel");
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
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );
});
