/**
 * Sysfs topology: a sysfs tree in, a topology out. Every capture of /sys ends here.
 *
 * The kernel's text files are preferred where they exist (they are right for virtual functions, whose
 * config space reads as all ones for the ids); config space fills in what sysfs does not print.
 */
import { InputError } from "@peerbuf/core";
import { acsOfConfig, linkOfConfig, portTypeOfConfig } from "../capabilities.ts";
import {
  barsOfConfig,
  byteAt,
  CONFIG_HEADER_BYTES,
  CONFIG_LENGTHS,
  headerTypeOfConfig,
  isHeaderOnly,
  knownConfig,
  windowsOfConfig,
  wordAt,
} from "../config-space.ts";
import { type FunctionRecord, ID_UNKNOWN, type LinkRecord } from "../function-record.ts";
import { isBridgeHeader } from "../function-table.ts";
import type { Contradiction } from "../machine-facts.ts";
import type { Topology } from "../topology.ts";
import { buildTopology } from "../topology-builder.ts";
import { factsOf } from "./sysfs-facts.ts";
import { type FunctionPlace, functionPlaces } from "./sysfs-functions.ts";
import type { SysfsTree } from "./sysfs-tree.ts";
import { readNumber, readResources, readSpeed, readWidth, refused } from "./sysfs-value.ts";

/**
 * @param mayBeEmpty a live machine may have no PCI functions; a capture without any is a mistake
 * @throws InputError for anything in the tree that cannot be what it claims to be
 */
export function topologyFromSysfs(tree: SysfsTree, mayBeEmpty = false): Topology {
  const places = functionPlaces(tree);
  if (places.length === 0 && !mayBeEmpty) {
    throw new InputError({
      source: tree.source,
      cause: "there are no PCI functions in it (no sys/bus/pci/devices and no sys/devices/pci*)",
      remedy: "Capture /sys of a machine with PCI devices, with links kept",
    });
  }
  const configs = knownConfigs(places.map((place) => readConfig(tree, place)));
  const records = places.map((place, index) => recordOf(tree, place, configs[index] as Uint8Array));
  const folderByBdf = new Map(places.map(({ bdf, folder }) => [bdf, folder]));
  return buildTopology(
    { ...factsOf(tree, folderByBdf), contradictions: lostBusNumbers(records) },
    records,
  );
}

/**
 * Bridges with functions below whose bus number reads 0: they were reset behind the kernel's back and pass
 * nothing on. The tree is the kernel's and stands; that the bridge denies it is worth knowing.
 */
function lostBusNumbers(records: readonly FunctionRecord[]): Contradiction[] {
  const below = new Map(records.map(({ parent, bdf }) => [parent ?? "", bdf]));
  return records
    .filter(({ bdf, secondaryBus, config }) => {
      const isAwake = (config?.length ?? 0) > 0;
      return secondaryBus === 0 && isAwake && below.has(bdf);
    })
    .map(({ bdf }) => ({
      fact: "secondary bus",
      at: bdf,
      values: [
        { source: "the bridge's register", value: "0" },
        { source: "the functions below it", value: `bus of ${below.get(bdf)}` },
      ],
    }));
}

function readConfig(tree: SysfsTree, place: FunctionPlace): Uint8Array {
  const path = `${place.folder}/config`;
  const config = tree.bytes(path) ?? new Uint8Array(0);
  if (!CONFIG_LENGTHS.includes(config.length)) {
    throw refused(tree, path, `it has ${config.length} bytes, expected 64, 128, 256 or 4096`);
  }
  return config;
}

/**
 * Cuts every config space to what was really read. One function cut to its header shows that an
 * ordinary user made the capture; then zeros behind a header are padding in all of them.
 */
function knownConfigs(configs: readonly Uint8Array[]): Uint8Array[] {
  const known = configs.map(knownConfig);
  const isUnprivileged = known.some(
    (config, index) =>
      config.length === CONFIG_HEADER_BYTES &&
      (configs[index] as Uint8Array).length > config.length,
  );
  return isUnprivileged
    ? known.map((config) =>
        isHeaderOnly(config) ? config.subarray(0, CONFIG_HEADER_BYTES) : config,
      )
    : known;
}

function recordOf(tree: SysfsTree, place: FunctionPlace, config: Uint8Array): FunctionRecord {
  const { bdf, folder, above } = place;
  const identity = identityOf(tree, folder, config);
  const acs = acsOfConfig(config);
  const physical = tree.link(`${folder}/physfn`)?.split("/").at(-1);
  const driver = tree.link(`${folder}/driver`)?.split("/").at(-1);
  const iommuGroup = iommuGroupOf(tree, folder);
  const numaNode = readNumber(tree, `${folder}/numa_node`, -1, 0x7fffffff);
  return {
    bdf,
    ...identity,
    ...above,
    portType: portTypeOfConfig(config),
    ...(isBridgeHeader(identity.headerType) && busNumbersOf(tree, folder, config)),
    ...rangesOf(tree, folder, config),
    link: linkOf(tree, folder, config),
    config,
    ...(acs !== undefined && { acs }),
    ...(physical !== undefined && { physicalFunction: physical }),
    ...(driver !== undefined && { driver }),
    ...(iommuGroup !== undefined && { iommuGroup }),
    ...(numaNode !== undefined && { numaNode }),
  };
}

function identityOf(tree: SysfsTree, folder: string, config: Uint8Array) {
  const isKnown = config.length > 0;
  const vendor = readNumber(tree, `${folder}/vendor`, 0, ID_UNKNOWN);
  const device = readNumber(tree, `${folder}/device`, 0, ID_UNKNOWN);
  const classCode = readNumber(tree, `${folder}/class`, 0, 0xffffff);
  if (vendor === undefined && classCode === undefined && !isKnown) {
    throw refused(
      tree,
      folder,
      "nothing was captured of this function: no vendor, class or config",
    );
  }
  const knownClass =
    classCode ?? (isKnown ? wordAt(config, 0x0a) * 0x100 + byteAt(config, 0x09) : 0);
  return {
    vendor: vendor ?? (isKnown ? wordAt(config, 0x00) : ID_UNKNOWN),
    device: device ?? (isKnown ? wordAt(config, 0x02) : ID_UNKNOWN),
    classCode: knownClass,
    headerType: isKnown ? headerTypeOfConfig(config) : headerTypeOfClass(knownClass),
  };
}

/** Class 06.04 is a PCI-to-PCI bridge and 06.07 a CardBus bridge (PCI code and id assignment 1.11). */
function headerTypeOfClass(classCode: number): number {
  const kind = classCode >> 8;
  if (kind === 0x0604) {
    return 1;
  }
  return kind === 0x0607 ? 2 : 0;
}

/** A bridge that does not answer reads as bus 255 in sysfs as well, which is then no bus number. */
function busNumbersOf(
  tree: SysfsTree,
  folder: string,
  config: Uint8Array,
): Partial<FunctionRecord> {
  const isSilent = config.length === 0;
  requireOneStory(tree, folder, config);
  const number = (name: string, offset: number): number => {
    const text = readNumber(tree, `${folder}/${name}`, 0, 255);
    const bus = text ?? (isSilent ? 0 : byteAt(config, offset));
    return isSilent && bus === 255 ? 0 : bus;
  };
  return {
    secondaryBus: number("secondary_bus_number", 0x19),
    subordinateBus: number("subordinate_bus_number", 0x1a),
  };
}

/** Kernel and bridge agree on the bus below, unless the bridge is not programmed (0) or does not answer (255). */
function requireOneStory(tree: SysfsTree, folder: string, config: Uint8Array): void {
  const place = `${folder}/secondary_bus_number`;
  const told = readNumber(tree, place, 0, 255);
  const isBridge = config.length > 0 && isBridgeHeader(headerTypeOfConfig(config));
  const programmed = isBridge ? byteAt(config, 0x19) : 0;
  if (told !== undefined && programmed !== 0 && programmed !== 255 && programmed !== told) {
    throw refused(tree, place, `it says ${told}, the bridge's config space says ${programmed}`);
  }
}

function rangesOf(tree: SysfsTree, folder: string, config: Uint8Array): Partial<FunctionRecord> {
  const resources = readResources(tree, `${folder}/resource`);
  if (resources !== undefined || config.length === 0) {
    return resources ?? {};
  }
  const headerType = headerTypeOfConfig(config);
  return {
    bars: headerType <= 1 ? barsOfConfig(config) : [],
    windows: headerType === 1 ? windowsOfConfig(config) : [],
  };
}

function linkOf(tree: SysfsTree, folder: string, config: Uint8Array): LinkRecord {
  const known = linkOfConfig(config);
  const speedMtps = readSpeed(tree, `${folder}/current_link_speed`);
  const speedMaxMtps = readSpeed(tree, `${folder}/max_link_speed`);
  const width = readWidth(tree, `${folder}/current_link_width`);
  const widthMax = readWidth(tree, `${folder}/max_link_width`);
  return {
    ...known,
    ...(speedMtps !== undefined && { speedMtps }),
    ...(speedMaxMtps !== undefined && { speedMaxMtps }),
    ...(width !== undefined && { width }),
    ...(widthMax !== undefined && { widthMax }),
  };
}

function iommuGroupOf(tree: SysfsTree, folder: string): number | undefined {
  const name = tree.link(`${folder}/iommu_group`)?.split("/").at(-1);
  return name !== undefined && /^\d{1,9}$/.test(name) ? Number(name) : undefined;
}
