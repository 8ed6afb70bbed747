/**
 * ACS parameters: what `pci=disable_acs_redir=` and `pci=config_acs=` do to ACS control.
 *
 * `disable_acs_redir` clears RR, CR and EC of matching functions and is in every kernel known here.
 * `config_acs` is in 6.12 and was not in 6.1; its entries are `<flags>@<device>`, flags right to left from
 * bit 0 (SV, TB, RR, CR, UF, EC, DT), `0`, `1` or `x` for "as the firmware left it", first match decides
 * (drivers/pci/pci.c `__pci_config_acs`, 6.12). Unlike a device list, one bad entry makes the kernel ignore
 * the parameter from there on. The form without `@<device>` in the kernel's own parameter text is refused
 * by its parser.
 */
import { ACS } from "../acs.ts";
import { ACS_PRESENT } from "../function-table.ts";
import type { Answer } from "../rules/host-bridge.ts";
import { isNewer } from "../rules/kernel-rules.ts";
import type { Topology } from "../topology.ts";
import type { KernelWord } from "./command-line.ts";
import { pciOption } from "./command-line.ts";
import { type DeviceSelector, matches, parseDeviceList, parseSelector } from "./device-list.ts";

/** Does this kernel read `config_acs`? It came after 6.1 and no later than 6.12; at which release is not verified. */
export function readsConfigAcs(version: string): Answer {
  if (!isNewer(version, "6.1")) {
    return "no";
  }
  return isNewer("6.12", version) ? "unknown" : "yes";
}

/** Bits that `disable_acs_redir` clears; the same that P2PDMA takes for a redirect. */
export const REDIRECT_BITS: number = ACS.RR | ACS.CR | ACS.EC;
const FLAG_BITS = 7;

/** One `<flags>@<device>`: bits in `mask` become those in `flags`. */
export interface AcsSetting {
  readonly selector: DeviceSelector;
  readonly mask: number;
  readonly flags: number;
}

export interface AcsSettings {
  readonly settings: readonly AcsSetting[];
  /** What the kernel says to the part it does not read, undefined when all was read. */
  readonly fault?: string;
}

/** The value of `config_acs=`. */
export function parseAcsSettings(text: string): AcsSettings {
  const settings: AcsSetting[] = [];
  for (const entry of text.split(";")) {
    const at = entry.indexOf("@");
    if (at < 0) {
      return { settings, fault: "ACS Flags missing" };
    }
    const flags = parseFlags(entry.slice(0, at));
    if (typeof flags === "string") {
      return { settings, fault: flags };
    }
    const selector = parseSelector(entry.slice(at + 1));
    if (selector === undefined) {
      return { settings, fault: "Can't parse ACS command line parameter" };
    }
    settings.push({ selector, ...flags });
  }
  return { settings };
}

function parseFlags(text: string): { mask: number; flags: number } | string {
  if (!/^[01xX]*$/.test(text)) {
    return "Invalid ACS flags";
  }
  let mask = 0;
  let flags = 0;
  for (const [bit, flag] of [...text].reverse().entries()) {
    if (flag === "x" || flag === "X") {
      continue;
    }
    if (bit >= FLAG_BITS) {
      return "Invalid ACS flags specified";
    }
    mask |= 1 << bit;
    flags |= flag === "1" ? 1 << bit : 0;
  }
  return { mask, flags };
}

/**
 * ACS control of every function that the parameters change, by row, as it will be after the next boot.
 *
 * Bits that a parameter does not name come back as the firmware left them (6.12), which no capture of a running
 * kernel shows; they are taken to be as captured. For `disable_acs_redir` that leaves RR, CR and EC certain.
 */
export function controlUnder(
  topology: Topology,
  words: readonly KernelWord[],
): Map<number, number> {
  const cleared = parseDeviceList(pciOption(words, "disable_acs_redir") ?? "").selectors;
  const { settings } = parseAcsSettings(pciOption(words, "config_acs") ?? "");
  const { acsState, acsControl, acsCapability } = topology.table;
  const controlByRow = new Map<number, number>();
  for (let row = 0; row < topology.count; row++) {
    if (acsState[row] !== ACS_PRESENT) {
      continue;
    }
    const before = acsControl[row] as number;
    let control = before;
    if (cleared.some((selector) => matches(topology, row, selector))) {
      control &= ~REDIRECT_BITS;
    }
    const setting = settings.find(({ selector }) => matches(topology, row, selector));
    if (setting !== undefined) {
      // It starts from the firmware's value, so what the other parameter cleared is back.
      // Bits without capability are read-only zero in the register.
      control = ((before & ~setting.mask) | setting.flags) & (acsCapability[row] as number);
    }
    if (control !== before) {
      controlByRow.set(row, control);
    }
  }
  return controlByRow;
}
