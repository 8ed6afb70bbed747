/**
 * Second listing: what a file says of a function when it comes to it again.
 *
 * People put `lspci -tv` and `lspci -vvv` of one machine into one file. The parts complete each other; a
 * fact that both give must be the same, or the file holds two machines or two moments, and which of
 * them is meant nobody can tell.
 */
import type { FunctionDraft } from "./function-draft.ts";

/** Facts that are one value, with the name a person knows them by. */
const SINGLE: readonly (readonly [keyof FunctionDraft, string])[] = [
  ["parent", "the bridge above"],
  ["secondaryBus", "the bus below"],
  ["subordinateBus", "the last bus below"],
  ["vendor", "the vendor id"],
  ["device", "the device id"],
  ["subsystemVendor", "the subsystem's vendor id"],
  ["subsystemDevice", "the subsystem's device id"],
  ["classKind", "the class"],
  ["programmingInterface", "the programming interface"],
  ["portType", "the kind of port"],
  ["acsCapability", "the ACS capability"],
  ["acsControl", "ACS control"],
  ["numaNode", "the NUMA node"],
  ["iommuGroup", "the IOMMU group"],
];

/** Facts that may change between two commands; the first value is kept. */
const PASSING: readonly (keyof FunctionDraft)[] = [
  "modelName",
  "speedMtps",
  "width",
  "speedMaxMtps",
  "widthMax",
  "driver",
  "hasCapabilityList",
  "virtualFunctions",
];

/** Puts into `known` what `more` adds. @throws what `refuse` makes of a contradiction */
export function completeDraft(
  known: FunctionDraft,
  more: FunctionDraft,
  refuse: (cause: string) => Error,
): void {
  const target = known as unknown as Record<string, unknown>;
  for (const [key, name] of SINGLE) {
    const [before, now] = [known[key], more[key]];
    if (before !== undefined && now !== undefined && before !== now) {
      const values = `${shown(before)} in line ${known.line} and ${shown(now)} in line ${more.line}`;
      throw refuse(`${name} of ${known.bdf} is ${values}`);
    }
    target[key] = before ?? now;
  }
  for (const key of PASSING) {
    target[key] = known[key] ?? more[key];
  }
  completeLists(known, more);
  completeExtent(known, more);
}

function completeLists(known: FunctionDraft, more: FunctionDraft): void {
  known.bars = known.bars.length === 0 ? more.bars : known.bars;
  known.windows = known.windows.length === 0 ? more.windows : known.windows;
  known.resizableBars = known.resizableBars.length === 0 ? more.resizableBars : known.resizableBars;
  const [before, now] = [known.rows, more.rows];
  if (now !== undefined && now.bytes.length > (before?.bytes.length ?? 0)) {
    known.rows = now;
  }
}

/** How much was shown: the fuller of the two. */
function completeExtent(known: FunctionDraft, more: FunctionDraft): void {
  known.isBridge ||= more.isBridge === true;
  known.isDetailed ||= more.isDetailed;
  known.hasAllCapabilities ||= more.hasAllCapabilities;
  known.hasExtendedCapability ||= more.hasExtendedCapability;
  known.hasExpress ||= more.hasExpress;
  known.hasAcs ||= more.hasAcs;
  if (known.capabilities === "no" || more.capabilities === "shown") {
    known.capabilities = more.capabilities === "no" ? known.capabilities : more.capabilities;
  }
}

const shown = (value: unknown): string =>
  typeof value === "number" ? `0x${value.toString(16)}` : String(value ?? "a root bus");
