/**
 * Pass-through: let the IOMMU hand on the requests of host drivers as they are, or leave it off.
 *
 * `iommu=pt` is read on x86, `iommu.passthrough=1` on every architecture with the generic DMA layer
 * (kernel-parameters.txt). Verdicts stay the same: ACS redirect is set as with translation. What changes is
 * that peer addresses are no longer translated on the way through the root complex, which cured lost
 * data in several public reports.
 */
import type { Topology } from "../topology.ts";
import { bootSteps } from "./boot-loader.ts";
import type { Fix } from "./fix.ts";

const X86_VENDORS: ReadonlySet<string> = new Set([
  "GenuineIntel",
  "AuthenticAMD",
  "HygonGenuine",
  "CentaurHauls",
  "  Shanghai  ",
]);

export function passThrough(topology: Topology): Fix {
  const vendor = topology.facts.cpu?.vendor;
  const isX86 = vendor === undefined || X86_VENDORS.has(vendor);
  return {
    kind: "pass-through",
    text: "Let the IOMMU pass the requests of host drivers through.",
    steps: bootSteps(isX86 ? "iommu=pt" : "iommu.passthrough=1"),
    acsChanges: [],
    moves: [],
    cost: {
      text: "Host drivers are no longer fenced in by the IOMMU: a faulty device can write anywhere. Virtual machines keep their protection.",
    },
    isPromised: false,
  };
}

/** Values that leave the IOMMU off, by CPU vendor (kernel-parameters.txt). */
const OFF_BY_VENDOR: Readonly<Record<string, string>> = {
  GenuineIntel: "intel_iommu=off",
  AuthenticAMD: "amd_iommu=off",
};

/** The last resort; undefined where no option is known for this processor. */
export function iommuOff(topology: Topology): Fix | undefined {
  const word = OFF_BY_VENDOR[topology.facts.cpu?.vendor ?? ""];
  return word === undefined
    ? undefined
    : {
        kind: "iommu-off",
        text: "Leave the IOMMU off: nothing translates, and the kernel leaves ACS as the firmware set it.",
        steps: bootSteps(word),
        acsChanges: [],
        moves: [],
        cost: {
          text: "No device can be given to a virtual machine, nothing fences a faulty device in, and interrupts are not remapped.",
        },
        isPromised: false,
      };
}
