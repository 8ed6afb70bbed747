/**
 * Route oracle: where a request must end, told by walking the tree of functions and nothing else.
 *
 * Written down apart from the fabric: it knows no decode tables, stretches of addresses or caches, asks every
 * function in turn whether it claims the address, and finds a completion's way by the tree where the fabric
 * uses bus numbers. For machines without an IOMMU, and requests that bear their sender's own id.
 */
import type { AccessKind, RequestAttributes, RootComplexProfile } from "@peerbuf/machine";
import { ACS, ACS_PRESENT, PORT_TYPE, type Topology } from "@peerbuf/topology";

/** What can be changed at run time, by row. */
export interface OracleState {
  readonly topology: Topology;
  readonly memory: boolean[];
  readonly busMaster: boolean[];
  readonly present: boolean[];
  readonly acs: number[];
  profile: RootComplexProfile;
}

export interface OracleRequest {
  readonly from: number;
  readonly address: number;
  readonly kind: AccessKind;
  readonly attributes: RequestAttributes;
}

/** Does it arrive, and its completion come back? RAM answers from `ramEnd` down to 1 MiB. */
export function arrives(state: OracleState, request: OracleRequest, ramEnd: number): boolean {
  const { topology } = state;
  const { from, address, kind, attributes } = request;
  if (!(state.present[from] && state.busMaster[from])) {
    return false;
  }
  let node = from;
  let isRedirected = false;
  for (let above = topology.upstreamOf(node); above >= 0; above = topology.upstreamOf(node)) {
    const step = onBus(state, node, busMates(topology, node), request, isRedirected);
    if (step.end !== undefined) {
      return step.end >= 0 && isAnswered(state, request, step.end, false);
    }
    isRedirected = step.isRedirected;
    if (!portLetsUp(state, above, attributes)) {
      return false;
    }
    node = above;
  }
  const own = onBus(state, node, [node], request, isRedirected);
  if (own.end !== undefined) {
    return own.end >= 0 && isAnswered(state, request, own.end, false);
  }
  if (address >= 2 ** 20 && address < ramEnd) {
    return true;
  }
  const top = rootRows(topology).find((row) => covers(state, row, address));
  if (top === undefined || (top !== node && gate(state, node, top, false) === "block")) {
    return false;
  }
  const isSame = topology.table.rootBus[top] === topology.table.rootBus[node];
  if (!forwards(state.profile, kind, isSame)) {
    return false;
  }
  const target = below(state, top, address);
  return target >= 0 && isAnswered(state, request, target, true);
}

interface Step {
  readonly isRedirected: boolean;
  /** Where it ends: a row, or -1 for nowhere. Undefined: it goes on upwards. */
  readonly end: number | undefined;
}

function onBus(
  state: OracleState,
  node: number,
  mates: readonly number[],
  { address, attributes }: OracleRequest,
  isRedirected: boolean,
): Step {
  const claimant = mates.find((row) => covers(state, row, address));
  if (claimant === node && !hasBarAt(state.topology, node, address)) {
    const bit = upstreamForwarding(state, node);
    const goesUp = isRedirected ? bit !== false : bit === true;
    return goesUp ? { isRedirected: true, end: undefined } : { isRedirected, end: -1 };
  }
  if (claimant === undefined || isRedirected) {
    return { isRedirected, end: undefined };
  }
  switch (gate(state, node, claimant, attributes.translated === true)) {
    case "direct":
      return { isRedirected, end: below(state, claimant, address) };
    case "redirect":
      return { isRedirected: true, end: undefined };
    case "block":
      return { isRedirected, end: -1 };
  }
}

/** The function whose BAR it is, at or below this one. */
function below(state: OracleState, row: number, address: number): number {
  if (hasBarAt(state.topology, row, address)) {
    return row;
  }
  const next = childrenOf(state.topology, row).find((child) => covers(state, child, address));
  return next === undefined ? -1 : below(state, next, address);
}

function isAnswered(
  state: OracleState,
  { from, kind, attributes }: OracleRequest,
  completer: number,
  viaRoot: boolean,
): boolean {
  if (kind === "write") {
    return true;
  }
  const { topology } = state;
  const up = chain(topology, from);
  const back = chain(topology, completer);
  // The first of the completer's bridges that the requester is below as well.
  const meeting = back.findIndex((row, at) => at > 0 && up.includes(row) && row !== from);
  if (meeting < 0) {
    return viaRoot || completer === from;
  }
  const turn = back[meeting - 1] as number;
  if (attributes.relaxedOrdering === true || !isSet(state, turn, ACS.CR)) {
    return true;
  }
  const isSentUp = back.slice(meeting).every((row) => upstreamForwarding(state, row) !== false);
  return isSentUp && (viaRoot || forwards(state.profile, "read", true));
}

const isDownstream = (topology: Topology, row: number): boolean =>
  topology.table.portType[row] === PORT_TYPE.ROOT_PORT ||
  topology.table.portType[row] === PORT_TYPE.SWITCH_DOWNSTREAM;

function portLetsUp(state: OracleState, port: number, { translated }: RequestAttributes): boolean {
  const isBlocked =
    translated === true && isDownstream(state.topology, port) && isSet(state, port, ACS.TB);
  return !isBlocked && state.busMaster[port] === true;
}

function gate(
  state: OracleState,
  node: number,
  peer: number,
  isTranslated: boolean,
): "direct" | "redirect" | "block" {
  if (isTranslated && isSet(state, node, ACS.DT)) {
    return "direct";
  }
  const turned = isSet(state, node, ACS.RR) ? "redirect" : "block";
  if (isSet(state, node, ACS.EC)) {
    return vectorHas(state.topology, node, peer) ? turned : "direct";
  }
  return turned === "redirect" ? "redirect" : "direct";
}

/** Generated ports have their device number for a port number. */
function vectorHas(topology: Topology, node: number, peer: number): boolean {
  const { devfn, portType } = topology.table;
  const acs = topology.acsOf(node);
  const vector = acs === undefined || acs === "absent" ? undefined : acs.egressVector;
  const isPort = isDownstream(topology, node);
  const isSameDevice = (devfn[node] as number) >> 3 === (devfn[peer] as number) >> 3;
  const isNumbered = isPort ? portType[peer] === portType[node] : isSameDevice;
  const bit = isPort ? (devfn[peer] as number) >> 3 : (devfn[peer] as number) & 7;
  return isNumbered && (((vector?.[bit >> 3] ?? 0) >> (bit & 7)) & 1) === 1;
}

function upstreamForwarding(state: OracleState, row: number): boolean | undefined {
  const acs = state.topology.acsOf(row);
  const isCapable = acs !== undefined && acs !== "absent" && (acs.capability & ACS.UF) !== 0;
  return isCapable ? isSet(state, row, ACS.UF) : undefined;
}

const isSet = (state: OracleState, row: number, bit: number): boolean =>
  state.topology.table.acsState[row] === ACS_PRESENT && ((state.acs[row] as number) & bit) !== 0;

const covers = (state: OracleState, row: number, address: number): boolean =>
  state.present[row] === true &&
  state.memory[row] === true &&
  (hasBarAt(state.topology, row, address) ||
    state.topology
      .windowsOf(row)
      .some(
        ({ kind, start, size }) => kind !== "io" && address >= start && address < start + size,
      ));

const hasBarAt = (topology: Topology, row: number, address: number): boolean =>
  topology
    .barsOf(row)
    .some(
      ({ kind, index, start, size = 0, assigned }) =>
        kind === "memory" &&
        index < 6 &&
        assigned !== false &&
        address >= start &&
        address < start + size,
    );

const allRows = (topology: Topology): number[] =>
  Array.from({ length: topology.count }, (_, row) => row);

const childrenOf = (topology: Topology, bridge: number): number[] =>
  allRows(topology).filter((row) => topology.upstreamOf(row) === bridge);

const rootRows = (topology: Topology): number[] => childrenOf(topology, -1);

const busMates = (topology: Topology, row: number): number[] =>
  childrenOf(topology, topology.upstreamOf(row));

function chain(topology: Topology, start: number): number[] {
  const rows: number[] = [];
  for (let row = start; row >= 0; row = topology.upstreamOf(row)) {
    rows.push(row);
  }
  return rows;
}

function forwards(profile: RootComplexProfile, kind: AccessKind, isSame: boolean): boolean {
  const table: Record<RootComplexProfile, boolean> = {
    forwards: true,
    "corrupts-until-pass-through": true,
    "same-host-bridge": isSame,
    "writes-only": kind === "write",
    none: false,
    "answers-ones": false,
  };
  return table[profile];
}
