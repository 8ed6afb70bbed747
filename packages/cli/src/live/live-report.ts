/** Live report: attempts with real buffers for people: who decided what, the proof, and what is missing. */
import type { Decision } from "@peerbuf/core";
import { columns } from "../columns.ts";
import type { Paint } from "../paint.ts";
import { oneLine } from "../report-error.ts";
import { formatSize } from "../scenario/size.ts";
import type { Session } from "../session.ts";
import { wrap } from "../wrap.ts";
import type { LiveRun } from "./live-run.ts";
import type { LiveState, LiveTransfer } from "./live-transfer.ts";

const INDENT = 4;
const MARGIN: string = " ".repeat(INDENT);
/** Characters of a checksum that are shown; JSON has all. */
const HASH_CHARACTERS = 12;
const STAGE_COLUMNS = 8;
const PARTY_COLUMNS = 11;
const VERDICT_COLUMNS = 13;

/** The block of one attempt, with an empty line at its end. */
export function liveTransferLines(
  session: Session,
  transfer: LiveTransfer,
  number: number,
): string[] {
  const { paint, io } = session;
  const { name, provider, client, state, bytes, decisions } = transfer;
  const width = io.stdout.columns;
  return [
    `${paint.strong(`${String(number).padStart(2)}  ${name}`)}  ${statePaint(paint, state)(state)}`,
    `${MARGIN}${paint.name(provider)} → ${paint.name(client)}  ${paint.faint(formatSize(bytes))}`,
    "",
    ...decisions.flatMap((decision) => decisionLines(decision, paint, width)),
    ...(decisions.length === 0 ? [] : [""]),
    ...columns(factsOf(transfer, paint), { indent: INDENT }),
    ...errorLines(transfer, paint, width),
    "",
  ];
}

function decisionLines(decision: Decision, paint: Paint, width: number): string[] {
  const { stage, party, verdict, reason } = decision;
  const who = `${stage.padEnd(STAGE_COLUMNS)}${party.padEnd(PARTY_COLUMNS)}`;
  const indent = INDENT + who.length + VERDICT_COLUMNS;
  const text = `${oneLine(reason.text)} ${paint.faint(`[${reason.code}]`)}`;
  const [first = "", ...rest] = wrap(text, Math.max(30, width - indent));
  return [
    `${MARGIN}${who}${verdict.padEnd(VERDICT_COLUMNS)}${first}`,
    ...rest.map((line) => `${" ".repeat(indent)}${line}`),
  ];
}

function factsOf(transfer: LiveTransfer, { faint }: Paint): string[][] {
  const { target, route, attached, source, destination, state } = transfer;
  const rows: string[][] = [];
  if (target !== undefined) {
    rows.push(["target", `${target} memory, ${route}`]);
  }
  if (attached !== undefined) {
    rows.push(["kernel", `lists as attached: ${attached.map(oneLine).join(", ") || "none"}`]);
  }
  if (source !== undefined && destination !== undefined) {
    const short = (hash: string): string => hash.slice(0, HASH_CHARACTERS);
    const words = source === destination ? "equal" : "different";
    const where = state === "attached" ? "while attached" : "destination";
    rows.push(["sha256", `${short(source)} source  ${short(destination)} ${where}  ${words}`]);
  }
  return rows.map(([label = "", text = ""]) => [faint(label), text]);
}

function errorLines({ error, state }: LiveTransfer, paint: Paint, width: number): string[] {
  if (error === undefined) {
    return [];
  }
  const text = `${oneLine(error.message)} [${error.code}, ${error.errno}]`;
  return wrap(text, width - INDENT).map((line) => `${MARGIN}${statePaint(paint, state)(line)}`);
}

const statePaint = (paint: Paint, state: LiveState): ((text: string) => string) =>
  ({ arrived: paint.good, attached: paint.good, declined: paint.fair, failed: paint.bad })[state];

/** What it came to, and what would allow more. */
export function liveSummary({ paint, io }: Session, run: LiveRun): string[] {
  const count = (state: LiveState): number =>
    run.transfers.filter((transfer) => transfer.state === state).length;
  const parts = (["arrived", "attached", "declined", "failed"] as const)
    .filter((state) => count(state) > 0)
    .map((state) => `${count(state)} ${state}`);
  const lines = [
    `${(run.isOk ? paint.good : paint.bad)(`${parts.join(", ")}.`)} Memory came from ${SOURCES[run.memory]}.`,
  ];
  for (const { what, cause, remedy } of run.missing) {
    const text = `Not used: ${what}: ${oneLine(cause)}. To have it: ${remedy}.`;
    lines.push(...wrap(text, io.stdout.columns).map(paint.fair));
  }
  return lines;
}

const SOURCES: Readonly<Record<LiveRun["memory"], string>> = {
  "dma-heap": "the system dma-heap",
  udmabuf: "udmabuf",
  memfd: "a memfd, which is no dma-buf",
};
