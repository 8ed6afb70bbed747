/**
 * Diagnosis: everything `doctor` says about one machine, before anybody prints it.
 */
import {
  diagnoseMachine,
  type Finding,
  type KernelRules,
  type MachineDiagnosis,
  type Topology,
} from "@peerbuf/topology";
import { rowsBetween } from "../between.ts";

export interface Diagnosis extends MachineDiagnosis {
  readonly topology: Topology;
  readonly rules: KernelRules;
  /** The functions looked at. */
  readonly rows: Int32Array;
}

/** Severities that a person should act on. */
export const needsAction = ({ severity }: Finding): boolean => severity !== "note";

export function diagnose(
  topology: Topology,
  rules: KernelRules,
  between: string | undefined,
): Diagnosis {
  const rows = rowsBetween(topology, between);
  return { topology, rules, rows, ...diagnoseMachine(topology, rules, { between: rows }) };
}
