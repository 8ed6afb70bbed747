/**
 * Active rule: a rule at work, with its counts of what fitted and what it did.
 */
import type { ChoiceSource } from "./choice-source.ts";
import type { CheckedRule, OccasionKind } from "./fault-rule.ts";

/** Something that a fault could hit. */
export interface Occasion {
  readonly kind: OccasionKind;
  /** BDF, or the id of the driver's device. */
  readonly device: string;
  /** Of a request. */
  readonly address?: number;
  readonly lengthBytes?: number;
  /** Where it would arrive: a BDF or `ram`. Asked only by rules that name a target. */
  target?(): string | undefined;
}

export class ActiveRule {
  readonly rule: CheckedRule;
  readonly name: string;
  #seen = 0;
  #done = 0;

  /** `number`: from 0, in the order in which rules were added. */
  constructor(rule: CheckedRule, number: number) {
    this.rule = rule;
    this.name = rule.name ?? `rule ${number}`;
  }

  /** Does it happen now? Counts what fits; asks `choices` where the rule leaves it open. */
  strikes(occasion: Occasion, choices: ChoiceSource): boolean {
    const { nth, times, probability, fault } = this.rule;
    if (this.#done >= times || !this.#fits(occasion)) {
      return false;
    }
    this.#seen++;
    if (this.#seen < nth) {
      return false;
    }
    const { device } = occasion;
    const happens =
      probability === undefined ||
      choices.choose({ about: "happens", fault, device, count: 2, probability }) === 1;
    if (happens) {
      this.#done++;
    }
    return happens;
  }

  #fits({ kind, device, address, lengthBytes = 0, target }: Occasion): boolean {
    const { rule } = this;
    return (
      rule.hits.includes(kind) &&
      (rule.device === undefined || rule.device === device) &&
      (rule.address === undefined ||
        (address !== undefined &&
          address < rule.address.until &&
          address + lengthBytes > rule.address.from)) &&
      (rule.target === undefined || rule.target === target?.())
    );
  }
}
