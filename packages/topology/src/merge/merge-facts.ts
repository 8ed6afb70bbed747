/**
 * Merge facts: what several captures say of the machine as a whole.
 */
import type {
  Contradiction,
  CpuFacts,
  MachineFacts,
  NearGroup,
  NumaNode,
  PeerLink,
} from "../machine-facts.ts";
import type { MissingFact } from "../missing-fact.ts";
import type { Topology } from "../topology.ts";
import { refusedMerge } from "./witness.ts";

/** @throws InputError when the captures are of machines with different processors */
export function mergeFacts(
  captures: readonly Topology[],
  treeSource: Topology,
  contradictions: Contradiction[],
): MachineFacts {
  const all = captures.map(({ facts }) => facts);
  const text = (fact: string, of: (facts: MachineFacts) => string | undefined) =>
    firstText(all, fact, of, contradictions);
  const cpu = mergeCpus(all);
  const kernelRelease = text("kernel release", (facts) => facts.kernelRelease);
  const commandLine = text("kernel command line", (facts) => facts.commandLine);
  const product = text("product", (facts) => facts.product);
  const kernelConfig = all.find((facts) => facts.kernelConfig !== undefined)?.kernelConfig;
  const pathClasses = all.find((facts) => facts.pathClasses !== undefined)?.pathClasses;
  const isVirtualMachine = virtualAnswer(all);
  return {
    source: unique(all.map(({ source }) => source)).join(" + "),
    format: unique(all.map(({ format }) => format)).join(" + "),
    tree: treeSource.facts.tree,
    missing: missingInAll(all, treeSource),
    ...(cpu !== undefined && { cpu }),
    ...(kernelRelease !== undefined && { kernelRelease }),
    ...(commandLine !== undefined && { commandLine }),
    ...(product !== undefined && { product }),
    ...(kernelConfig !== undefined && { kernelConfig }),
    ...(pathClasses !== undefined && { pathClasses }),
    ...(isVirtualMachine !== undefined && { isVirtualMachine }),
    numaNodes: mergeNodes(all),
    ...(hasNoGroup(all) && { hasNoIommuGroup: true }),
    iommuGroupTypes: mergeMaps(
      all,
      "IOMMU group",
      (facts) => facts.iommuGroupTypes,
      contradictions,
    ),
    osNames: mergeNames(all),
    nonPciNames: unique(all.flatMap(({ nonPciNames }) => nonPciNames)),
    modelNames: new Map(all.toReversed().flatMap(({ modelNames }) => [...modelNames])),
    peerLinks: uniqueBy(
      all.flatMap(({ peerLinks }) => peerLinks),
      ({ kind, from, to }: PeerLink) => `${kind} ${from} ${to}`,
    ),
    nearGroups: uniqueBy(
      all.flatMap(({ nearGroups }) => nearGroups),
      ({ name }: NearGroup) => name,
    ),
    directNicAccess: new Set(all.flatMap(({ directNicAccess }) => [...directNicAccess])),
    contradictions: [...all.flatMap((facts) => facts.contradictions), ...contradictions],
  };
}

/** Types in another capture of the machine count for more than an empty folder. */
const hasNoGroup = (all: readonly MachineFacts[]): boolean =>
  all.some((facts) => facts.hasNoIommuGroup === true) &&
  all.every((facts) => facts.iommuGroupTypes.size === 0);

const unique = (texts: readonly string[]): string[] => [...new Set(texts)];

const uniqueBy = <T>(items: readonly T[], keyOf: (item: T) => string): T[] => [
  ...new Map(items.toReversed().map((item) => [keyOf(item), item])).values(),
];

/** Bridges and functions are missing only if the capture whose tree is kept lacks them. */
const OF_THE_TREE: ReadonlySet<string> = new Set(["bridges", "functions"]);

const missingInAll = (all: readonly MachineFacts[], treeSource: Topology): MissingFact[] =>
  treeSource.facts.missing.filter(({ fact }) =>
    OF_THE_TREE.has(fact)
      ? true
      : all.every(({ missing }) => missing.some((other) => other.fact === fact)),
  );

function firstText(
  all: readonly MachineFacts[],
  fact: string,
  of: (facts: MachineFacts) => string | undefined,
  contradictions: Contradiction[],
): string | undefined {
  const said = all.flatMap((facts) => {
    const value = of(facts);
    return value === undefined ? [] : [{ source: facts.source, value }];
  });
  if (unique(said.map(({ value }) => value)).length > 1) {
    contradictions.push({ fact, values: said });
  }
  return said[0]?.value;
}

/** The processor with all that is known of it. A vendor or family that differs is another machine's. */
function mergeCpus(all: readonly MachineFacts[]): CpuFacts | undefined {
  const knowing = all.filter(({ cpu }) => cpu !== undefined);
  const [first] = knowing;
  for (const other of knowing) {
    for (const member of ["vendor", "family", "model"] as const) {
      const [one, two] = [first?.cpu?.[member], other.cpu?.[member]];
      if (one !== undefined && two !== undefined && one !== two) {
        const cause = `the CPU's ${member} is ${one} in the one and ${two} in the other`;
        throw refusedMerge([first?.source ?? "", other.source], undefined, cause);
      }
    }
  }
  const cpus = knowing.map(({ cpu }) => cpu as CpuFacts);
  return cpus.length === 0 ? undefined : Object.assign({}, ...cpus.toReversed());
}

function virtualAnswer(all: readonly MachineFacts[]): boolean | undefined {
  const answers = all.map((facts) => facts.isVirtualMachine).filter((each) => each !== undefined);
  return answers.length === 0 ? undefined : answers.includes(true);
}

function mergeNodes(all: readonly MachineFacts[]): NumaNode[] {
  const byId = new Map<number, NumaNode>();
  for (const node of all.toReversed().flatMap(({ numaNodes }) => numaNodes)) {
    const before = byId.get(node.id);
    byId.set(node.id, {
      ...before,
      ...node,
      distances: node.distances.length > 0 ? node.distances : (before?.distances ?? []),
      cpuList: node.cpuList !== "" ? node.cpuList : (before?.cpuList ?? ""),
    });
  }
  return [...byId.values()].sort((one, other) => one.id - other.id);
}

function mergeMaps(
  all: readonly MachineFacts[],
  fact: string,
  of: (facts: MachineFacts) => ReadonlyMap<number, string>,
  contradictions: Contradiction[],
): ReadonlyMap<number, string> {
  const merged = new Map<number, string>();
  const keys = new Set(all.flatMap((facts) => [...of(facts).keys()]));
  for (const key of keys) {
    const value = firstText(all, `${fact} ${key}`, (facts) => of(facts).get(key), contradictions);
    merged.set(key, value ?? "");
  }
  return merged;
}

/**
 * Names by function. NCCL writes the names of all functions of a card at the first one, so a name that
 * another capture gives to a function is not taken from it.
 */
function mergeNames(all: readonly MachineFacts[]): ReadonlyMap<string, readonly string[]> {
  const exactFirst = all.toSorted((one, other) => Number(isCcl(one)) - Number(isCcl(other)));
  const bdfByName = new Map<string, string>();
  const merged = new Map<string, readonly string[]>();
  for (const [bdf, names] of exactFirst.flatMap(({ osNames }) => [...osNames])) {
    const own = names.filter((name) => (bdfByName.get(name) ?? bdf) === bdf);
    for (const name of own) {
      bdfByName.set(name, bdf);
    }
    merged.set(bdf, unique([...(merged.get(bdf) ?? []), ...own]));
  }
  return merged;
}

const isCcl = ({ format }: MachineFacts): boolean => /^R?N?CCL /.test(format);
