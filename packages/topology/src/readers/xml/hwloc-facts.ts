/**
 * hwloc facts: what an hwloc topology says of the machine as a whole: processor, NUMA nodes, names.
 */
import {
  type CpuFacts,
  factsNamed,
  type MachineFacts,
  type NumaNode,
  type TreeCoverage,
} from "../../machine-facts.ts";
import { missingFacts } from "../../missing-fact.ts";
import { listOfMask } from "../cpu-mask.ts";
import { productOf, virtualMachineOf } from "../sysfs-facts.ts";
import { attribute, wholeAttribute, type XmlElement } from "./element.ts";

const MISSING = missingFacts(
  "acs",
  "functions",
  "host-bridge",
  "port-types",
  "bars",
  "resizable-bars",
  "links",
  "drivers",
  "iommu-groups",
  "iommu-mode",
  "command-line",
  "kernel-config",
);

export function hwlocFacts(
  source: string,
  root: XmlElement,
  tree: TreeCoverage,
  osNames: ReadonlyMap<string, readonly string[]>,
): MachineFacts {
  const objects = objectsIn(root);
  const infos = infosOf([root, ...root.children.filter(({ name }) => name === "object")]);
  const cpu = cpuOf(objects, infos);
  const product =
    productOf(infos.get("DMISysVendor"), infos.get("DMIProductName")) ?? infos.get("PlatformModel");
  const isVirtualMachine = virtualMachineOf("", product);
  const kernelRelease = infos.get("OSRelease");
  return {
    ...factsNamed(source),
    format: `hwloc XML (version ${(attribute(root, "version") ?? "1").split(".", 1)[0]})`,
    tree,
    missing: tree === "gaps" ? [...MISSING, ...missingFacts("bridges")] : MISSING,
    ...(cpu !== undefined && { cpu }),
    ...(product !== undefined && { product }),
    ...(isVirtualMachine !== undefined && { isVirtualMachine }),
    ...(kernelRelease !== undefined && { kernelRelease }),
    numaNodes: numaNodesOf(source, root, objects),
    osNames,
  };
}

/** Every object with the package around it, if there is one. */
interface PlacedObject {
  readonly object: XmlElement;
  readonly packageAround?: XmlElement;
}

function objectsIn(root: XmlElement): PlacedObject[] {
  const placed: PlacedObject[] = [];
  const waiting: PlacedObject[] = [{ object: root }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    placed.push(next);
    const isPackage = isPackageObject(next.object);
    const around = isPackage ? next.object : next.packageAround;
    // Objects have thousands of siblings on a large machine; PCI is of no interest here.
    for (const child of next.object.children) {
      if (child.name === "object" && attribute(child, "type") !== "Bridge") {
        waiting.push({ object: child, ...(around !== undefined && { packageAround: around }) });
      }
    }
  }
  return placed;
}

/** Version 1 says Socket. */
const isPackageObject = (object: XmlElement): boolean =>
  ["Package", "Socket"].includes(attribute(object, "type") ?? "");

/** `<info name= value=>` right inside some elements, the first of a name. */
function infosOf(elements: readonly XmlElement[]): Map<string, string> {
  const infos = new Map<string, string>();
  for (const info of elements.flatMap(({ children }) => children)) {
    const [name, value] = [attribute(info, "name"), attribute(info, "value")];
    if (info.name === "info" && name !== undefined && value !== undefined && !infos.has(name)) {
      infos.set(name, value.slice(0, 128));
    }
  }
  return infos;
}

/** The processor, if all packages have the same vendor and family. */
function cpuOf(
  objects: readonly PlacedObject[],
  machine: ReadonlyMap<string, string>,
): CpuFacts | undefined {
  const packages = objects.filter(({ object }) => isPackageObject(object));
  const cpus = packages.map(({ object }) => cpuOfPackage(infosOf([object]), machine));
  const [first] = cpus;
  const isSame = cpus.every(
    (cpu) => cpu?.vendor === first?.vendor && cpu?.family === first?.family,
  );
  return isSame ? first : undefined;
}

function cpuOfPackage(
  infos: ReadonlyMap<string, string>,
  machine: ReadonlyMap<string, string>,
): CpuFacts | undefined {
  const modelName = infos.get("CPUModel") ?? machine.get("CPUModel");
  const vendor = infos.get("CPUVendor") ?? vendorOf(modelName, machine.get("Architecture"));
  const family = numberIn(infos.get("CPUFamilyNumber"));
  const model = numberIn(infos.get("CPUModelNumber"));
  return vendor === undefined
    ? undefined
    : {
        vendor,
        ...(family !== undefined && { family }),
        ...(model !== undefined && { model }),
        ...(modelName !== undefined && { modelName }),
      };
}

/** Older files name the model only: the maker's mark in it is the vendor's; other machines are told by architecture. */
function vendorOf(modelName: string | undefined, architecture: string | undefined) {
  if (modelName?.startsWith("Intel(R)") === true) {
    return "GenuineIntel";
  }
  if (modelName?.startsWith("AMD ") === true) {
    return "AuthenticAMD";
  }
  return architecture === undefined || /^(?:x86_64|i\d86|amd64)$/.test(architecture)
    ? undefined
    : architecture;
}

const numberIn = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) : undefined;

function numaNodesOf(
  source: string,
  root: XmlElement,
  objects: readonly PlacedObject[],
): NumaNode[] {
  const distances = latencies(root);
  const nodes = objects.flatMap(({ object, packageAround }) => {
    const id = isNode(object)
      ? wholeAttribute(source, object, "os_index", 0, 0x7fffffff)
      : undefined;
    const inside = object.children.filter(isPackageObject);
    const around = packageAround ?? (inside.length === 1 ? inside[0] : undefined);
    const socket =
      around === undefined ? undefined : wholeAttribute(source, around, "os_index", 0, 0x7fffffff);
    return id === undefined
      ? []
      : [
          {
            id,
            distances: distances.get(id) ?? [],
            cpuList: listOfMask(attribute(object, "cpuset") ?? ""),
            ...(socket !== undefined && { socket }),
          },
        ];
  });
  const byId = new Map(nodes.map((node) => [node.id, node]));
  return [...byId.values()].sort((one, other) => one.id - other.id);
}

const isNode = (object: XmlElement): boolean => attribute(object, "type") === "NUMANode";

/** Nodes in a table of distances, at most. */
const NODE_COUNT_MAX = 1024;

/** `<distances2 name="NUMALatency" indexing="os">`: rows by node number; empty where it does not fit. */
function latencies(root: XmlElement): ReadonlyMap<number, readonly number[]> {
  const table = root.children.find(
    (child) =>
      child.name === "distances2" &&
      attribute(child, "name") === "NUMALatency" &&
      attribute(child, "indexing") === "os",
  );
  const ids = numbersIn(table, "indexes");
  const values = numbersIn(table, "u64values");
  const isWhole = ids.length <= NODE_COUNT_MAX && values.length === ids.length ** 2;
  return new Map(
    isWhole
      ? ids.map((id, row) => [id, values.slice(row * ids.length, (row + 1) * ids.length)])
      : [],
  );
}

const numbersIn = (table: XmlElement | undefined, name: string): number[] =>
  (table?.children ?? [])
    .filter((child) => child.name === name)
    .flatMap((child) => child.text.split(/\s+/))
    .filter((text) => /^\d{1,6}$/.test(text))
    .map(Number);
