/**
 * Headline: the answer in one line, so that ten seconds of reading are enough.
 *
 * "Fine" is said only when every pair is known to work and nothing is known to be against it; what the
 * capture does not show is never fine.
 */
import type { Finding, FindingCode } from "@peerbuf/topology";
import { emptyAnswer } from "../empty-answer.ts";
import type { Paint } from "../paint.ts";
import { type Diagnosis, needsAction } from "./diagnosis.ts";

export function headline(paint: Paint, diagnosis: Diagnosis): string {
  const { pairCount, counts, findings } = diagnosis;
  const working = counts["bus-addr"] + counts["host-bridge"];
  const acting = findings.filter(needsAction).length;
  const more = acting === 0 ? "" : ` ${things(acting)} to look at.`;
  if (pairCount === 0) {
    const { text, isOpen } = emptyAnswer(diagnosis.topology, diagnosis.rows.length);
    return isOpen ? paint.fair(paint.strong(text)) : paint.strong(text);
  }
  if (hasCode(findings, "P2PDMA_NOT_COMPILED")) {
    const text = `None of ${pairs(pairCount)} can go peer to peer: this kernel was built without P2PDMA.`;
    return paint.bad(paint.strong(text)) + more;
  }
  if (counts.unknown === pairCount) {
    const text = `Not known: the capture does not say whether ${pairCount === 1 ? "the one pair goes" : `any of ${pairCount} pairs goes`} peer to peer.`;
    return paint.fair(paint.strong(text)) + more;
  }
  if (working < pairCount) {
    const parts = [
      ...(counts.unsupported > 0 ? [`${counts.unsupported} refused by the kernel`] : []),
      ...(counts.unknown > 0 ? [`${counts.unknown} not known`] : []),
    ];
    const text = `${working === 0 ? "None" : working} of ${pairs(pairCount)} can go peer to peer: ${parts.join(", ")}.`;
    return paint[working === 0 ? "bad" : "fair"](paint.strong(text)) + more;
  }
  return allWorking(paint, diagnosis) + more;
}

function allWorking(paint: Paint, { pairCount, counts, findings }: Diagnosis): string {
  const all = `${allPairs(pairCount)} can go peer to peer`;
  const ways = waysText(counts["bus-addr"], counts["host-bridge"]);
  const isOpen = findings.some(({ severity }) => severity === "open");
  if (isOpen || hasCode(findings, "P2PDMA_NOT_KNOWN") || hasCode(findings, "IOMMU_NOT_KNOWN")) {
    return paint.fair(paint.strong(`As far as known ${all} (${ways}).`));
  }
  return findings.some(needsAction)
    ? paint.fair(paint.strong(`Works: ${all} (${ways}).`))
    : paint.good(paint.strong(`Fine: ${all} (${ways}).`));
}

const hasCode = (findings: readonly Finding[], wanted: FindingCode): boolean =>
  findings.some(({ code }) => code === wanted);

function waysText(below: number, through: number): string {
  if (through === 0) {
    return "below the root complex";
  }
  return below === 0
    ? "through the root complex"
    : `${below} below the root complex, ${through} through it`;
}

const pairs = (count: number): string => (count === 1 ? "1 pair" : `${count} pairs`);
function allPairs(count: number): string {
  if (count <= 2) {
    return count === 1 ? "the one pair" : "both pairs";
  }
  return `all ${count} pairs`;
}

const things = (count: number): string => (count === 1 ? "1 thing" : `${count} things`);
