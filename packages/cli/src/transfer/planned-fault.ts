/**
 * Planned fault: a fault of a scenario as a rule of its machine.
 *
 * All are tried when the machine is made, so that one that means nothing is told before anything runs;
 * those for one transfer are put to work when it begins.
 */
import type { FaultRule } from "@peerbuf/machine";
import type { FaultPlan } from "../scenario/fault-plan.ts";
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
    const rule = ruleOf(fault);
    const added = atField(file, at, () => site.addFault(rule));
    if (fault.during === undefined) {
      return [];
    }
    added.remove();
    return [{ site, rule, during: fault.during }];
  });
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

/** Without what the file leaves out: a rule tells "not stated" from "undefined". */
function ruleOf({ during: _, times, ...stated }: FaultPlan): FaultRule {
  const fields = Object.entries(stated).filter(([, value]) => value !== undefined);
  const rule = Object.fromEntries(fields) as unknown as FaultRule;
  return times === undefined
    ? rule
    : { ...rule, times: times === "always" ? Number.POSITIVE_INFINITY : times };
}
