/**
 * Clear ACS: switch off the redirect bits that send peer traffic up, and nothing else.
 *
 * Two ways: `setpci` now, and `pci=disable_acs_redir=` at boot. The parameter replaces an earlier one on the
 * command line, because the kernel takes the last, so what that one named is kept in the list. With the parameter
 * the other bits come back as the firmware left them; with `setpci` they stay. IOMMU groups are made at boot:
 * after `setpci` they still claim an isolation that is gone.
 */
import { acsBits } from "../acs.ts";
import { hex } from "../bdf.ts";
import { EXTENDED_ACS, findExtendedCapability } from "../capabilities.ts";
import type { PairScope } from "../diagnosis/pair-scope.ts";
import { ID_UNKNOWN } from "../function-record.ts";
import type { KernelRules } from "../rules/kernel-rules.ts";
import type { AcsChange } from "../rules/remedy.ts";
import type { Topology } from "../topology.ts";
import { parseAcsSettings, REDIRECT_BITS, readsConfigAcs } from "./acs-parameters.ts";
import { bootSteps } from "./boot-loader.ts";
import { COMMAND_LINE_BYTES_MAX, parseCommandLine, pciOption } from "./command-line.ts";
import { matches } from "./device-list.ts";
import { effectOf } from "./effect.ts";
import type { Fix, FixStep } from "./fix.ts";
import { mergedBy } from "./merged-groups.ts";

const ACS_CONTROL_OFFSET = 6;

/**
 * @param rows functions with a redirect bit set, at least one
 * @param scope pairs that the effect is counted over
 */
export function clearAcs(
  topology: Topology,
  rules: KernelRules,
  rows: readonly number[],
  scope: PairScope,
): Fix {
  const control = topology.table.acsControl;
  const cleared = new Map(rows.map((row) => [row, (control[row] as number) & ~REDIRECT_BITS]));
  const after = topology.withAcsControl(cleared);
  const mergedGroups = mergedBy(topology, after);
  return {
    kind: "clear-acs",
    text: `Clear ${bitsText(topology, rows)}.`,
    steps: [...parameterSteps(topology, rules, rows), setpciStep(topology, rows)],
    acsChanges: rows.map((row) => changeOf(topology, row)),
    moves: [],
    effect: effectOf({ topology, rules }, { topology: after, rules }, scope),
    cost: {
      text: "Functions below these ports can then read and write each other without the IOMMU seeing it, also where the kernel goes on to show them in IOMMU groups of their own.",
      ...(mergedGroups !== undefined && { mergedGroups }),
    },
    isPromised: true,
  };
}

/** `RR and CR on A, B; CR on C`. */
function bitsText(topology: Topology, rows: readonly number[]): string {
  const namesByBits = new Map<string, string[]>();
  for (const row of rows) {
    const bits = acsBits((topology.table.acsControl[row] as number) & REDIRECT_BITS).join(" and ");
    const names = namesByBits.get(bits) ?? [];
    namesByBits.set(bits, names);
    names.push(topology.bdfOf(row));
  }
  return Array.from(namesByBits, ([bits, names]) => `${bits} on ${names.join(", ")}`).join("; ");
}

function changeOf(topology: Topology, row: number): AcsChange {
  const controlBefore = topology.table.acsControl[row] as number;
  return {
    at: topology.bdfOf(row),
    controlBefore,
    controlAfter: controlBefore & ~REDIRECT_BITS,
  };
}

/** The parameter that clears redirect on these functions and keeps what the command line clears already. */
export function redirectParameter(topology: Topology, rows: readonly number[]): string {
  const words = parseCommandLine(topology.facts.commandLine ?? "");
  const named = (pciOption(words, "disable_acs_redir") ?? "").split(";");
  const devices = [...named, ...devicesFor(topology, rows)].filter((device) => device !== "");
  return `pci=disable_acs_redir=${[...new Set(devices)].join(";")}`;
}

/** Empty when the whole command line would be longer than the kernel takes. */
function parameterSteps(
  topology: Topology,
  rules: KernelRules,
  rows: readonly number[],
): FixStep[] {
  const { commandLine = "" } = topology.facts;
  const words = parseCommandLine(commandLine);
  const word = redirectParameter(topology, rows);
  if (commandLine.length + 1 + word.length > COMMAND_LINE_BYTES_MAX) {
    return [];
  }
  const isRead = readsConfigAcs(rules.version) !== "no";
  const overruling = parseAcsSettings(pciOption(words, "config_acs") ?? "").settings;
  const overruled = rows.filter(
    (row) => isRead && overruling.some(({ selector }) => matches(topology, row, selector)),
  );
  const steps = bootSteps(word);
  const note = `pci=config_acs= on the command line names ${overruled.map((row) => topology.bdfOf(row)).join(", ")} as well and overrules this: take it out there`;
  return overruled.length === 0
    ? steps
    : steps.map((step) => ({
        ...step,
        note: step.note === undefined ? note : `${step.note}; ${note}`,
      }));
}

/**
 * The functions as the parameter names them. One kind of port that is named whole needs no list, so it also
 * needs no `;` that a boot loader could cut it at, and it survives new bus numbers.
 */
function devicesFor(topology: Topology, rows: readonly number[]): string[] {
  const { vendor, device, acsControl } = topology.table;
  const [first] = rows;
  const isKind = (row: number): boolean =>
    first !== undefined && vendor[row] === vendor[first] && device[row] === device[first];
  const others = [...topology.table.bdf.keys()].filter(
    (row) => isKind(row) && ((acsControl[row] as number) & REDIRECT_BITS) !== 0,
  );
  const isWhole =
    rows.length > 1 &&
    rows.every(isKind) &&
    others.length === rows.length &&
    first !== undefined &&
    vendor[first] !== ID_UNKNOWN &&
    device[first] !== ID_UNKNOWN;
  return isWhole
    ? [`pci:${hex(vendor[first] as number, 4)}:${hex(device[first] as number, 4)}`]
    : rows.map((row) => topology.bdfOf(row));
}

function setpciStep(topology: Topology, rows: readonly number[]): FixStep {
  const lines = rows.map((row) => {
    const register = `ECAP_ACS+${ACS_CONTROL_OFFSET}.w`;
    // value:mask, so that the other bits stay as they are.
    return `setpci -s ${topology.bdfOf(row)} ${register}=0:${hex(REDIRECT_BITS, 2)}${offsetText(topology, row)}`;
  });
  return {
    by: "shell",
    where: "a root shell",
    lines,
    lasts: "until-reboot",
    note: "reload the drivers of both devices afterwards: the kernel keeps verdicts it has computed; IOMMU groups go on claiming the isolation that is gone",
  };
}

/** Where the register is, for those who want to look before they write. */
function offsetText(topology: Topology, row: number): string {
  const offset = findExtendedCapability(topology.configOf(row), EXTENDED_ACS);
  return offset > 0 ? `  # register ${hex(offset + ACS_CONTROL_OFFSET, 3)}` : "";
}
