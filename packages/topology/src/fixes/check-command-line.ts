/**
 * Check command line: parts of a captured command line that do not do what they seem to say.
 *
 * Each word is read as this kernel reads it (`command-line.ts`, `device-list.ts`, `acs-parameters.ts`). Parameters
 * that have nothing to do with peer traffic are not looked at.
 */
import type { Severity } from "../diagnosis/finding.ts";
import { ACS_ABSENT } from "../function-table.ts";
import type { Topology } from "../topology.ts";
import { parseAcsSettings, readsConfigAcs } from "./acs-parameters.ts";
import { bootSteps } from "./boot-loader.ts";
import { isNamed, type KernelWord, parseCommandLine, pciOptions } from "./command-line.ts";
import { type DeviceSelector, matches, parseDeviceList, parseSelector } from "./device-list.ts";
import type { Fix } from "./fix.ts";

export interface Complaint {
  /** The part that is meant, as written. */
  readonly word: string;
  readonly text: string;
  readonly severity: Severity;
  /** What should stand there; empty where nobody can tell. */
  readonly fixes: readonly Fix[];
}

/** @param version of the kernel, `6.12` */
export function checkCommandLine(topology: Topology, version: string): Complaint[] {
  const { commandLine } = topology.facts;
  if (commandLine === undefined) {
    return [];
  }
  const words = parseCommandLine(commandLine);
  const options = pciOptions(words);
  return [
    ...cutLists(options),
    ...repeated(options),
    ...deviceLists(topology, options),
    ...acsSettings(options, version),
    ...foreignWords(words),
    ...iommuValues(words),
  ];
}

const valueIn = (option: string): string => option.slice(option.indexOf("=") + 1);

/** Commas end the option: addresses behind one are taken for options of their own. */
function cutLists(options: readonly string[]): Complaint[] {
  const lost = options.filter((option) => parseSelector(option) !== undefined);
  const list = options.find((option) => option.startsWith("disable_acs_redir="));
  if (lost.length === 0) {
    return [];
  }
  const whole = list === undefined ? undefined : `pci=${[list, ...lost].join(";")}`;
  return [
    {
      word: `pci=${[...(list === undefined ? [] : [list]), ...lost].join(",")}`,
      text: `the kernel splits pci= at commas, so ${lost.join(" and ")} ${lost.length === 1 ? "is" : "are"} taken for an unknown option and changes nothing. Semicolons separate devices.`,
      severity: "slows",
      fixes: whole === undefined ? [] : [corrected(whole)],
    },
  ];
}

/** The last one counts; the others are forgotten. */
function repeated(options: readonly string[]): Complaint[] {
  return ["disable_acs_redir", "config_acs"].flatMap((name) => {
    const given = options.filter((option) => option.startsWith(`${name}=`));
    const whole = `pci=${name}=${[...new Set(given.flatMap((option) => valueIn(option).split(";")))].join(";")}`;
    return given.length < 2
      ? []
      : [
          {
            word: `pci=${given[0]}`,
            text: `${name} is given ${given.length} times and only the last counts.`,
            severity: "slows" as const,
            fixes: [corrected(whole)],
          },
        ];
  });
}

function deviceLists(topology: Topology, options: readonly string[]): Complaint[] {
  const option = options.findLast((each) => each.startsWith("disable_acs_redir="));
  if (option === undefined) {
    return [];
  }
  const word = `pci=${option}`;
  const { selectors, rest } = parseDeviceList(valueIn(option));
  const unread: Complaint[] =
    rest === undefined
      ? []
      : [
          {
            word,
            text: `the kernel stops reading at "${rest}", which is neither an address nor pci:vendor:device.`,
            severity: "slows",
            fixes: [],
          },
        ];
  const idle =
    topology.facts.tree === "whole" ? selectors.filter((each) => !isUseful(topology, each)) : [];
  return idle.length === 0
    ? unread
    : [
        ...unread,
        {
          word,
          text: `${idle.length} of the devices named ${idle.length === 1 ? "is" : "are"} not in this machine or ${idle.length === 1 ? "has" : "have"} no ACS capability.`,
          severity: "note",
          fixes: [],
        },
      ];
}

const isUseful = (topology: Topology, selector: DeviceSelector): boolean =>
  topology.table.bdf.some(
    (_, row) => topology.table.acsState[row] !== ACS_ABSENT && matches(topology, row, selector),
  );

function acsSettings(options: readonly string[], version: string): Complaint[] {
  const option = options.findLast((each) => each.startsWith("config_acs="));
  if (option === undefined) {
    return [];
  }
  const isRead = readsConfigAcs(version);
  if (isRead === "no") {
    const text = `Linux ${version} has no such option; it came between 6.1 and 6.12.`;
    return [{ word: `pci=${option}`, text, severity: "slows", fixes: [] }];
  }
  if (isRead === "unknown") {
    const text = `whether Linux ${version} has this option is not known here; it came between 6.1 and 6.12.`;
    return [{ word: `pci=${option}`, text, severity: "note", fixes: [] }];
  }
  const { fault, settings } = parseAcsSettings(valueIn(option));
  return fault === undefined
    ? []
    : [
        {
          word: `pci=${option}`,
          text: `the kernel says "${fault}" after ${settings.length} entries and leaves every function alone that those do not match. An entry is flags@device, flags of 0, 1 and x.`,
          severity: "slows",
          fixes: [],
        },
      ];
}

/** Words that circulate and that no mainline kernel knows. */
function foreignWords(words: readonly KernelWord[]): Complaint[] {
  const found = words.find((word) => isNamed(word, "pcie_acs_override"));
  return found === undefined
    ? []
    : [
        {
          word: `${found.name}=${found.value ?? ""}`,
          text: "no mainline kernel has this parameter; only kernels with an extra patch do. It makes IOMMU groups smaller on paper and does nothing for P2P.",
          severity: "note",
          fixes: [],
        },
      ];
}

/** Values by option that kernels read; anything else is passed over (kernel-parameters.txt, 6.12). */
const IOMMU_VALUES: Readonly<Record<string, RegExp>> = {
  iommu:
    /^(?:off|force|noforce|biomerge|panic|nopanic|merge|nomerge|soft|pt|nopt|usedac|noagp|noaperture|allowdac|forcedac|nodac|memaper(?:=\d+)?|strict|nobypass|\d+)$/,
  intel_iommu: /^(?:on|off|igfx_off|forcedac|strict|sp_off|sm_on|sm_off|tboot_noforce)$/,
  amd_iommu:
    /^(?:off|fullflush|force_isolation|force_enable|pgtbl_v1|pgtbl_v2|irtcachedis|nohugepages|v2_pgsizes_only)$/,
};

function iommuValues(words: readonly KernelWord[]): Complaint[] {
  return words.flatMap((word) => {
    const known = IOMMU_VALUES[word.name];
    const unknown = (word.value ?? "")
      .split(",")
      .filter((value) => value !== "" && known !== undefined && !known.test(value));
    return unknown.length === 0
      ? []
      : [
          {
            word: `${word.name}=${word.value}`,
            text: `${unknown.join(" and ")} ${unknown.length === 1 ? "is" : "are"} no value of ${word.name} and changes nothing.`,
            severity: "note" as const,
            fixes: [],
          },
        ];
  });
}

const corrected = (word: string): Fix => ({
  kind: "correct-parameter",
  text: `Write ${word} instead.`,
  steps: bootSteps(word),
  acsChanges: [],
  moves: [],
  cost: { text: "What the parameter was meant to cost: the functions named lose isolation." },
  isPromised: false,
});
