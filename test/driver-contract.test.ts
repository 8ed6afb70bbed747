/**
 * Driver contract: every exporter and importer of the tree goes through the suites that other people's drivers
 * go through, and does its work on captured machines with the checker on. Not one rule is broken.
 */
import { createChecker, describeContract, describeViolation } from "@peerbuf/testkit";
import { describe, expect, it } from "vitest";
import { shippedExporters } from "./contract/shipped-exporters.ts";
import { shippedImporters } from "./contract/shipped-importers.ts";
import { runCell } from "./negotiation/cell.ts";
import { EXPORTERS, type ExporterName } from "./negotiation/exporting.ts";
import { IMPORTERS, type ImporterName } from "./negotiation/importing.ts";
import { captureTopology } from "./negotiation/machine.ts";
import { SCENES, type Scene } from "./negotiation/scenes.ts";

const exporters = Object.keys(EXPORTERS) as ExporterName[];
const importers = Object.keys(IMPORTERS) as ImporterName[];

for (const contract of [...shippedExporters(), ...shippedImporters()]) {
  describeContract(contract, { describe, it });
}

/** What the checker says of each pair of a scene. */
async function violationsIn(scene: Scene): Promise<string[]> {
  const topology = await captureTopology(scene.capture);
  const found: string[] = [];
  for (const exporter of exporters.filter((name) => scene.owners[name] !== undefined)) {
    for (const importer of importers.filter((name) => scene.clients[name] !== undefined)) {
      const checker = createChecker();
      await runCell(topology, scene, exporter, importer, (options) => checker.framework(options));
      const violations = checker.finish();
      found.push(
        ...violations.map((each) => `${exporter}, ${importer}: ${describeViolation(each)}`),
      );
    }
  }
  return found;
}

describe("shipped drivers under the checker", () => {
  it.each(SCENES)("$title: no rule is broken", async (scene) => {
    expect(await violationsIn(scene)).toEqual([]);
  });
});
