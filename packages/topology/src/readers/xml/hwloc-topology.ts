/**
 * hwloc topology: the XML of `lstopo --of xml`, versions 1, 2 and 3.
 *
 * Host bridges, PCI bridges and PCI devices are objects in the tree. By default lstopo leaves out devices
 * without an OS device and may leave out bridges; the bus numbers tell: a function on the secondary bus
 * of the bridge around it has no other bridge between. Where they do not meet, the tree has gaps.
 *
 * Lacks ACS, IOMMU, BARs and the kind of ports. `pci_link_speed` is a rate from which speed and width
 * cannot be told apart, so no link is claimed. Facts of the whole machine are in `hwloc-facts.ts`.
 */
import { formatBdf, formatBus } from "../../bdf.ts";
import type { FunctionRecord } from "../../function-record.ts";
import type { Topology } from "../../topology.ts";
import { buildTopology } from "../../topology-builder.ts";
import { bitsOfMask } from "../cpu-mask.ts";
import { addressAttribute, attribute, refusedElement, type XmlElement } from "./element.ts";
import { hwlocFacts } from "./hwloc-facts.ts";

/** Where in the tree an object stands. */
interface Place {
  /** BDF of the bridge around it; null below a host bridge, undefined where neither is known. */
  readonly parent?: string | null;
  /** `dddd:bb` of the bus it should be on, and of the root bus above; undefined outside of any host bridge. */
  readonly bus?: string;
  readonly rootBus?: string;
  /** BDF of the device around it, whose OS devices are inside. */
  readonly device?: string;
  /** From the nearest object with a node set of one node, -1 for none. */
  readonly numaNode: number;
}

/** What a walk through the objects finds. */
interface Found {
  readonly records: FunctionRecord[];
  readonly osNames: Map<string, string[]>;
  /** Functions that are not on the bus below the bridge around them. */
  gapCount: number;
}

/** @throws InputError for an address, a range of buses or ids that cannot be */
export function topologyFromHwloc(source: string, root: XmlElement): Topology {
  const found: Found = { records: [], osNames: new Map(), gapCount: 0 };
  walk(source, root, { numaNode: -1 }, found);
  if (found.records.length === 0) {
    throw refusedElement(
      source,
      root,
      "there are no PCI devices in it; lstopo shows them with --whole-io",
    );
  }
  const tree = found.gapCount === 0 ? "chains" : "gaps";
  return buildTopology(hwlocFacts(source, root, tree, found.osNames), found.records);
}

function walk(source: string, element: XmlElement, place: Place, found: Found): void {
  for (const child of element.children) {
    if (child.name === "object") {
      walk(source, child, placeInside(source, child, place, found), found);
    }
  }
}

/** The place of what is inside an object; adds the object itself to what was found. */
function placeInside(source: string, object: XmlElement, place: Place, found: Found): Place {
  switch (attribute(object, "type")) {
    case "Bridge":
      return attribute(object, "pci_busid") === undefined
        ? placeInHostBridge(source, object, place)
        : addFunction(source, object, place, found);
    case "PCIDev":
      return addFunction(source, object, place, found);
    case "OSDev":
      addOsName(object, place, found);
      return place;
    default:
      return { ...place, numaNode: numaNodeOf(object) ?? place.numaNode };
  }
}

function placeInHostBridge(source: string, object: XmlElement, place: Place): Place {
  const { domain, first } = busesOf(source, object);
  const bus = formatBus(domain, first);
  return { numaNode: place.numaNode, parent: null, bus, rootBus: bus };
}

function addFunction(source: string, object: XmlElement, place: Place, found: Found): Place {
  const address = addressAttribute(source, object, "pci_busid");
  const bdf = formatBdf(address);
  const isBridge = attribute(object, "type") === "Bridge";
  const buses = isBridge ? busesOf(source, object) : undefined;
  if (place.bus !== formatBus(address.domain, address.bus)) {
    found.gapCount += 1;
  }
  found.records.push({
    bdf,
    ...identityOf(source, object),
    headerType: isBridge ? 1 : 0,
    parent: place.parent ?? null,
    ...(place.rootBus !== undefined && { rootBus: place.rootBus }),
    numaNode: place.numaNode,
    // Numbers that do not fit the functions below would only repeat what the gap says.
    ...(buses !== undefined && { secondaryBus: buses.first, subordinateBus: buses.last }),
  });
  const inside = { ...place, device: bdf };
  return buses === undefined
    ? inside
    : { ...inside, parent: bdf, bus: formatBus(buses.domain, buses.first) };
}

/** `0000:[01-03]`: domain, secondary and subordinate bus. */
function busesOf(source: string, object: XmlElement) {
  const text = attribute(object, "bridge_pci") ?? "";
  const match = /^([0-9a-f]{4,8}):\[([0-9a-f]{2})-([0-9a-f]{2})\]$/i.exec(text);
  if (match === null) {
    throw refusedElement(source, object, "bridge_pci is not written as dddd:[bb-bb]");
  }
  const [domain = 0, first = 0, last = 0] = match
    .slice(1)
    .map((digits) => Number.parseInt(digits, 16));
  return { domain, first, last };
}

/** `0604 [1022:1483] [1022:1453] 00`: class, ids, subsystem ids, revision, and the programming interface since version 3. */
function identityOf(source: string, object: XmlElement): Partial<FunctionRecord> {
  const text = attribute(object, "pci_type") ?? "";
  const match =
    /^([0-9a-f]{4}) \[([0-9a-f]{4}):([0-9a-f]{4})\](?: \[[0-9a-f:]{9}\] [0-9a-f]{2}(?: ([0-9a-f]{2}))?)?$/i.exec(
      text,
    );
  if (match === null) {
    throw refusedElement(source, object, "pci_type is not written as class [vendor:device] ...");
  }
  const [kind = 0, vendor = 0, device = 0, programming = 0] = match
    .slice(1)
    .map((digits) => Number.parseInt(digits ?? "0", 16));
  return { classCode: kind * 0x100 + programming, vendor, device };
}

/** Names kept of one function, at most. */
const NAME_COUNT_MAX = 16;

function addOsName(object: XmlElement, place: Place, found: Found): void {
  const name = attribute(object, "name") ?? "";
  const names = found.osNames.get(place.device ?? "") ?? [];
  if (place.device !== undefined && /^[\w.:-]{1,64}$/.test(name) && names.length < NAME_COUNT_MAX) {
    found.osNames.set(place.device, [...names, name]);
  }
}

/** The one NUMA node an object is local to; undefined when it has none or several. */
function numaNodeOf(object: XmlElement): number | undefined {
  const nodes = bitsOfMask(attribute(object, "nodeset") ?? "") ?? [];
  return nodes.length === 1 ? nodes[0] : undefined;
}
