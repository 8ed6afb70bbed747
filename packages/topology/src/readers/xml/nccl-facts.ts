/**
 * NCCL facts: what an NCCL topology says besides its functions: CPUs, names, NVLink and xGMI, near groups.
 */
import { formatBdf, parseBdf } from "../../bdf.ts";
import {
  type CpuFacts,
  factsNamed,
  type MachineFacts,
  type NumaNode,
  type PeerLink,
} from "../../machine-facts.ts";
import { missingFacts } from "../../missing-fact.ts";
import { listOfMask } from "../cpu-mask.ts";
import { attribute, refusedElement, wholeAttribute, type XmlElement } from "./element.ts";

const NAME = /^[\w.:-]{1,64}$/;
const PEER_KINDS = { nvlink: "nvlink", xgmi: "xgmi" } as const;
/** Ends of a link, at most: 64 GPUs with each other take 4,032. */
const PEER_LINKS_MAX = 65_536;

export class NcclFacts {
  readonly #source: string;
  readonly #root: XmlElement;
  readonly #osNames = new Map<string, readonly string[]>();
  readonly #peerLinks: PeerLink[] = [];
  readonly #members = new Map<string, string[]>();
  readonly #directNicAccess = new Set<string>();
  readonly #virtual: boolean[] = [];

  constructor(source: string, root: XmlElement) {
    this.#source = source;
    this.#root = root;
  }

  /** One function, with the names of the groups it is a member of. */
  addFunction(element: XmlElement, bdf: string, groups: readonly string[]): void {
    const ends = endsIn(element.children);
    const names = namesIn(element.children);
    if (names.length > 0) {
      this.#osNames.set(bdf, [...new Set(names)]);
    }
    if (ends.some((end) => attribute(end, "gdr") === "1")) {
      this.#directNicAccess.add(bdf);
    }
    for (const gpu of ends.filter(({ name }) => name === "gpu")) {
      this.#addPeerLinks(gpu, bdf);
    }
    for (const group of groups) {
      this.#members.set(group, [...(this.#members.get(group) ?? []), bdf]);
    }
    const kind = attribute(element, "class")?.replace(/^0x/i, "").slice(0, 2);
    if (kind === "02" || kind === "03" || kind === "12") {
      this.#virtual.push(/^(?!0000:)[0-9a-f]+:00:00\.0$/.test(bdf));
    }
  }

  facts(): MachineFacts {
    const cpus = this.#root.children.filter(({ name }) => name === "cpu");
    const hosts = new Set(cpus.map((cpu) => attribute(cpu, "host_hash") ?? ""));
    if (hosts.size > 1) {
      const cause = `it holds ${hosts.size} machines (host_hash), and one is read`;
      throw refusedElement(this.#source, this.#root, cause);
    }
    const cpu = oneCpu(cpus.map((each) => cpuOf(this.#source, each)));
    const isRccl = attribute(this.#root, "version") === "2";
    return {
      ...factsNamed(this.#source),
      format: isRccl ? "RCCL topology XML" : "NCCL topology XML",
      tree: "gaps",
      missing: MISSING,
      ...(cpu !== undefined && { cpu }),
      numaNodes: this.#numaNodes(cpus),
      osNames: this.#osNames,
      nonPciNames: cpus.flatMap((each) =>
        namesIn(each.children.filter(({ name }) => name === "nic")),
      ),
      peerLinks: this.#peerLinks,
      nearGroups: Array.from(this.#members, ([name, members]) => ({ name, members })),
      directNicAccess: this.#directNicAccess,
      // A card stands below a root port, so never on bus 00; a hypervisor that gives every card a domain
      // of its own (Hyper-V) shows all of them there.
      ...(this.#virtual.length > 0 && this.#virtual.every(Boolean) && { isVirtualMachine: true }),
    };
  }

  #numaNodes(cpus: readonly XmlElement[]): NumaNode[] {
    const nodes = cpus.flatMap((cpu) => {
      const id = wholeAttribute(this.#source, cpu, "numaid", -1, 0x7fffffff) ?? -1;
      const cpuList = listOfMask(attribute(cpu, "affinity") ?? "");
      return id < 0 ? [] : [{ id, distances: [], cpuList }];
    });
    const byId = new Map(nodes.map((node) => [node.id, node]));
    return [...byId.values()].sort((one, other) => one.id - other.id);
  }

  #addPeerLinks(gpu: XmlElement, from: string): void {
    for (const link of gpu.children) {
      const kind = PEER_KINDS[link.name as keyof typeof PEER_KINDS];
      const target = attribute(link, "target") ?? "";
      // NCCL writes an address that cannot be for a switch it may not look at (fffffff:ffff:ff).
      if (kind === undefined || !NAME.test(target)) {
        continue;
      }
      if (this.#peerLinks.length >= PEER_LINKS_MAX) {
        throw refusedElement(this.#source, link, `there are more than ${PEER_LINKS_MAX} links`);
      }
      const address = parseBdf(target);
      const count = wholeAttribute(this.#source, link, "count", 1, 1024) ?? 1;
      const to = address === undefined ? target.toLowerCase() : formatBdf(address);
      this.#peerLinks.push({ kind, from, to, count });
    }
  }
}

const MISSING = missingFacts(
  "acs",
  "bridges",
  "functions",
  "host-bridge",
  "port-types",
  "bars",
  "resizable-bars",
  "drivers",
  "iommu-groups",
  "iommu-mode",
  "kernel",
  "command-line",
  "kernel-config",
);

/** GPUs and network devices right here or in a `<nic>`. */
const endsIn = (elements: readonly XmlElement[]): XmlElement[] =>
  elements
    .flatMap((element) => (element.name === "nic" ? element.children : [element]))
    .filter(({ name }) => name === "gpu" || name === "net");

const namesIn = (elements: readonly XmlElement[]): string[] =>
  endsIn(elements)
    .flatMap((end) => nameOf(end))
    .filter((name) => NAME.test(name));

/** `dev` of a GPU is its number in nvidia-smi or rocm-smi, which both write as GPU0. */
function nameOf(end: XmlElement): string[] {
  const name = attribute(end, end.name === "gpu" ? "dev" : "name");
  return name === undefined ? [] : [end.name === "gpu" ? `GPU${name}` : name];
}

/** The processor, if all NUMA nodes have the same. */
function oneCpu(cpus: readonly (CpuFacts | undefined)[]): CpuFacts | undefined {
  const [first] = cpus;
  const isSame = cpus.every(
    (cpu) =>
      cpu?.vendor === first?.vendor && cpu?.family === first?.family && cpu?.model === first?.model,
  );
  return isSame ? first : undefined;
}

function cpuOf(source: string, cpu: XmlElement): CpuFacts | undefined {
  // Other processors than x86 have no vendor here; the architecture is enough to tell them from AMD.
  const arch = attribute(cpu, "arch");
  const vendor = attribute(cpu, "vendor") ?? (arch === "x86_64" ? undefined : arch);
  if (vendor === undefined) {
    return undefined;
  }
  const family = wholeAttribute(source, cpu, "familyid", 0, 0xfffff);
  const model = wholeAttribute(source, cpu, "modelid", 0, 0xfffff);
  return {
    vendor: vendor.slice(0, 64),
    ...(family !== undefined && { family: familyOf(family) }),
    ...(model !== undefined && { model }),
  };
}

/**
 * NCCL puts the extended family above the base family (143 = 0x8f is 8 and 15) where /proc/cpuinfo adds
 * them (23); people who write such files by hand put the sum. A base family of 15 is what x86 extends.
 */
const familyOf = (written: number): number =>
  written > 0xf && (written & 0xf) === 0xf ? 0xf + (written >> 4) : written;
