/**
 * Mutant: a driver with one realistic mistake, and the rule that the kit must name.
 *
 * The module that exports one can be given to `peerbuf check` as it is: it has a driver and a check.
 */

import type { ExporterDriver, ImporterDriver } from "@peerbuf/core";
import type { DriverCheck, RuleId } from "@peerbuf/testkit";

export interface Mutant {
  /** The rules any of which names this mistake; the first is the one that says it best. */
  readonly rules: readonly [RuleId, ...RuleId[]];
  /** `contract`: found by the suite. `explorer`: it takes a certain order of events. */
  readonly by: "contract" | "explorer";
  /** Its rule is the first that is said: nothing that follows from the mistake comes before it. */
  readonly isExact?: boolean;
  /** What its author got wrong. */
  readonly mistake: string;
  readonly driver: ExporterDriver<undefined, object> | ImporterDriver<undefined, object>;
  readonly check?: DriverCheck<undefined, object>;
}
