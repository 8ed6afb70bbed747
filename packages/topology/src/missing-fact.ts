/**
 * Missing fact: a kind of fact that a capture cannot carry, and what would supply it.
 *
 * A format is described once, by a list of these; a fact that is merely absent in one capture (a BAR
 * without address) is not missing in this sense.
 */

const COMMANDS = {
  /** ACS capability and control of the functions and ports on the way. */
  acs: "sudo lspci -Dvvv (ACSCap and ACSCtl lines), or peerbuf capture as root",
  /** Every bridge above every function. */
  bridges: "lspci -Dvvv, or peerbuf capture",
  /** Functions that are not shown, such as the one that names a host bridge. */
  functions: "lspci -Dnn, or peerbuf capture",
  /** Vendor and device ids. */
  ids: "lspci -Dnn",
  /** What kind of device a function is. */
  classes: "lspci -Dnn",
  /** Ids of the function that names a host bridge. */
  "host-bridge": "lspci -Dnn, or peerbuf capture",
  /** Which kind of PCI Express port a function is. */
  "port-types": "sudo lspci -Dvvv, or peerbuf capture as root",
  cpu: "cat /proc/cpuinfo",
  /** Sizes of BARs and bridge windows. */
  bars: "lspci -Dvvv, or peerbuf capture",
  "resizable-bars": "sudo lspci -Dvvv, or peerbuf capture as root",
  links: "sudo lspci -Dvvv, or peerbuf capture",
  numa: "lspci -Dvvv, or peerbuf capture",
  drivers: "lspci -Dk",
  "iommu-groups": "find /sys/kernel/iommu_groups -type l, or peerbuf capture",
  /** Whether the IOMMU translates for a group. */
  "iommu-mode": "grep . /sys/kernel/iommu_groups/*/type, or peerbuf capture",
  kernel: "uname -r",
  "command-line": "cat /proc/cmdline",
  /** P2PDMA, and what drivers have of it, compiled in or not. */
  "kernel-config": "grep P2P /boot/config-$(uname -r)",
} as const;

export type FactName = keyof typeof COMMANDS;

export interface MissingFact {
  readonly fact: FactName;
  /** A command whose output holds it. */
  readonly command: string;
}

export const FACT_NAMES: readonly FactName[] = Object.keys(COMMANDS) as FactName[];

/** The facts of these names with the commands that supply them. */
export const missingFacts = (...names: readonly FactName[]): MissingFact[] =>
  names.map((fact) => ({ fact, command: COMMANDS[fact] }));
