/** Doctor report: a diagnosis for people: the answer, the machine, the findings that matter, and the rest in a line each. */
import type { Finding } from "@peerbuf/topology";
import { knownRules } from "../machine-source.ts";
import { oneLine } from "../report-error.ts";
import type { Session } from "../session.ts";
import { wrap } from "../wrap.ts";
import { type Diagnosis, needsAction } from "./diagnosis.ts";
import { findingLine, findingLines } from "./finding-lines.ts";
import { headline } from "./headline.ts";
import { namesOf } from "./pair-words.ts";

/** Findings told in full; the others get a line each. */
const FULL_MAX = 4;
const SHORT_MAX = 12;

export function doctorLines(session: Session, diagnosis: Diagnosis, isWhole: boolean): string[] {
  const { paint } = session;
  const names = namesOf(diagnosis.topology);
  const { findings } = diagnosis;
  const full = isWhole ? findings : findings.filter(needsAction).slice(0, FULL_MAX);
  const rest = findings.filter((finding) => !full.includes(finding));
  const numberOf = (finding: Finding): number => findings.indexOf(finding) + 1;
  const columns = session.io.stdout.columns;
  const head = [
    ...wrap(headline(paint, diagnosis), columns),
    ...wrap(machineLine(diagnosis), columns).map((line) => paint.faint(line)),
  ];
  if (diagnosis.pairCount === 0 && !isWhole) {
    return [...head, ...nearnessLines(diagnosis)];
  }
  return [
    ...head,
    ...full.flatMap((finding) => [
      "",
      ...findingLines(session, names, finding, numberOf(finding), isWhole),
    ]),
    ...(rest.length > 0 ? [""] : []),
    ...rest
      .slice(0, SHORT_MAX)
      .flatMap((finding) => findingLine(session, finding, numberOf(finding))),
    ...(rest.length > SHORT_MAX ? [`... and ${rest.length - SHORT_MAX} more (--all)`] : []),
    ...contradictionLines(diagnosis),
    ...(findings.length > 0 && !isWhole
      ? ["", paint.faint("All of it: --all. One pair: peerbuf explain A B. The tree: peerbuf topo")]
      : []),
  ];
}

function machineLine({ topology, rules, rows }: Diagnosis): string {
  const { source, format, cpu, kernelRelease, product, isVirtualMachine } = topology.facts;
  const isUnknown = kernelRelease !== undefined && knownRules(kernelRelease) === undefined;
  const facts = [
    `${source} (${format})`,
    product,
    cpu?.modelName ?? cpu?.vendor,
    isVirtualMachine === true ? "a virtual machine" : undefined,
    kernelRelease === undefined ? undefined : `Linux ${kernelRelease}`,
    `${rows.length} ${rows.length === 1 ? "device" : "devices"}, by the rules of ${rules.name}${isUnknown ? " (those of its own kernel are not known)" : ""}`,
  ];
  return oneLine(facts.filter((fact) => fact !== undefined).join("; "));
}

/** Pairs by class, where a matrix is all there is. */
function nearnessLines({ topology }: Diagnosis): string[] {
  const table = topology.facts.pathClasses;
  if (table === undefined || topology.count > 0) {
    return [];
  }
  const byClass = new Map<string, string[]>();
  table.names.forEach((name, row) => {
    table.names.slice(row + 1).forEach((other, index) => {
      const found = table.classes[row]?.[row + 1 + index] ?? "not readable";
      byClass.set(found, [...(byClass.get(found) ?? []), `${name} and ${other}`]);
    });
  });
  return [
    "",
    ...[...byClass].map(([name, pairs]) => {
      const shown = pairs.slice(0, SHORT_MAX).join(", ");
      const rest = pairs.length - SHORT_MAX;
      return oneLine(`  ${name}: ${shown}${rest > 0 ? ` and ${rest} more` : ""}`);
    }),
  ];
}

/** Where captures given together differ. */
function contradictionLines({ topology }: Diagnosis): string[] {
  const { contradictions } = topology.facts;
  if (contradictions.length === 0) {
    return [];
  }
  return [
    "",
    "The captures differ (the first one counts):",
    ...contradictions.slice(0, SHORT_MAX).map(({ fact, at, values }) => {
      const said = values.map(({ source, value }) => `${value} in ${source}`).join(", ");
      return oneLine(`  ${at === undefined ? "" : `${at} `}${fact}: ${said}`);
    }),
  ];
}
