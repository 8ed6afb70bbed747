/**
 * Lspci claims: the law for every listing that shows less than all: what is claimed is true.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { InputError, type InputProblem } from "@peerbuf/core";
import {
  type FunctionRecord,
  ID_UNKNOWN,
  judgePair,
  type KernelRules,
  PORT_TYPE_UNKNOWN,
  type Topology,
  topologyFromLspci,
} from "@peerbuf/topology";
import { expect } from "vitest";
import { captureFolder, kernelVerdicts } from "./captures.ts";

const FORMS = fileURLToPath(new URL("../../../test/fixtures/lspci", import.meta.url));

/** The config space rows of a dump, to be taken out. */
export const HEX_ROW: RegExp = /^[0-9a-f]{2,3}: [0-9a-f]{2} .*\n/gm;

export const fullFile = (name: string): string => join(captureFolder(name), "lspci-vvvxxxx.txt.gz");
/** What `lspci -Dvvvxxxx -nn` printed on a captured machine. */
export const fullText = (name: string): string =>
  gunzipSync(readFileSync(fullFile(name))).toString();
/** `lspci-nn.txt` or `lspci-tv.txt` of a captured machine. */
export const textOf = (name: string, file: string): string =>
  readFileSync(join(captureFolder(name), file), "utf8");
/** Another form of a dump, by the options lspci was given. */
export const formOf = (dump: string, options: string): string =>
  readFileSync(join(FORMS, dump, `${options}.txt`), "utf8");

/** Records with config space as text, which compares and prints faster than bytes. */
export const plain = (topology: Topology): object[] =>
  topology.records().map((record) => ({
    ...record,
    config: Buffer.from(record.config ?? []).toString("hex"),
  }));

/** The legacy ports of an IDE controller, of which lspci prints the register and the kernel the port. */
export const isLegacyIde = ({ classCode = 0 }: FunctionRecord): boolean =>
  classCode >> 8 === 0x0101;

/** The kernel's answer for every pair is what we say, or we say unknown. How many are unknown. */
export function expectNothingInvented(
  topology: Topology,
  rules: KernelRules,
  name: string,
): number {
  let unknownCount = 0;
  for (const { provider, client, type, distance } of kernelVerdicts(name)) {
    const [from, to] = [topology.require(provider), topology.require(client)];
    const ours = judgePair(topology, rules, from, to);
    expect([type, "unknown"]).toContain(ours.type);
    expect([distance, -1]).toContain(ours.distance);
    unknownCount += ours.type === "unknown" ? 1 : 0;
  }
  return unknownCount;
}

/** Every fact in `part` that is known is the same in `whole`. */
export function expectSubset(part: Topology, whole: Topology): void {
  for (const ours of part.records()) {
    const theirs = whole.record(whole.require(ours.bdf));
    const places =
      part.facts.tree === "whole" ? { parent: ours.parent, rootBus: ours.rootBus } : {};
    expect(theirs).toMatchObject({
      ...places,
      ...(ours.vendor !== ID_UNKNOWN && { vendor: ours.vendor }),
      ...(ours.device !== ID_UNKNOWN && { device: ours.device }),
      ...(ours.portType !== PORT_TYPE_UNKNOWN && { portType: ours.portType }),
      ...(ours.secondaryBus !== undefined && { secondaryBus: ours.secondaryBus }),
      ...(ours.subordinateBus !== undefined && { subordinateBus: ours.subordinateBus }),
      ...(ours.acs === "absent" && { acs: "absent" }),
      ...(ours.iommuGroup !== -1 && { iommuGroup: ours.iommuGroup }),
      ...(ours.numaNode !== -1 && { numaNode: ours.numaNode }),
      ...(ours.driver !== "" && { driver: ours.driver }),
    });
    expectSameRanges(ours, theirs);
    if (typeof ours.acs === "object" && typeof theirs.acs === "object") {
      expect(ours.acs.control & 0x7f).toBe(theirs.acs.control & 0x7f);
    }
    // A format without the programming interface leaves it zero.
    expect([theirs.classCode, (theirs.classCode ?? 0) & ~0xff, 0]).toContain(ours.classCode);
  }
}

function expectSameRanges(ours: FunctionRecord, theirs: FunctionRecord): void {
  for (const window of ours.windows ?? []) {
    expect(theirs.windows).toContainEqual(window);
  }
  // A dump's BARs are read without the ROM, whose register says nothing of its size.
  const isComparable = (index: number) => index < 6 || theirs.bars?.some((bar) => bar.index === 6);
  const bars = isLegacyIde(ours) ? [] : (ours.bars ?? []);
  for (const bar of bars.filter(({ index }) => isComparable(index))) {
    expect(theirs.bars).toContainEqual(expect.objectContaining(bar));
  }
}

/** What a text is refused for. */
export function problemOf(text: string): InputProblem {
  try {
    topologyFromLspci("listing", text);
  } catch (error) {
    if (error instanceof InputError) {
      return error.problem;
    }
    throw error;
  }
  throw new Error("the text was read");
}
