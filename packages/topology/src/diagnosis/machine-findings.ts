/**
 * Machine findings: what concerns the machine as a whole, whatever the pair.
 */
import { captureCommands, kernelWithP2pdma } from "../fixes/advice.ts";
import { checkCommandLine } from "../fixes/check-command-line.ts";
import { iommuGroupsOf } from "../fixes/iommu-groups.ts";
import { missingFacts } from "../missing-fact.ts";
import type { KernelRules } from "../rules/kernel-rules.ts";
import type { Topology } from "../topology.ts";
import type { Finding } from "./finding.ts";

export const machineFindings = (
  topology: Topology,
  rules: KernelRules,
  scope: ConfigScope,
): Finding[] => [
  ...kernelConfigFindings(topology, scope),
  ...virtualMachine(topology, scope.pairCount),
  ...commandLineFindings(topology, rules),
  ...outdatedGroups(topology),
  ...privateLinks(topology),
];

const everywhere = { at: [], pairs: [], fixes: [] } as const;

function kernelConfigFindings({ facts, table }: Topology, scope: ConfigScope): Finding[] {
  const p2pdma = facts.kernelConfig?.get("CONFIG_PCI_P2PDMA");
  const ofGpus = facts.kernelConfig?.get("CONFIG_HSA_AMD_P2P");
  const isOff = ofGpus !== undefined && ofGpus !== "y" && table.driver.includes("amdgpu");
  return [
    ...(p2pdma === undefined && scope.workingCount > 0 ? [p2pdmaNotKnown(scope)] : []),
    ...(p2pdma === undefined || p2pdma === "y" ? [] : [p2pdmaNotCompiled(scope)]),
    ...(isOff ? [AMD_P2P_OFF] : []),
  ];
}

/** Pairs asked about, and those that the kernel's rules let through. */
interface ConfigScope {
  readonly pairCount: number;
  readonly workingCount: number;
}

const p2pdmaNotKnown = ({ workingCount }: ConfigScope): Finding => ({
  ...everywhere,
  code: "P2PDMA_NOT_KNOWN",
  severity: "note",
  text: "Whether the kernel was built with CONFIG_PCI_P2PDMA is not in the capture; without it every P2P mapping is refused, whatever the topology.",
  source: "what the capture holds",
  pairCount: workingCount,
  fixes: [captureCommands(missingFacts("kernel-config"))],
});

const p2pdmaNotCompiled = ({ pairCount }: ConfigScope): Finding => ({
  ...everywhere,
  code: "P2PDMA_NOT_COMPILED",
  severity: "blocks",
  text: "This kernel was built without CONFIG_PCI_P2PDMA: every P2P mapping through the kernel is refused, whatever the topology.",
  source: "captured kernel configuration",
  pairCount,
  fixes: [kernelWithP2pdma],
});

const AMD_P2P_OFF: Finding = {
  ...everywhere,
  code: "DRIVER_OPTION_OFF",
  severity: "slows",
  text: "CONFIG_HSA_AMD_P2P is not set: the amdgpu driver does not offer P2P between its GPUs.",
  source: "captured kernel configuration",
  pairCount: 0,
};

const virtualMachine = ({ facts }: Topology, pairCount: number): Finding[] =>
  facts.isVirtualMachine === true
    ? [
        {
          ...everywhere,
          code: "VIRTUAL_MACHINE",
          severity: "open",
          text: "This is a virtual machine: the tree, its ACS bits and its NUMA nodes are the hypervisor's. What is said here is what this guest's kernel decides; whether the host's switches and IOMMU carry it is unknown. Capture the host as well.",
          source: "hypervisor flag of the CPU, or the product name",
          pairCount,
        },
      ]
    : [];

const commandLineFindings = (topology: Topology, rules: KernelRules): Finding[] =>
  checkCommandLine(topology, rules.version).map(({ word, text, severity, fixes }) => ({
    code: "PARAMETER_IGNORED",
    severity,
    at: [],
    text: `${word}: ${text}`,
    source: "kernel command line against the kernel's parser",
    pairs: [],
    pairCount: 0,
    fixes,
  }));

/**
 * Groups are made at boot. A port whose ACS no longer isolates, but whose functions below are in another
 * group than it, was changed since; an exception of the kernel for that very port could look the same.
 */
function outdatedGroups(topology: Topology): Finding[] {
  const { iommuGroup } = topology.table;
  const computed = iommuGroupsOf(topology);
  if (computed === undefined) {
    return [];
  }
  const rows = [...topology.table.bdf.keys()].filter((row) =>
    topology
      .childrenOf(row)
      .some(
        (child) =>
          computed[child] === computed[row] &&
          iommuGroup[child] !== iommuGroup[row] &&
          (iommuGroup[child] as number) >= 0 &&
          (iommuGroup[row] as number) >= 0,
      ),
  );
  return rows.length === 0
    ? []
    : [
        {
          code: "GROUPS_OUTDATED",
          severity: "note",
          at: rows.map((row) => topology.bdfOf(row)),
          text: "The IOMMU groups keep what is below these ports apart from them, but their ACS control as captured does not: it was changed after boot (setpci), or the kernel makes an exception for them.",
          source: "iommu_group links against ACS control, by the kernel's own grouping (6.12)",
          pairs: [],
          pairCount: 0,
          fixes: [],
        },
      ];
}

/** Said so that nobody worries about the PCIe way of pairs that do not take it. */
function privateLinks({ facts }: Topology): Finding[] {
  const ends = [...new Set(facts.peerLinks.flatMap(({ from, to }) => [from, to]))].sort();
  return ends.length === 0
    ? []
    : [
        {
          ...everywhere,
          code: "PRIVATE_LINKS",
          severity: "note",
          at: ends,
          text: `${ends.length} functions have NVLink or xGMI between them: drivers send traffic between these over it, and the verdicts here are about PCIe.`,
          source: "links in the capture",
          pairCount: 0,
        },
      ];
}
