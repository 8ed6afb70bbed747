/**
 * Translation: what the IOMMU does to the requests of one function.
 *
 * Only requests that reach the root complex meet the IOMMU; those that turn round in a switch never do.
 * The type of the function's group says how (`/sys/kernel/iommu_groups/N/type`, Linux ABI since 5.11).
 * No group in a capture proves nothing by itself: groups may not have been captured.
 */
import type { Answer } from "../rules/host-bridge.ts";
import type { Topology } from "../topology.ts";

export interface Translation {
  /** Are requests of this function translated? */
  readonly isTranslated: Answer;
  /** IOMMU group, -1 for none or not captured. */
  readonly group: number;
  /** As the kernel prints it: `DMA`, `DMA-FQ`, `identity`, ... */
  readonly groupType?: string;
  readonly text: string;
}

export const translationOf = (topology: Topology, row: number): Translation =>
  translationsOf(topology)(row);

/** The same for many rows: what holds for every function without a group is worked out once. */
export function translationsOf(topology: Topology): (row: number) => Translation {
  const ungrouped = withoutGroup(topology);
  return (row) => translationWith(topology, row, ungrouped);
}

function translationWith(
  topology: Topology,
  row: number,
  ungrouped: Pick<Translation, "isTranslated" | "text">,
): Translation {
  const group = topology.table.iommuGroup[row] as number;
  const groupType = topology.facts.iommuGroupTypes.get(group);
  if (groupType !== undefined) {
    return { ...ofType(groupType), group, groupType };
  }
  if (group >= 0) {
    const text = `in IOMMU group ${group}, whose type is not in the capture`;
    return { isTranslated: "unknown", group, text };
  }
  return { ...ungrouped, group };
}

const ofType = (groupType: string): Pick<Translation, "isTranslated" | "text"> => {
  switch (groupType) {
    case "identity":
      return { isTranslated: "no", text: "the IOMMU passes its requests through (identity)" };
    case "DMA":
    case "DMA-FQ":
      return { isTranslated: "yes", text: `the IOMMU translates its requests (${groupType})` };
    default:
      return {
        isTranslated: "yes",
        text: `its group has a domain of somebody else (${groupType}), such as a virtual machine`,
      };
  }
};

function withoutGroup(topology: Topology): Pick<Translation, "isTranslated" | "text"> {
  if (isIommuOff(topology)) {
    return { isTranslated: "no", text: "the kernel was told to leave the IOMMU off" };
  }
  if (topology.facts.hasNoIommuGroup === true) {
    return { isTranslated: "no", text: "the kernel has no IOMMU group, so the IOMMU is off" };
  }
  const hasGroups = topology.table.iommuGroup.some((group) => group >= 0);
  return hasGroups
    ? { isTranslated: "no", text: "it is in no IOMMU group, though others are" }
    : {
        isTranslated: "unknown",
        text: "no IOMMU group is in the capture: the IOMMU is off, or groups were not captured",
      };
}

/** Options that switch the IOMMU drivers off (kernel-parameters.txt: iommu=, intel_iommu=, amd_iommu=). */
function isIommuOff(topology: Topology): boolean {
  const { commandLine = "", cpu } = topology.facts;
  const vendorOption = cpu?.vendor === "AuthenticAMD" ? "amd_iommu" : "intel_iommu";
  return commandLine
    .split(/\s+/)
    .map((word) => word.split("="))
    .some(
      ([name = "", values = ""]) =>
        (name === "iommu" || name === vendorOption) && values.split(",").includes("off"),
    );
}
