/**
 * Outcome report: one transfer for people: who decided what and why, the way, and the proof.
 */
import { NegotiationError, type PeerbufError } from "@peerbuf/core";
import { columns } from "../columns.ts";
import type { Paint } from "../paint.ts";
import { joinPlace } from "../scenario/place-name.ts";
import { formatSize } from "../scenario/size.ts";
import type { Session } from "../session.ts";
import { wrap } from "../wrap.ts";
import { type HostMemoryUse, ROOT_COMPLEX } from "./carried-bytes.ts";
import type { Loss } from "./loss-log.ts";
import type { LoggedDecision } from "./negotiation-log.ts";
import { gigabytesPerSecond, type Outcome } from "./outcome.ts";
import { PlaceLabels } from "./place-labels.ts";
import type { Site } from "./site.ts";

const INDENT = 4;
const MARGIN: string = " ".repeat(INDENT);
/** Characters of a checksum that are shown; JSON has all. */
const HASH_CHARACTERS = 12;
const WIDTH_MAX = 120;
/** The widest label of a fact, and the gap behind it. */
const LABEL_COLUMNS = 10;
/** Lines of each kind of trouble; JSON has more. */
const TROUBLES_SHOWN_MAX = 8;

export class OutcomeReport {
  readonly #paint: Paint;
  readonly #labels: PlaceLabels;
  readonly #width: number;

  constructor({ paint, io }: Session, sites: readonly Site[]) {
    this.#paint = paint;
    this.#labels = new PlaceLabels(sites);
    this.#width = Math.min(io.stdout.columns, WIDTH_MAX);
  }

  /** The block of one transfer, with an empty line at its end. */
  linesOf(outcome: Outcome, number: number): string[] {
    const { plan } = outcome;
    const what = `${plan.operation}, ${formatSize(plan.buffer.size)}`;
    return [
      this.#title(outcome, number),
      `${MARGIN}${this.#pairOf(outcome)}  ${this.#paint.faint(what)}`,
      ...this.#decisions(outcome),
      "",
      ...columns(this.#facts(outcome), { indent: INDENT }),
      "",
    ];
  }

  summary(outcomes: readonly Outcome[]): string[] {
    const arrived = outcomes.filter((outcome) => outcome.arrived).length;
    const peer = outcomes.filter((outcome) => outcome.arrived && isPeerThroughout(outcome)).length;
    const count = `${arrived} of ${outcomes.length} transfers arrived`;
    const paint = arrived === outcomes.length ? this.#paint.good : this.#paint.bad;
    return [`${paint(count)}, ${peer} of them peer-to-peer.`];
  }

  #title(outcome: Outcome, number: number): string {
    const word = stateOf(outcome);
    const left = `${String(number).padStart(2)}  ${outcome.plan.name}`;
    const gap = Math.max(2, this.#width - left.length - word.length);
    const paint = outcome.arrived ? this.#paint.good : this.#paint.bad;
    return `${this.#paint.strong(left)}${" ".repeat(gap)}${paint(word)}`;
  }

  #pairOf({ provider, client, remote }: Outcome): string {
    const pair = this.#chainOf([provider, client]);
    if (remote === undefined) {
      return pair;
    }
    const drive = remote.drive === undefined ? [] : [remote.drive.client];
    const far = this.#chainOf([remote.client, remote.provider, ...drive]);
    return `${pair} ${this.#paint.faint("~wire~")} ${far}`;
  }

  #chainOf(places: readonly string[]): string {
    return places
      .map((place) => this.#labels.of(place))
      .map(({ name, address }) => `${this.#paint.name(name)} ${address}`.trimEnd())
      .join(" → ");
  }

  /** Negotiation by negotiation; what went the same way again is not told again. */
  #decisions({ decisions }: Outcome): string[] {
    const talks = groupByTalk(decisions);
    const told = new Map<string, string>();
    return [...talks].flatMap(([talk, entries], index) => {
      const title = index === 0 ? [] : [this.#talkTitle(talk)];
      const course = entries.map(courseOf).join(" ");
      const before = told.get(course);
      told.set(course, before ?? talk);
      return before === undefined
        ? ["", ...title, ...entries.flatMap((entry) => this.#decisionLines(entry))]
        : ["", ...title, `${MARGIN}the same answers again`];
    });
  }

  #talkTitle(talk: string): string {
    return `${MARGIN}${this.#paint.faint(talk.replaceAll("@0000:", "@"))}`;
  }

  #decisionLines({ decision }: LoggedDecision): string[] {
    const { stage, party, verdict, reason, left } = decision;
    const who = `${stage.padEnd(7)} ${party.padEnd(10)} `;
    const kept = party === "framework" && left.length > 0 ? `: ${left.join(", ")}` : "";
    const text = `${reason.text}${kept} ${this.#paint.faint(`[${reason.code}]`)}`;
    const indent = INDENT + who.length + VERDICT_COLUMNS;
    const [first = "", ...rest] = wrap(text, Math.max(30, this.#width - indent));
    return [
      `${MARGIN}${who}${this.#verdict(verdict)}${first}`,
      ...rest.map((line) => `${" ".repeat(indent)}${line}`),
    ];
  }

  #verdict(verdict: string): string {
    return verdictPaint(this.#paint, verdict)(verdict.padEnd(VERDICT_COLUMNS));
  }

  #facts(outcome: Outcome): string[][] {
    const { target, route, remote, sha256, error, lostBytes, arrived } = outcome;
    const { faint, bad, good } = this.#paint;
    const isSent = sha256.source !== null && sha256.destination !== null;
    const proof = [
      `${shortHash(sha256.source)} ${faint("source")}`,
      `${shortHash(sha256.destination)} ${faint("destination")}`,
      arrived ? good("equal") : bad(isSent ? "different" : "not sent"),
    ];
    const rows = [
      ["target", wayOf(target, route)],
      ...(remote === undefined ? [] : [["far end", wayOf(remote.target, remote.route)]]),
      ...(remote?.drive === undefined
        ? []
        : [["drive", wayOf(remote.drive.target, remote.drive.route)]]),
      ["passed", this.#passed(outcome)],
      ...(outcome.hostMemory.length === 0
        ? []
        : [["host", outcome.hostMemory.map(hostUseOf).join(", ")]]),
      ...(lostBytes > 0 ? [["lost", bad(`${formatSize(lostBytes)} reached nothing`)]] : []),
      ...outcome.losses.flatMap((loss) => this.#wrapped(this.#lossOf(loss))),
      ...timeRows(outcome),
      ...this.#troubleRows(outcome),
      ["sha256", proof.join("  ")],
      ...(error === undefined ? [] : this.#errorRows(error)),
    ];
    return rows.map(([label = "", text = ""]) => [faint(label), text]);
  }

  /** What was done to the machine, what broke in it, and what was left lying. */
  #troubleRows({ busErrors, injected, failures, leftBehind }: Outcome): string[][] {
    return [
      ...titled(
        "logged",
        busErrors.map(({ at, uncorrectable, deviceStatus }) => {
          const bits = [...uncorrectable, ...deviceStatus].join(", ");
          return `${this.#labels.of(at).name}: ${bits}`;
        }),
      ),
      ...titled(
        "injected",
        injected.map(
          ({ fault, place, text }) => `${fault} at ${this.#labels.of(place).name}: ${text}`,
        ),
      ),
      ...titled(
        "threw",
        failures.map(({ message }) => this.#paint.bad(message)),
      ),
      ...titled("left", leftBehind),
    ];
  }

  #lossOf({ requester, kind, bytes, reason, at, firstAddress, mapping }: Loss): string {
    const verb = kind === "read" ? "reads" : "writes";
    const who = this.#labels.of(requester).name;
    const from = `${formatSize(bytes)} from 0x${firstAddress.toString(16)}`;
    const whose = mapping === undefined ? "in no mapping" : `mapped for ${mapping}`;
    return `${who} ${verb} ${from}, ${whose}: ${reason} at ${at}`;
  }

  /** A negotiation's reasons stand above already; others have something to say. */
  #errorRows(error: PeerbufError): string[][] {
    const code = this.#paint.bad(`${error.code}, ${error.errno}`);
    const lines = error instanceof NegotiationError ? [] : this.#wrapped(error.message);
    return [["error", code], ...lines];
  }

  #wrapped(text: string): string[][] {
    return wrap(text, this.#width - INDENT - LABEL_COLUMNS).map((line) => ["", line]);
  }

  /** At the port above each end, and in each root complex. */
  #passed({ provider, client, remote, passed }: Outcome): string {
    const ends = [provider, client, ...(remote ? [remote.client, remote.provider] : [])];
    const bytesAt = (at: string): string =>
      formatSize(passed.find((each) => each.at === at)?.bytes ?? 0);
    const ports = [...new Set(ends)].flatMap((end) => {
      const { name, port } = this.#labels.of(end);
      return port === undefined ? [] : [`${name} ${bytesAt(port)}`];
    });
    const roots = this.#labels.machines.map((machine) => {
      const at = joinPlace(machine, ROOT_COMPLEX);
      return `${at} ${bytesAt(at)}`;
    });
    return [...ports, ...roots].join(", ");
  }
}

/** No end of it, nor the drive behind the far one, met system memory. */
function isPeerThroughout({ target, remote }: Outcome): boolean {
  const ways = [target, remote?.target ?? "device", remote?.drive?.target ?? "device"];
  return ways.every((way) => way === "device");
}

/** `b: 17.9 KiB to or from memory`, with what the processors copied if they did. */
function hostUseOf({ machine, deviceBytes, processorBytes }: HostMemoryUse): string {
  const where = machine === undefined ? "" : `${machine}: `;
  const copied = processorBytes > 0 ? `, ${formatSize(processorBytes)} copied by processors` : "";
  return `${where}${formatSize(deviceBytes)} to or from memory${copied}`;
}

/** `0.21 ms, 5.0 GB/s`, in virtual time, and whose word the links are. */
function timeRows(outcome: Outcome): string[][] {
  const rate = gigabytesPerSecond(outcome);
  if (outcome.elapsedNs === undefined || rate === undefined) {
    return [];
  }
  const links = outcome.assumesLinks ? " over links that the scenario assumes" : "";
  return [["time", `${formatTime(outcome.elapsedNs)}, ${rate.toFixed(2)} GB/s${links}`]];
}

const formatTime = (ns: number): string =>
  ns < 1e6 ? `${(ns / 1e3).toFixed(1)} µs` : `${(ns / 1e6).toFixed(2)} ms`;

/** At most some lines; the first has the title. */
function titled(title: string, lines: readonly string[]): string[][] {
  const shown = lines.slice(0, TROUBLES_SHOWN_MAX);
  const more = lines.length - shown.length;
  const all = more > 0 ? [...shown, `and ${more} more`] : shown;
  return all.map((line, index) => [index === 0 ? title : "", line]);
}

const shortHash = (hash: string | null): string => hash?.slice(0, HASH_CHARACTERS) ?? "nothing";

const WAYS: Readonly<Record<string, string>> = {
  "bus-addr": "peer-to-peer, turns round below the root complex",
  "host-bridge": "peer-to-peer, through the host bridge",
  untranslated: "to device memory, by a way of the importer's own",
  system: "by way of system memory",
};

const wayOf = (target: string | null, route: string | null): string =>
  target === null || route === null
    ? "none: no mapping came to be"
    : `${target}, route ${route}: ${WAYS[route] ?? route}`;

const courseOf = ({ decision }: LoggedDecision): string =>
  `${decision.stage} ${decision.party} ${decision.verdict} ${decision.reason.code}`;

function groupByTalk(decisions: readonly LoggedDecision[]): Map<string, LoggedDecision[]> {
  const talks = new Map<string, LoggedDecision[]>();
  for (const entry of decisions) {
    const talk = `${entry.importer} on "${entry.buffer}"`;
    talks.set(talk, [...(talks.get(talk) ?? []), entry]);
  }
  return talks;
}

const VERDICT_COLUMNS = 13;

function stateOf({ arrived, error, sha256, target }: Outcome): string {
  if (arrived) {
    return "arrived";
  }
  if (target === null) {
    return error instanceof NegotiationError ? "NO MAPPING" : "FAILED";
  }
  return sha256.source === sha256.destination ? "FAILED" : "LOST";
}

function verdictPaint(paint: Paint, verdict: string): (text: string) => string {
  switch (verdict) {
    case "bus-addr":
    case "accept":
      return paint.good;
    case "decline":
    case "unsupported":
      return paint.bad;
    case "offer":
      return (text) => text;
    default:
      return paint.fair;
  }
}
