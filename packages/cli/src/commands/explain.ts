/**
 * Explain: one pair, hop by hop: the verdict, each reason where it stands, and what could change it.
 */
import {
  type DeviceNames,
  diagnosePair,
  type Explanation,
  explainPair,
  type Hop,
  type PairDiagnosis,
  type Topology,
} from "@peerbuf/topology";
import { Command } from "commander";
import { columns } from "../columns.ts";
import { fixLines } from "../doctor/fix-lines.ts";
import { pairFacts } from "../doctor/pair-facts.ts";
import { namesOf } from "../doctor/pair-words.ts";
import { EXIT } from "../exit-code.ts";
import { describeFunction, modelName, requireFunction, shortNames } from "../function-label.ts";
import { addMachineOptions, type MachineChoice, openMachine } from "../machine-source.ts";
import type { Session } from "../session.ts";
import { paintType } from "../verdict-words.ts";
import { wrap } from "../wrap.ts";

interface ExplainOptions extends MachineChoice {
  readonly all?: boolean;
  readonly json?: boolean;
}

/** The way, and what is known of it. */
interface Answer {
  readonly models: DeviceNames;
  readonly explanation: Explanation;
  readonly diagnosis: PairDiagnosis;
}

export function explainCommand(session: Session): Command {
  return addMachineOptions(new Command("explain"))
    .description("why P2P DMA works or not between two devices, and what would have to change")
    .argument("<provider>", "owns the memory: a PCI address such as 13:00.0, or a name from matrix")
    .argument("<client>", "reads and writes it")
    .option("-a, --all", "every way to make each fix")
    .option("--json", "the same as JSON")
    .addHelpText(
      "after",
      "\nExample:\n  $ peerbuf explain 13:00.0 17:00.0\n\nExit code: 0 when P2P is possible, 1 when it is not or the capture does not say.",
    )
    .action(async (provider: string, client: string, options: ExplainOptions) =>
      explain(session, provider, client, options),
    );
}

async function explain(
  session: Session,
  providerName: string,
  clientName: string,
  options: ExplainOptions,
): Promise<void> {
  const { topology, rules } = await openMachine(options, session.io.cwd);
  const provider = requireFunction(topology, providerName);
  const client = requireFunction(topology, clientName);
  const answer = {
    explanation: explainPair(topology, rules, provider, client),
    diagnosis: diagnosePair(topology, rules, provider, client),
    models: await session.names(),
  };
  session.exitCode = answer.diagnosis.possible === "yes" ? EXIT.OK : EXIT.FINDING;
  if (options.json === true) {
    await session.printJson(asJson(topology, rules.version, answer));
  } else {
    await session.printLines(asLines(session, topology, rules.name, answer, options.all === true));
  }
}

function asJson(topology: Topology, kernel: string, { explanation, diagnosis }: Answer): unknown {
  const { provider, client, verdict, hops, rootBuses, remedies } = explanation;
  const labelled = (bdf: string) => ({
    bdf,
    label: describeFunction(topology, topology.indexOf(bdf)),
  });
  return {
    kernel,
    provider: labelled(provider),
    client: labelled(client),
    type: verdict.type,
    distance: verdict.distance,
    reasons: verdict.reasons,
    hangsOn: verdict.hangsOn,
    hops: hops.map(({ row: _, bdf, ...hop }) => ({ ...labelled(bdf), ...hop })),
    rootBuses,
    remedies: remedies.map(({ kind, text, changes, result }) => ({
      kind,
      text,
      changes,
      ...(result !== undefined && { result: result.type }),
    })),
    ...factsAsJson(diagnosis),
  };
}

/** Named one by one: what is printed is promised. */
function factsAsJson(diagnosis: PairDiagnosis): object {
  const { possible, advised, reads, writes, redirecting, pathClass, crossesSockets } = diagnosis;
  const { translation, drivers, reach, links, bandwidth, fixes } = diagnosis;
  return {
    possible,
    advised,
    reads,
    writes,
    redirecting,
    pathClass,
    crossesSockets,
    translation,
    drivers,
    reach,
    links,
    bandwidth,
    fixes,
  };
}

function asLines(
  session: Session,
  topology: Topology,
  rulesName: string,
  answer: Answer,
  isWhole: boolean,
): string[] {
  const { explanation, diagnosis, models } = answer;
  const { paint } = session;
  const { provider, client, verdict, remedies } = explanation;
  const names = namesOf(topology);
  const hopCount = verdict.distance < 0 ? "" : `, distance ${verdict.distance}`;
  return [
    ...columns([
      [paint.strong("provider"), nameLine(session, models, topology, provider)],
      [paint.strong("client"), nameLine(session, models, topology, client)],
      [
        paint.strong("verdict"),
        `${paintType(paint, verdict.type)}${hopCount} ${paint.faint(`(${rulesName})`)}`,
      ],
      ...pairFacts(session, diagnosis),
    ]),
    "",
    paint.strong("path"),
    ...columns(pathRows(session, topology, answer), { indent: 2 }),
    "",
    paint.strong("why"),
    ...verdict.reasons.flatMap(({ at, text, code }) =>
      item(session, at ?? "machine", `${text} ${paint.faint(`[${code}]`)}`),
    ),
    ...driverLines(session, diagnosis),
    ...verdict.hangsOn.flatMap(({ at, text }) => item(session, at ?? "machine", `Open: ${text}.`)),
    ...(diagnosis.fixes.length + remedies.length === 0
      ? []
      : ["", paint.strong("what would have to change")]),
    ...(diagnosis.fixes.length > 0
      ? diagnosis.fixes.flatMap((fix) => fixLines(session, names, fix, isWhole))
      : remedies.flatMap(({ kind, text }) => item(session, kind, text))),
  ];
}

/** What the two drivers make of it. */
const driverLines = (session: Session, { drivers }: PairDiagnosis): string[] =>
  (["provider", "client"] as const).flatMap((side) => {
    const rule = drivers[side];
    return rule === undefined ? [] : item(session, rule.driver, `As ${side} it ${rule.text}.`);
  });

const LABEL_COLUMNS = 14;

/** A label, and text beside it that never runs below the label. */
function item({ paint, io }: Session, label: string, text: string): string[] {
  const width = Math.max(40, Math.min(io.stdout.columns, 120) - LABEL_COLUMNS - 2);
  return wrap(text, width).map((line, index) => {
    const left = index === 0 ? label : "";
    return `  ${paint.name(left.padEnd(LABEL_COLUMNS))}${line}`;
  });
}

function nameLine(
  { paint }: Session,
  models: DeviceNames,
  topology: Topology,
  bdf: string,
): string {
  const row = topology.indexOf(bdf);
  const short = shortNames(topology).get(row) ?? "";
  return `${bdf}  ${paint.name(short)}  ${modelName(models, topology, row)}`;
}

/** The hops, with the root complex between the two sides where the way goes through it. */
function pathRows(
  session: Session,
  topology: Topology,
  { explanation: { hops, rootBuses }, diagnosis, models }: Answer,
): string[][] {
  const rows = hops.map((hop) => [
    hop.bdf,
    hop.role,
    modelName(models, topology, hop.row),
    acsText(session, hop, diagnosis.redirecting.includes(hop.bdf)),
  ]);
  const turn = hops.findIndex(({ role }) => role === "common");
  if (rootBuses.length > 0) {
    const at = turn >= 0 ? turn + 1 : topOf(topology, hops) + 1;
    const [first, last] = [rootBuses[0], rootBuses.at(-1)];
    const buses = first === last ? `${first}` : `${first} to ${last}`;
    rows.splice(at, 0, ["root complex", "", `root bus ${buses}`, ""]);
  }
  return rows;
}

/** Place of the provider's last hop: the first one on a root bus. */
const topOf = (topology: Topology, hops: readonly Hop[]): number =>
  hops.findIndex(({ row }) => topology.upstreamOf(row) < 0);

/** A redirect counts below a common bridge only; elsewhere it is told and not blamed. */
function acsText({ paint }: Session, { acs, redirects }: Hop, isToBlame: boolean): string {
  if (acs === "absent") {
    return paint.faint("no ACS");
  }
  if (acs === "unknown") {
    return paint.fair("ACS not captured");
  }
  const set = `ACS ${acs.control.length === 0 ? "none set" : acs.control.join(" ")}`;
  if (isToBlame) {
    return paint.bad(`${set}: redirects`);
  }
  return redirects === "yes" ? `${set} ${paint.faint("(no matter here)")}` : set;
}
