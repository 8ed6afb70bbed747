/**
 * Fact sheet: what makes two machines the same machine, twice.
 *
 * A function is named by its place: the root bus's number in order, then device and function of each
 * bridge on the way. Bus numbers, addresses, names, drivers, serial numbers and present link speeds (a
 * device at rest lowers its own) are left out: they differ between machines that are alike. What counts:
 * which function is at which place, its ACS, its link's lanes and possible speed, the sizes of its memory
 * BARs, its NUMA node, the CPU, how the IOMMU translates, and every verdict.
 */
import { createHash } from "node:crypto";
import { acsBits, judgeAllPairs, type KernelRules, type Topology } from "@peerbuf/topology";

/** A fact by `place: what`, with what a person may be told of it. */
export type FactSheet = ReadonlyMap<string, Fact>;

export interface Fact {
  /** PCI address of the function on this machine, "" for the machine as a whole. */
  readonly at: string;
  /** `id`, `ACS`, `link`, `BAR 0`, `NUMA node`, `CPU`, `IOMMU`. */
  readonly what: string;
  readonly value: string;
}

/** Functions above this are compared without their verdicts, which follow from the other facts. */
const JUDGED_MAX = 4096;

/** Everything that counts, but for the verdicts. */
export function factSheet(topology: Topology): FactSheet {
  const sheet = new Map<string, Fact>();
  const put = (place: string, at: string, what: string, value: string): void => {
    sheet.set(`${place}: ${what}`, { at, what, value });
  };
  const { cpu, iommuGroupTypes } = topology.facts;
  const types = [...new Set(iommuGroupTypes.values())].sort();
  put("", "", "CPU", cpuText(cpu));
  put("", "", "IOMMU", types.length === 0 ? "not known" : types.join(" and "));
  const places = placesOf(topology);
  for (const [row, place] of places.entries()) {
    const at = topology.bdfOf(row);
    put(place, at, "id", idText(topology, row));
    put(place, at, "ACS", acsText(topology, row));
    put(place, at, "link", linkText(topology, row));
    put(place, at, "NUMA node", String(topology.table.numaNode[row]));
    for (const { index, kind, size } of topology.barsOf(row)) {
      if (kind === "memory") {
        put(place, at, `BAR ${index}`, size === undefined ? "size not known" : sizeText(size));
      }
    }
  }
  return sheet;
}

/** One text for all machines that are the same. */
export function machineKey(topology: Topology, rules: KernelRules): string {
  const hash = createHash("sha256");
  for (const [key, { value }] of factSheet(topology)) {
    hash.update(`${key}=${value}\n`);
  }
  if (topology.endpoints.length <= JUDGED_MAX) {
    const pairs = judgeAllPairs(topology, rules);
    for (let provider = 0; provider < pairs.count; provider++) {
      let line = "";
      for (let client = 0; client < pairs.count; client++) {
        line += pairs.typeAt(provider, client)[2];
      }
      hash.update(line);
    }
  }
  return hash.digest("hex");
}

/** By row: the function's place in the tree, whatever its bus is called. */
export function placesOf(topology: Topology): string[] {
  const places: string[] = [];
  const { devfn, bus, secondaryBus, rootBus } = topology.table;
  const placeOf = (row: number): string => {
    const known = places[row];
    if (known !== undefined) {
      return known;
    }
    const parent = topology.parentOf(row);
    const above = parent < 0 ? `root ${rootBus[row]}` : placeOf(parent);
    const start = parent < 0 ? topology.rootBusOf(row).bus : (secondaryBus[parent] as number);
    // Virtual functions may be on buses behind their own, which nobody else numbers.
    const further = start < 0 ? 0 : (bus[row] as number) - start;
    const number = devfn[row] as number;
    const own = `${further === 0 ? "" : `+${further}:`}${(number >> 3).toString(16)}.${number & 7}`;
    places[row] = `${above} ${own}`;
    return places[row];
  };
  return Array.from(topology.table.bdf.keys(), placeOf);
}

function cpuText(cpu: Topology["facts"]["cpu"]): string {
  if (cpu === undefined) {
    return "not known";
  }
  const { vendor, family, model, modelName } = cpu;
  return `${modelName ?? vendor} (family ${family ?? "unknown"}, model ${model ?? "unknown"})`;
}

function idText({ table }: Topology, row: number): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");
  const { vendor, device, classCode } = table;
  return `${hex(vendor[row] as number, 4)}:${hex(device[row] as number, 4)} class ${hex(classCode[row] as number, 6)}`;
}

function acsText(topology: Topology, row: number): string {
  const acs = topology.acsOf(row);
  if (acs === undefined || acs === "absent") {
    return acs ?? "not known";
  }
  const bits = acsBits(acs.control).join(" ");
  const possible = acsBits(acs.capability).join(" ");
  return `${bits === "" ? "off" : bits} of ${possible === "" ? "none" : possible}`;
}

function linkText({ table }: Topology, row: number): string {
  const { linkWidth, linkWidthMax, linkSpeedMaxMtps } = table;
  if (linkWidth[row] === 0 && linkWidthMax[row] === 0) {
    return "not known";
  }
  const speed = (linkSpeedMaxMtps[row] as number) / 1000;
  const upTo = speed === 0 ? "" : ` up to ${speed} GT/s`;
  return `x${linkWidth[row]} of x${linkWidthMax[row]}${upTo}`;
}

const UNITS: readonly string[] = ["B", "KiB", "MiB", "GiB", "TiB"];

function sizeText(bytes: number): string {
  const step = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  return `${bytes / 2 ** (step * 10)} ${UNITS[step]}`;
}
