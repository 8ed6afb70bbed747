/**
 * Answers: the shapes that every driver's answer has to have.
 */
import type { MappingOffer, Reason } from "@peerbuf/core";
import type { RuleId } from "../rules/rule.ts";
import type { ViolationLog } from "./violation.ts";

const TYPES_MAX = 16;

export const isPromise = (answer: unknown): boolean =>
  typeof (answer as { then?: unknown } | null | undefined)?.then === "function";

export function checkOffers(
  log: ViolationLog,
  rule: RuleId,
  subject: string,
  offers: readonly MappingOffer[],
): void {
  if (!Array.isArray(offers) || offers.length === 0 || offers.length > TYPES_MAX) {
    log.report(rule, subject, `lists ${offers?.length ?? "no"} mapping types`);
    return;
  }
  for (let index = 0; index < offers.length; index++) {
    const type = (offers[index] as MappingOffer).type;
    if (typeof type?.name !== "string" || !/^(dma|untranslated)$/.test(type.addresses)) {
      log.report(rule, subject, `entry ${index} is no mapping type`);
    } else if (offers.findIndex((other) => other.type === type) !== index) {
      log.report(rule, subject, `lists ${type.name} twice`);
    }
  }
}

export function checkReason(
  log: ViolationLog,
  rule: RuleId,
  subject: string,
  reason: Reason | undefined,
  when: string,
): void {
  if (!/^[A-Z][A-Z0-9_]+$/.test(reason?.code ?? "")) {
    log.report(rule, subject, `gives no code ${when}: "${reason?.code ?? ""}"`);
  } else if ((reason?.text ?? "").trim() === "") {
    log.report(rule, subject, `gives ${reason?.code} ${when} without a sentence`);
  }
}
