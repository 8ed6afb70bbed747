/**
 * Coverage: how far the tree in a listing can be trusted.
 *
 * `lspci` prints everything, but people post a part of it. A function belongs below the bridge whose bus
 * it is on; a bus without such a bridge is a root bus only if something on it says so, else its bridge was
 * left out and everything above is unknown.
 */
import { formatBus, parseBdf } from "../../bdf.ts";
import { type FunctionRecord, PORT_TYPE, PORT_TYPE_NONE } from "../../function-record.ts";
import { isBridgeHeader } from "../../function-table.ts";
import type { TreeCoverage } from "../../machine-facts.ts";

/** Base class and subclass of functions that chipsets and processors have on their root buses only. */
const HOST_BRIDGE = 0x0600;
const ISA_BRIDGE = 0x0601;
const IOMMU = 0x0806;
const EVENT_COLLECTOR = 0x0807;
const SMBUS = 0x0c05;
/** Interrupt controllers, "system peripherals" and counters: on root buses, and on some cards as device 0. */
const CHIPSET_KINDS: ReadonlySet<number> = new Set([0x0800, 0x0880, 0x1101]);
const ROOT_KINDS: ReadonlySet<number> = new Set([HOST_BRIDGE, IOMMU, EVENT_COLLECTOR]);
const ROOT_PORT_TYPES: ReadonlySet<number> = new Set([
  PORT_TYPE.ROOT_PORT,
  PORT_TYPE.ROOT_COMPLEX_ENDPOINT,
  PORT_TYPE.EVENT_COLLECTOR,
]);

/** Linux numbers VMD domains from here on (drivers/pci/controller/vmd.c, `vmd_find_free_domain`). */
const VOLUME_DOMAIN_FIRST = 0x10000;

/** The functions of one bus. */
interface Bus {
  readonly id: string;
  readonly domain: number;
  readonly number: number;
  readonly records: FunctionRecord[];
}

/** What is known of the buses as a whole. */
interface Buses {
  readonly byId: ReadonlyMap<string, Bus>;
  /** Buses right below a bridge. */
  readonly below: ReadonlySet<string>;
  /** Lowest bus number by domain. */
  readonly lowest: ReadonlyMap<number, number>;
  /** First and last bus below each bridge, by domain. */
  readonly ranges: ReadonlyMap<number, readonly (readonly [number, number])[]>;
}

/** Coverage of the records of one listing; owners of virtual functions are in them already. */
export function coverageOf(records: readonly FunctionRecord[]): TreeCoverage {
  const buses = busesOf(records);
  const unexplained = [...buses.byId.values()].filter((bus) => !isExplained(bus, buses));
  if (unexplained.length > 0) {
    const hasBridges = records.some(
      ({ parent, secondaryBus }) => (secondaryBus ?? 0) > 0 || typeof parent === "string",
    );
    return hasBridges ? "gaps" : "none";
  }
  return isWhole(buses) ? "whole" : "chains";
}

function busesOf(records: readonly FunctionRecord[]): Buses {
  const byId = new Map<string, Bus>();
  const below = new Set<string>();
  const lowest = new Map<number, number>();
  const ranges = new Map<number, (readonly [number, number])[]>();
  for (const record of records) {
    const { domain = 0, bus = 0 } = parseBdf(record.bdf) ?? {};
    const id = formatBus(domain, bus);
    const known = byId.get(id) ?? { id, domain, number: bus, records: [] };
    known.records.push(record);
    byId.set(id, known);
    lowest.set(domain, Math.min(bus, lowest.get(domain) ?? bus));
    const { secondaryBus = 0, subordinateBus = secondaryBus } = record;
    if (secondaryBus > 0) {
      below.add(formatBus(domain, secondaryBus));
      const inDomain = ranges.get(domain) ?? [];
      inDomain.push([secondaryBus, subordinateBus]);
      ranges.set(domain, inDomain);
    }
  }
  return { byId, below, lowest, ranges };
}

/** Everything on the bus has a known place: below a bridge, or on a root bus. */
function isExplained(bus: Bus, buses: Buses): boolean {
  const placed = bus.records.every(
    ({ parent, physicalFunction }) => parent !== undefined || physicalFunction !== undefined,
  );
  return placed || buses.below.has(bus.id) || isRoot(bus, buses);
}

function isRoot(bus: Bus, buses: Buses): boolean {
  if (bus.number === 0 || bus.records.some(({ parent }) => parent === null)) {
    return true;
  }
  const isInside = (buses.ranges.get(bus.domain) ?? []).some(
    ([first, last]) => bus.number >= first && bus.number <= last,
  );
  return (
    !isInside &&
    (bus.records.some(isRootFunction) || isConventionalRoot(bus, buses) || isVolumeRoot(bus, buses))
  );
}

function isRootFunction(record: FunctionRecord): boolean {
  const kind = kindOf(record);
  const device = (parseBdf(record.bdf)?.devfn ?? 0) >> 3;
  return (
    ROOT_KINDS.has(kind) ||
    ROOT_PORT_TYPES.has(record.portType ?? PORT_TYPE_NONE) ||
    // Below a PCI Express port there is device 0 only.
    (CHIPSET_KINDS.has(kind) && device > 0)
  );
}

/** A further root bus of an old chipset: conventional bridges and functions only, beside a bus 0 that is all there. */
const isConventionalRoot = (bus: Bus, buses: Buses): boolean =>
  bus.records.every(({ portType }) => portType === PORT_TYPE_NONE) &&
  bus.records.some(({ headerType }) => isBridgeHeader(headerType ?? 0)) &&
  (buses.byId.get(formatBus(bus.domain, 0))?.records.some(isFirst) ?? false);

/**
 * The root bus of an Intel VMD, which has a domain of its own above 0xffff and seldom starts at bus 0:
 * the lowest bus of such a domain, with a bridge on it, beside a domain 0 that is there.
 */
const isVolumeRoot = (bus: Bus, buses: Buses): boolean =>
  bus.domain >= VOLUME_DOMAIN_FIRST &&
  bus.records.some(({ headerType }) => isBridgeHeader(headerType ?? 0)) &&
  buses.byId.has(formatBus(0, 0)) &&
  buses.lowest.get(bus.domain) === bus.number;

const isFirst = ({ bdf }: FunctionRecord): boolean => parseBdf(bdf)?.devfn === 0;

/**
 * Nothing points to a picked list: a root bus shows its first function, or one that nobody picks by
 * hand (an ISA bridge, an SMBus controller, an IOMMU).
 */
function isWhole(buses: Buses): boolean {
  const unpicked: ReadonlySet<number> = new Set([ISA_BRIDGE, SMBUS, IOMMU]);
  return [...buses.byId.values()].some(
    (bus) =>
      !buses.below.has(bus.id) &&
      bus.records.some((record) => isFirst(record) || unpicked.has(kindOf(record))),
  );
}

const kindOf = ({ classCode = 0 }: FunctionRecord): number => classCode >> 8;
