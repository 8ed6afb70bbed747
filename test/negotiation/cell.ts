/**
 * Cell: what comes of one exporter's buffer in one importer's hands, found by letting them do it.
 */
import {
  type Decision,
  type Framework,
  type FrameworkOptions,
  interconnect,
  NegotiationError,
} from "@peerbuf/core";
import { PrivateLink } from "@peerbuf/machine";
import type { Topology } from "@peerbuf/topology";
import { EXPORTERS, type ExporterName, type Exporting } from "./exporting.ts";
import { IMPORTERS, type ImporterName } from "./importing.ts";
import { CELL_BYTES, pattern, startCell } from "./machine.ts";
import type { Scene } from "./scenes.ts";

export interface Cell {
  readonly exporter: ExporterName;
  readonly importer: ImporterName;
  /** Topology's word, `-` when it was not asked. */
  readonly path: string;
  /** The mapping type, or the error's code. */
  readonly outcome: string;
  readonly target: string;
  readonly route: string;
  readonly decidedBy: string;
  readonly reason: string;
  /** Every byte arrived where there was a mapping, and nothing was left behind. */
  readonly isProven: boolean;
}

export async function runCell(
  topology: Topology,
  scene: Scene,
  exporter: ExporterName,
  importer: ImporterName,
  frameworkOf?: (options: FrameworkOptions) => Framework,
): Promise<Cell> {
  const shared = { wire: new PrivateLink(), link: interconnect("link0") };
  const owner = scene.owners[exporter] as string;
  const importing = IMPORTERS[importer](scene.clients[importer] as string, shared);
  let exporting: Exporting | undefined;
  const cell = startCell(
    topology,
    (machine) => {
      exporting = EXPORTERS[exporter](shared, machine);
      const slots = exporting.model === undefined ? [] : [[owner, exporting.model] as const];
      return [...slots, [scene.clients[importer] as string, importing.model]];
    },
    importing.device === undefined ? [] : [importing.device],
    frameworkOf,
  );
  const made = exporting as unknown as Exporting;
  const buffer = await made.allocate(cell, owner);
  const found = await attempt(() => importing.read(cell, buffer));
  buffer.close();
  cell.framework.close();
  made.giveBack(cell.machine);
  const arrived = found.bytes === undefined || isPattern(found.bytes);
  return { exporter, importer, ...described(found), isProven: arrived && cell.isClean() };
}

interface Found {
  readonly decisions: readonly Decision[];
  readonly outcome: string;
  readonly target: string;
  readonly route: string;
  readonly bytes?: Uint8Array;
}

async function attempt(
  read: () => ReturnType<ReturnType<(typeof IMPORTERS)["nvme"]>["read"]>,
): Promise<Found> {
  try {
    const { negotiated, bytes } = await read();
    const { type, target, route, decisions } = negotiated;
    return { decisions, outcome: type, target, route, bytes };
  } catch (error) {
    if (error instanceof NegotiationError) {
      return { decisions: error.decisions, outcome: error.code, target: "-", route: "-" };
    }
    throw error;
  }
}

function described(found: Found): Omit<Cell, "exporter" | "importer" | "isProven"> {
  const { decisions, outcome, target, route } = found;
  const topology = decisions.find(({ party }) => party === "topology");
  const decider = deciderOf(decisions, found);
  return {
    path: topology === undefined || topology.verdict === "accept" ? "-" : topology.verdict,
    outcome,
    target,
    route,
    decidedBy: decider?.party ?? "-",
    reason: decider?.reason.code ?? "first type both know",
  };
}

/** What is said when somebody else has left nothing. */
const CLOSING = ["NOTHING_IN_COMMON", "DEVICE_MEMORY_ONLY"];

/** See "Decided by" in docs/negotiation.md. `undefined`: nobody had to say no. */
function deciderOf(
  decisions: readonly Decision[],
  { outcome, target }: Found,
): Decision | undefined {
  const redirecting = decisions.find(
    ({ stage, verdict }) => (stage === "map" || stage === "pin") && verdict === "redirect",
  );
  const refusing = decisions.findLast(
    ({ verdict, reason }) => verdict === "decline" && !CLOSING.includes(reason.code),
  );
  const topology = decisions.find(({ party }) => party === "topology");
  if (redirecting !== undefined || refusing !== undefined) {
    return redirecting ?? refusing;
  }
  if (target === "device") {
    return outcome === "p2p" ? topology : undefined;
  }
  const narrowing = decisions.find(({ left }) => left.every((name) => name === outcome));
  return narrowing?.verdict === "accept" ? undefined : narrowing;
}

function isPattern(bytes: Uint8Array): boolean {
  const expected = pattern(CELL_BYTES);
  return bytes.length === CELL_BYTES && bytes.every((byte, index) => byte === expected[index]);
}
