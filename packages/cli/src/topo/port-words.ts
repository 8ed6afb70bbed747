/** Port words: what a bridge is, how its link stands and what its ACS does, in a few characters. */
import { acsBits, type KernelRules, PORT_TYPE, type Topology } from "@peerbuf/topology";

const PORT_WORDS: ReadonlyMap<number, string> = new Map([
  [PORT_TYPE.ROOT_PORT, "root port"],
  [PORT_TYPE.SWITCH_UPSTREAM, "switch"],
  [PORT_TYPE.SWITCH_DOWNSTREAM, "switch port"],
  [PORT_TYPE.PCIE_TO_PCI, "PCIe to PCI bridge"],
  [PORT_TYPE.PCI_TO_PCIE, "PCI to PCIe bridge"],
]);

export const portWords = (topology: Topology, row: number): string =>
  PORT_WORDS.get(topology.table.portType[row] as number) ?? "PCI bridge";

/** PCI Express generation by speed, in megatransfers a second (PCIe 1.0 to 6.0). */
const GENERATIONS: ReadonlyMap<number, number> = new Map([
  [2500, 1],
  [5000, 2],
  [8000, 3],
  [16_000, 4],
  [32_000, 5],
  [64_000, 6],
]);

export interface LinkWords {
  /** `gen4 x16`, "" when not captured. */
  readonly now: string;
  /** What it could be, where that is more. */
  readonly best?: string;
  /** Lanes are missing. A low speed alone may be a device at rest. */
  readonly isNarrow: boolean;
}

/** Ports whose link registers speak of the link below, which the device there tells as well. */
const LINK_IS_BELOW: ReadonlySet<number> = new Set([
  PORT_TYPE.ROOT_PORT,
  PORT_TYPE.SWITCH_DOWNSTREAM,
  PORT_TYPE.PCI_TO_PCIE,
]);

/** The link above a function, against what both of its ends can: a wide card in a narrow slot is no defect. */
export function linkWords(topology: Topology, row: number): LinkWords {
  const { linkSpeedMtps, linkWidth, linkSpeedMaxMtps, linkWidthMax, portType } = topology.table;
  const [speed, width] = [linkSpeedMtps[row] as number, linkWidth[row] as number];
  if (speed === 0 || width === 0 || LINK_IS_BELOW.has(portType[row] as number)) {
    return { now: "", isNarrow: false };
  }
  const port = topology.upstreamOf(row);
  const speedMax = lower(linkSpeedMaxMtps[row], linkSpeedMaxMtps[port]);
  const widthMax = lower(linkWidthMax[row], linkWidthMax[port]);
  const isBelow = speed < speedMax || width < widthMax;
  return {
    now: linkText(speed, width),
    ...(isBelow && { best: linkText(Math.max(speed, speedMax), Math.max(width, widthMax)) }),
    isNarrow: width < widthMax,
  };
}

/** The lower of two limits, of which 0 or undefined is unknown. */
const lower = (one = 0, other = 0): number =>
  one > 0 && other > 0 ? Math.min(one, other) : Math.max(one, other);

function linkText(speedMtps: number, width: number): string {
  const generation = GENERATIONS.get(speedMtps);
  return generation === undefined
    ? `${speedMtps / 1000} GT/s x${width}`
    : `gen${generation} x${width}`;
}

export interface AcsWords {
  /** `""` where there is no ACS. */
  readonly text: string;
  /** `redirects` only where that is on the way between two of the shown devices. */
  readonly state: "redirects" | "harmless" | "absent" | "unknown";
}

/** @param harmful the ports whose redirect is on somebody's way */
export function acsWords(
  topology: Topology,
  rules: KernelRules,
  harmful: ReadonlySet<number>,
  row: number,
): AcsWords {
  const acs = topology.acsOf(row);
  if (acs === undefined) {
    return { text: "ACS not known", state: "unknown" };
  }
  if (acs === "absent") {
    return { text: "", state: "absent" };
  }
  if (harmful.has(row)) {
    const bits = acsBits(acs.control & rules.redirectMask).join(" ");
    return { text: `ACS ${bits}: redirects`, state: "redirects" };
  }
  const bits = acsBits(acs.control).join(" ");
  return { text: `ACS ${bits === "" ? "off" : bits}`, state: "harmless" };
}
