/**
 * Kernel rules: what differs between kernels in judging P2PDMA paths, as data with its source.
 *
 * The procedure (`judge-pair.ts`) is one; the table of accepted host bridges grows from release to
 * release, and no row was ever taken out. Facts are from drivers/pci/p2pdma.c: 6.12 as read in 6.12.117, later
 * rows as seen in mainline. The last row of 6.12's table, 09a2, was applied for 5.18 (commit feaea1fe8b36), so
 * 5.18 to 6.12 have one table, and 6.1 is known by that. Between 6.12 and 7.2 a row that came at a release nobody
 * has verified makes the answer "unknown", and only where that row decides. Distributions add rows on their own.
 */
import { InputError } from "@peerbuf/core";
import { ACS } from "../acs.ts";

/** A row of the kernel's `pci_p2pdma_whitelist`. */
export interface HostBridgeRow {
  readonly vendor: number;
  readonly device: number | "any";
  /** REQ_SAME_HOST_BRIDGE: both functions must be below this one host bridge. */
  readonly sameOnly: boolean;
  /** First kernel release that is known to have the row; `unverified`: nobody has checked. */
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
  ...rows("5.18", INTEL, [0x3c00, 0x3c01], "Intel Xeon E5 / Core i7 (Sandy Bridge-EP)", true),
  ...rows("5.18", INTEL, [0x2f00, 0x2f01], "Intel Xeon E7 v3 / E5 v3 (Haswell-EP)", true),
  ...rows("5.18", INTEL, [0x2030, 0x2031, 0x2032, 0x2033, 0x2020], "Intel Skylake-E"),
  ...rows("5.18", INTEL, [0x09a2], "Intel Ice Lake Xeon and later"),
  ...rows("7.2", 0x1ae0, ["any"], "Google"),
  ...rows("7.2", INTEL, [0x0b25, 0x0cfe, 0x11fb, 0x1212, 0x1216], "Intel DSA/IAA accelerators"),
  ...rows("7.2", INTEL, [0x4940, 0x4942, 0x4944, 0x4946, 0x4948], "Intel QAT accelerators"),
  ...rows("unverified", NVIDIA, [0x2f95, 0x2f96, 0x2f97, 0x2f98], "Nvidia"),
  ...rows("unverified", ZHAOXIN, [0x1003, 0x1005, 0x1006, 0x1007], "Zhaoxin", true),
  ...rows("unverified", ZHAOXIN, [0x1008], "Zhaoxin"),
];

/** Versions whose rules are known and that people ask for by name; those between are worked out from them. */
export const KERNEL_VERSIONS: readonly string[] = ["6.1", "6.12", "7.2"];

/** First release with the table of 6.12, the last release known to have no more, and the newest known. */
const OLDEST = "5.18";
const SAME_UNTIL = "6.12";
const NEWEST = "7.2";
/** Last minor number of each major one that is complete: there is no 6.120. */
const LAST_MINOR: Readonly<Record<number, number>> = { 5: 19, 6: 19 };

const rulesOf = (version: string): KernelRules => {
  const isSure = (row: HostBridgeRow): boolean =>
    row.since !== "unverified" && !isNewer(row.since, version);
  return {
    name: `linux-${version}`,
    version,
    redirectMask: ACS.RR | ACS.CR | ACS.EC,
    // cpu_supports_p2pdma(): AMD Zen and newer. Hygon is a vendor of its own and does not pass.
    cpu: { vendor: "AuthenticAMD", familyMin: 0x17 },
    hostBridges: HOST_BRIDGES.filter(isSure),
    // The source of 6.12 was read in full, so nothing is open there.
    unverifiedHostBridges: isNewer(version, SAME_UNTIL)
      ? HOST_BRIDGES.filter((row) => !isSure(row))
      : [],
  };
};

/** Is release `one` after `other`? Both as `6.12`. */
export function isNewer(one: string, other: string): boolean {
  const [major = 0, minor = 0] = one.split(".").map(Number);
  const [otherMajor = 0, otherMinor = 0] = other.split(".").map(Number);
  return major > otherMajor || (major === otherMajor && minor > otherMinor);
}

function isCovered(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const exists = minor <= (LAST_MINOR[major] ?? minor);
  return exists && !isNewer(OLDEST, version) && !isNewer(version, NEWEST);
}

/**
 * Rules of a kernel by version or release: `6.12`, `6.12.117`, `6.12.0-amd64` are one. Any version from 5.18
 * to the newest known.
 * @throws InputError listing the known versions
 */
export function rulesForKernel(kernel: string = KERNEL_DEFAULT): KernelRules {
  const version = /^(?:linux-|v)?(\d{1,3}\.\d{1,3})(?![\d])/i.exec(kernel.trim())?.[1];
  if (version === undefined || !isCovered(version)) {
    throw new InputError({
      source: `kernel "${kernel}"`,
      cause:
        version === undefined
          ? "this is no kernel version"
          : "the P2PDMA rules of this kernel are not known",
      remedy: `Known: ${KERNEL_VERSIONS.join(", ")}, and what lies between ${OLDEST} and ${NEWEST}`,
    });
  }
  return rulesOf(version);
}
