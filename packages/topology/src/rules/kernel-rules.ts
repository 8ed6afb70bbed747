/**
 * Kernel rules: what differs between kernels in judging P2PDMA paths, as data with its source.
 *
 * The procedure (`judge-pair.ts`) is one; the table of accepted host bridges grows from release to
 * release. Facts are from drivers/pci/p2pdma.c: 6.12 as read in 6.12.117, later rows as seen in
 * mainline. A row whose first release could not be verified makes later kernels answer "unknown".
 */
import { InputError } from "@peerbuf/core";
import { ACS } from "../acs.ts";

/** A row of the kernel's `pci_p2pdma_whitelist`. */
export interface HostBridgeRow {
  readonly vendor: number;
  readonly device: number | "any";
  /** REQ_SAME_HOST_BRIDGE: both functions must be below this one host bridge. */
  readonly sameOnly: boolean;
  /** First kernel release that has the row among those listed here, or that nobody has checked. */
  readonly since: string | "unverified";
  readonly platform: string;
}

export interface KernelRules {
  /** e.g. `linux-6.12`. */
  readonly name: string;
  readonly version: string;
  /** ACS control bits that count as redirect, on any function visited. */
  readonly redirectMask: number;
  /** Host bridges of any kind pass with this CPU vendor from this family on. */
  readonly cpu: { readonly vendor: string; readonly familyMin: number };
  /** First match decides. */
  readonly hostBridges: readonly HostBridgeRow[];
  /** Rows of which it is not known whether this kernel has them. */
  readonly unverifiedHostBridges: readonly HostBridgeRow[];
}

/** The kernel asked about when nobody says which. */
export const KERNEL_DEFAULT = "6.12";

const INTEL = 0x8086;
const NVIDIA = 0x10de;
const ZHAOXIN = 0x1d17;

const rows = (
  since: string,
  vendor: number,
  devices: readonly (number | "any")[],
  platform: string,
  sameOnly = false,
): HostBridgeRow[] => devices.map((device) => ({ vendor, device, sameOnly, since, platform }));

const HOST_BRIDGES: readonly HostBridgeRow[] = [
  ...rows("6.12", INTEL, [0x3c00, 0x3c01], "Intel Xeon E5 / Core i7 (Sandy Bridge-EP)", true),
  ...rows("6.12", INTEL, [0x2f00, 0x2f01], "Intel Xeon E7 v3 / E5 v3 (Haswell-EP)", true),
  ...rows("6.12", INTEL, [0x2030, 0x2031, 0x2032, 0x2033, 0x2020], "Intel Skylake-E"),
  ...rows("6.12", INTEL, [0x09a2], "Intel Ice Lake Xeon and later"),
  ...rows("7.2", 0x1ae0, ["any"], "Google"),
  ...rows("7.2", INTEL, [0x0b25, 0x0cfe, 0x11fb, 0x1212, 0x1216], "Intel DSA/IAA accelerators"),
  ...rows("7.2", INTEL, [0x4940, 0x4942, 0x4944, 0x4946, 0x4948], "Intel QAT accelerators"),
  ...rows("unverified", NVIDIA, [0x2f95, 0x2f96, 0x2f97, 0x2f98], "Nvidia"),
  ...rows("unverified", ZHAOXIN, [0x1003, 0x1005, 0x1006, 0x1007], "Zhaoxin", true),
  ...rows("unverified", ZHAOXIN, [0x1008], "Zhaoxin"),
];

/** Releases in order; each has its own rows and those of all before it. */
const VERSIONS: readonly string[] = ["6.12", "7.2"];

const RULES: readonly KernelRules[] = VERSIONS.map((version, age) => ({
  name: `linux-${version}`,
  version,
  redirectMask: ACS.RR | ACS.CR | ACS.EC,
  // cpu_supports_p2pdma(): AMD Zen and newer. Hygon is a vendor of its own and does not pass.
  cpu: { vendor: "AuthenticAMD", familyMin: 0x17 },
  hostBridges: HOST_BRIDGES.filter((row) => VERSIONS.slice(0, age + 1).includes(row.since)),
  // The source of 6.12 was read in full, so nothing is open there.
  unverifiedHostBridges: age === 0 ? [] : HOST_BRIDGES.filter((row) => row.since === "unverified"),
}));

/** Versions whose rules are known. */
export const KERNEL_VERSIONS: readonly string[] = VERSIONS;

/**
 * Rules of a kernel by version or release: `6.12`, `6.12.117`, `6.12.0-amd64` are one.
 * @throws InputError listing the known versions
 */
export function rulesForKernel(kernel: string = KERNEL_DEFAULT): KernelRules {
  const version = /^(?:linux-|v)?(\d+\.\d+)(?![\d])/i.exec(kernel.trim())?.[1];
  const rules = RULES.find((each) => each.version === version);
  if (rules === undefined) {
    throw new InputError({
      source: `kernel "${kernel}"`,
      cause: "the P2PDMA rules of this kernel are not known",
      remedy: `Known: ${VERSIONS.join(", ")}`,
    });
  }
  return rules;
}
