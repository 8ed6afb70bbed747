/**
 * Planned fault: a fault of a scenario as a rule of its machine.
 *
 * All are tried when the machine is made, so that one that means nothing is told before anything runs;
 * those for one transfer are put to work when it begins.
 */
import { type FaultRule, seededFaults } from "@peerbuf/machine";
import type { FaultPlan, FaultRulePlan } from "../scenario/fault-plan.ts";
import type { FittedMachine } from "../scenario/fit-machine.ts";
import { atField, type ScenarioFile } from "../scenario/scenario-file.ts";
import type { Site } from "./site.ts";

export interface PlannedFault {
  readonly site: Site;
  readonly rule: FaultRule;
  /** The transfer during which it is at work. */
  readonly during: string;
}

/** Puts those to work that are for all transfers; returns the others. @throws InputError at the fault's field */
export function plannedFaults(
  file: ScenarioFile,
  { plan, path }: FittedMachine,
  site: Site,
): PlannedFault[] {
  return (plan.faults ?? []).flatMap((fault, index) => {
    const at = [...path, "faults", index];
    requireTransfer(file, fault, [...at, "during"]);
    return atField(file, at, () =>
      rulesOf(fault).flatMap((rule) => atWork(site, { ...rule, name: `faults[${index}]` }, fault)),
    );
  });
}

/** At work now, or to be put to work when its transfer begins. */
function atWork(site: Site, rule: FaultRule, { during }: FaultPlan): PlannedFault[] {
  const added = site.addFault(rule);
  if (during === undefined) {
    return [];
  }
  added.remove();
  return [{ site, rule, during }];
}

function requireTransfer(
  file: ScenarioFile,
  { during }: FaultPlan,
  path: readonly PropertyKey[],
): void {
  if (during !== undefined && !file.scenario.transfers.some(({ name }) => name === during)) {
    throw file.problem(path, `no transfer is called "${during}"`, "Name one of the transfers");
  }
}

function rulesOf(fault: FaultPlan): FaultRule[] {
  if ("fault" in fault) {
    return [ruleOf(fault)];
  }
  const { seed, during: _, ...options } = fault;
  return seededFaults(seed, stated(options));
}

function ruleOf({ during: _, times, ...fields }: FaultRulePlan): FaultRule {
  const rule: FaultRule = stated(fields);
  return times === undefined
    ? rule
    : { ...rule, times: times === "always" ? Number.POSITIVE_INFINITY : times };
}

/** Without what the file leaves out: the machine tells "not stated" from "undefined". */
function stated<Fields extends object>(fields: Fields): Stated<Fields> {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Stated<Fields>;
}

type Stated<Fields> = { [Name in keyof Fields]: Exclude<Fields[Name], undefined> };
