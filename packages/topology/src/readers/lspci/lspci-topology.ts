/**
 * Lspci topology: the text that `lspci` prints, in any of its usual forms, as a topology.
 *
 * Listings (`-nn`, `-v`, `-vvv`, `-k`, `-mm`, `-vmm`, `-PP`), config space dumps (`-x` to `-xxxx`), trees (`-t`, `-tv`),
 * and several of these in one file. What the text does not say is unknown: an ordinary user's
 * `<access denied>` is not "no ACS", and a file without `Bus:` lines holds no tree.
 *
 * Limits: `TEXT_BYTES_MAX` bytes, `FUNCTION_COUNT_MAX` functions. `FORMATS` of lspci: pciutils 2.2 to 3.13, ls-*.c.
 */
import {
  type FunctionRecord,
  ID_UNKNOWN,
  PORT_TYPE_NONE,
  PORT_TYPE_UNKNOWN,
} from "../../function-record.ts";
import { factsNamed, type MachineFacts } from "../../machine-facts.ts";
import { type FactName, missingFacts } from "../../missing-fact.ts";
import type { Topology } from "../../topology.ts";
import { buildTopology } from "../../topology-builder.ts";
import type { CaptureHead } from "../capture-head.ts";
import { headText } from "../capture-text.ts";
import { coverageOf } from "./coverage.ts";
import { domainOf, type ListingContext, recordOf } from "./draft-record.ts";
import type { FunctionDraft } from "./function-draft.ts";
import { LspciListing } from "./listing.ts";
import { looksLikeLspciText } from "./recognise.ts";
import { LineCutter, readTextLines } from "./text-lines.ts";
import { placeVirtualBuses } from "./virtual-buses.ts";
import { ownersOf } from "./virtual-functions.ts";
import { virtualPlatformOf } from "./virtual-platform.ts";

/** Whether the first bytes of a capture are those of an lspci text. */
export const looksLikeLspci = (head: CaptureHead): boolean => looksLikeLspciText(headText(head));

/** @throws InputError for a text that says nothing, one that contradicts itself, or one beyond the limits */
export async function readLspci(head: CaptureHead): Promise<Topology> {
  const listing = new LspciListing(head.path);
  await readTextLines(head, (line, number) => listing.take(line, number));
  return topologyOf(listing);
}

/** The same from text in memory. Without functions for ACS lines alone. @param source what errors call the text */
export function topologyFromLspci(source: string, text: string): Topology {
  const listing = new LspciListing(source);
  const cutter = new LineCutter(source, (line, number) => listing.take(line, number));
  cutter.push(text);
  cutter.end();
  return topologyOf(listing);
}

function topologyOf(listing: LspciListing): Topology {
  const drafts = listing.finish().sort((one, other) => (one.bdf < other.bdf ? -1 : 1));
  const refuse = (line: number, cause: string): Error => listing.refused(line, cause);
  const context: ListingContext = { extendedDomains: extendedDomainsOf(drafts), refuse };
  const bare = drafts.map((draft) => recordOf(draft, context));
  const owners = ownersOf(drafts, bare, refuse);
  const records = bare.map((record) => {
    const physicalFunction = owners.get(record.bdf);
    return physicalFunction === undefined ? record : { ...record, physicalFunction };
  });
  const placed = placeVirtualBuses(records);
  const facts = factsOf(listing, drafts, placed);
  return drafts.length === 0
    ? buildTopology({ ...facts, tree: "none", format: acsLinesFormat(listing) }, [])
    : buildTopology(facts, placed);
}

const extendedDomainsOf = (drafts: readonly FunctionDraft[]): ReadonlySet<string> =>
  new Set(drafts.filter((draft) => draft.hasExtendedCapability).map(({ bdf }) => domainOf(bdf)));

function factsOf(
  { source, hasOmissions }: LspciListing,
  drafts: readonly FunctionDraft[],
  records: readonly FunctionRecord[],
): MachineFacts {
  const shown = coverageOf(records);
  const tree = hasOmissions && shown === "whole" ? "chains" : shown;
  const isVirtualMachine = virtualPlatformOf(drafts, records);
  return {
    ...factsNamed(source),
    format: formatOf(drafts),
    tree,
    missing: missingFacts(...missingIn(tree, records)),
    modelNames: new Map(
      drafts.flatMap(({ bdf, modelName }) => (modelName ? [[bdf, modelName]] : [])),
    ),
    ...(isVirtualMachine && { isVirtualMachine }),
  };
}

/** Lines without functions are no capture, but they say something, which whoever reports them should see. */
function acsLinesFormat({ loneAcs = { count: 0, redirecting: 0 } }: LspciListing): string {
  const { count, redirecting } = loneAcs;
  const what =
    redirecting === 0
      ? `none of ${count} redirects peer traffic`
      : `${redirecting} of ${count} redirect peer traffic, but not which`;
  return `ACS control lines without the functions they belong to (${what})`;
}

/** `lspci (details, config space)`: the forms that were found. */
function formatOf(drafts: readonly FunctionDraft[]): string {
  const parts: readonly (readonly [string, boolean])[] = [
    ["details", drafts.some(({ isDetailed }) => isDetailed)],
    ["config space", drafts.some(({ rows }) => rows !== undefined)],
    ["tree", drafts.some(({ parent }) => parent !== undefined)],
  ];
  const found = parts.flatMap(([name, isFound]) => (isFound ? [name] : []));
  return `lspci (${found.length === 0 ? "list" : found.join(", ")})`;
}

/** A fact that no function of the listing has could not be carried by it. */
function missingIn(tree: MachineFacts["tree"], records: readonly FunctionRecord[]): FactName[] {
  const lacks = (has: (record: FunctionRecord) => boolean): boolean => !records.some(has);
  const lacking: readonly (readonly [FactName, boolean])[] = [
    ["bridges", tree === "gaps" || tree === "none"],
    ["functions", tree === "chains"],
    ["acs", lacks(({ acs }) => acs !== undefined)],
    ["ids", lacks(({ vendor, device }) => vendor !== ID_UNKNOWN && device !== ID_UNKNOWN)],
    ["classes", lacks(({ classCode = 0 }) => classCode > 0)],
    ["port-types", lacks(({ portType = PORT_TYPE_UNKNOWN }) => portType !== PORT_TYPE_UNKNOWN)],
    ["bars", lacks(({ bars = [] }) => bars.some(({ size }) => size !== undefined))],
    ["resizable-bars", lacks(({ acs }) => acs !== undefined)],
    [
      "links",
      lacks(({ link, portType }) => (link?.widthMax ?? 0) > 0 || portType === PORT_TYPE_NONE),
    ],
    ["numa", lacks(({ numaNode }) => numaNode !== undefined)],
    ["drivers", lacks(({ driver }) => driver !== undefined)],
    ["iommu-groups", lacks(({ iommuGroup }) => iommuGroup !== undefined)],
  ];
  return [
    ...lacking.flatMap(([name, isLacking]) => (isLacking ? [name] : [])),
    "cpu",
    "iommu-mode",
    "kernel",
    "command-line",
    "kernel-config",
  ];
}
