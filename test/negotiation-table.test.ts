/**
 * Negotiation table: every exporter with every importer on captured machines, as docs/negotiation.md
 * has it. No cell is written by hand: `UPDATE_DOCS=1 npx vitest run test/negotiation-table.test.ts`
 * writes them all anew.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Cell, runCell } from "./negotiation/cell.ts";
import { EXPORTERS, type ExporterName } from "./negotiation/exporting.ts";
import { IMPORTERS, type ImporterName } from "./negotiation/importing.ts";
import { captureTopology } from "./negotiation/machine.ts";
import { SCENES, type Scene } from "./negotiation/scenes.ts";

const PAGE = new URL("../docs/negotiation.md", import.meta.url);
const BEGIN = "<!-- table: begin -->";
const END = "<!-- table: end -->";

const exporters = Object.keys(EXPORTERS) as ExporterName[];
const importers = Object.keys(IMPORTERS) as ImporterName[];

async function cellsOf(scene: Scene): Promise<Cell[]> {
  const topology = await captureTopology(scene.capture);
  const cells: Cell[] = [];
  for (const exporter of exporters.filter((name) => scene.owners[name] !== undefined)) {
    for (const importer of importers.filter((name) => scene.clients[name] !== undefined)) {
      cells.push(await runCell(topology, scene, exporter, importer));
    }
  }
  return cells;
}

const HEAD = [
  "| Exporter | Importer | Path | Comes out | Bytes are in | Route | Decided by | Because |",
  "|---|---|---|---|---|---|---|---|",
];

const row = (cell: Cell): string =>
  `| ${[
    cell.exporter,
    cell.importer,
    cell.path,
    cell.outcome,
    cell.target,
    cell.route,
    cell.decidedBy,
    cell.reason,
  ].join(" | ")} |`;

const kept = new Map<Scene, Promise<Cell[]>>();

/** Each scene is played once. */
function played(scene: Scene): Promise<Cell[]> {
  const cells = kept.get(scene) ?? cellsOf(scene);
  kept.set(scene, cells);
  return cells;
}

async function tableOf(scene: Scene): Promise<string> {
  const cells = await played(scene);
  return [`### ${scene.title}`, "", ...HEAD, ...cells.map(row)].join("\n");
}

describe("negotiation table", () => {
  it.each(SCENES)("$title: every byte arrives, and nothing is left behind", async (scene) => {
    const cells = await played(scene);

    expect(cells.filter(({ isProven }) => !isProven)).toEqual([]);
  });

  it("has every driver of the tree in it", async () => {
    const seen = (await Promise.all(SCENES.map(played))).flat();

    expect(new Set(seen.map(({ exporter }) => exporter))).toEqual(new Set(exporters));
    expect(new Set(seen.map(({ importer }) => importer))).toEqual(new Set(importers));
  });

  it("stands in docs/negotiation.md as it comes out", async () => {
    const table = (await Promise.all(SCENES.map(tableOf))).join("\n\n");
    const text = readFileSync(PAGE, "utf8");
    const [before = "", rest = ""] = text.split(BEGIN);
    const after = rest.split(END)[1] ?? "";
    const made = `${before}${BEGIN}\n\n${table}\n\n${END}${after}`;
    if (process.env["UPDATE_DOCS"] === "1") {
      writeFileSync(PAGE, made);
    }

    expect(readFileSync(PAGE, "utf8"), "run it with UPDATE_DOCS=1").toBe(made);
  });
});
