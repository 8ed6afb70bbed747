/**
 * Pair facts: what `explain` says of a pair beside the verdict, one row a fact.
 *
 * A fact that is as one would expect is left out, so that what is unusual is seen.
 */
import type { PathType } from "@peerbuf/core";
import type { Direction, PairDiagnosis } from "@peerbuf/topology";
import type { Session } from "../session.ts";

const CLASS_WORDS: Readonly<Record<string, string>> = {
  PIX: "at most one PCIe switch between them",
  PXB: "several PCIe switches, not the root complex",
  PHB: "through one host bridge",
  NODE: "between host bridges of one NUMA node",
  SYS: "between NUMA nodes",
};

const ANSWER_WORDS = { yes: "carried", no: "lost on this hardware", unknown: "not known" } as const;

/** Rows of label and text, for `columns`. */
export function pairFacts({ paint }: Session, diagnosis: PairDiagnosis): string[][] {
  const { pathClass, advised, bandwidth, reads, writes, translation, verdict } = diagnosis;
  const label = (text: string): string => paint.strong(text);
  return [
    ...(pathClass === undefined
      ? []
      : [
          [
            label("class"),
            `${pathClass} ${paint.faint(`(${CLASS_WORDS[pathClass] ?? "itself"})`)}`,
          ],
        ]),
    ...(isPlain(diagnosis)
      ? []
      : [
          [label("reads"), directionText(reads)],
          [label("writes"), directionText(writes)],
        ]),
    ...(translation.isMet === "no"
      ? []
      : [[label("iommu"), translation.isMet === "yes" ? "translates on this way" : "not known"]]),
    ...(bandwidth === undefined || verdict.type === "unsupported"
      ? []
      : [[label("bound"), `${rate(bandwidth.bytesPerSecond)}: ${bandwidth.text}`]]),
    ...(advised.answer === "no" && isMapped(verdict.type)
      ? [[label("advised"), paint.fair(`no: ${advised.reasons.join("; ")}`)]]
      : []),
  ];
}

/** Do the kernel's rules let it through? Why they do not is told elsewhere. */
const isMapped = (type: PathType): boolean => type === "bus-addr" || type === "host-bridge";

/** Both directions are carried, or the traffic never comes where one could be lost. */
const isPlain = ({ reads, writes, verdict }: PairDiagnosis): boolean =>
  verdict.type === "bus-addr" ||
  (verdict.type === "unsupported" && reads.hardware === "yes" && writes.hardware === "yes");

const directionText = ({ hardware, text }: Direction): string =>
  `${ANSWER_WORDS[hardware]}: ${text}`;

/** Decimal gigabytes, as links are sold. */
const rate = (bytesPerSecond: number): string =>
  `${Number((bytesPerSecond / 1e9).toPrecision(3))} GB/s`;
