/**
 * Root complex: what it does with requests from one device to another.
 *
 * The PCIe specification does not oblige it to do anything, nor say how to find out what it does
 * (base specification 5.0, 1.3.1; Linux Documentation/driver-api/pci/p2pdma.rst). The profiles are
 * what is seen in the field:
 * - `forwards`: reads and writes between all root ports, as AMD since Zen and Xeons since Skylake;
 * - `same-host-bridge`: both, but only below one host bridge, as older Xeons;
 * - `writes-only`: posted writes arrive, reads do not, as AMD before Zen;
 * - `none`: nothing arrives;
 * - `answers-ones`: nothing arrives, and reads are answered as if all were well, with all ones: a copy
 *   "succeeds". As seen on client parts, where neither device nor bus reports an error;
 * - `corrupts-until-pass-through`: as `forwards`, but while an IOMMU translates, what devices send each
 *   other through the root complex arrives changed. A model of field reports in which data was wrong with
 *   all ACS bits clear until the kernel was booted with `iommu=pt`; what the hardware does is not known.
 */
import { InputError } from "@peerbuf/core";

export type RootComplexProfile = (typeof PROFILES)[number];

const PROFILES = [
  "forwards",
  "same-host-bridge",
  "writes-only",
  "none",
  "answers-ones",
  "corrupts-until-pass-through",
] as const;

/** The profile itself; `InputError` when there is no such. */
export function checkedProfile(profile: RootComplexProfile): RootComplexProfile {
  if (!PROFILES.includes(profile)) {
    throw new InputError({
      source: "rootComplex",
      cause: `there is no root-complex profile "${profile}"`,
      remedy: `Choose one of ${PROFILES.join(", ")}`,
    });
  }
  return profile;
}

/** Would a request between devices below these root buses (by index) get through? */
export function rootComplexForwards(
  profile: RootComplexProfile,
  kind: AccessKind,
  fromRoot: number,
  toRoot: number,
): boolean {
  switch (profile) {
    case "forwards":
    case "corrupts-until-pass-through":
      return true;
    case "same-host-bridge":
      return fromRoot === toRoot;
    case "writes-only":
      return kind === "write";
    case "none":
    case "answers-ones":
      return false;
  }
}

export type AccessKind = "read" | "write";
