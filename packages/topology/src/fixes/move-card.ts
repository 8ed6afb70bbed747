/**
 * Move card: put a device into a slot below the switch of its peer, on the model.
 *
 * A free slot is a downstream port with a bus number and nothing below; where there is none, the card changes
 * places with a card that has nothing to do with the pair. A card moves whole: all
 * functions on its bus. Cards with bridges of their own, or with virtual functions switched on, get new bus
 * numbers in ways that the model does not foretell, so they are not moved here.
 */

import { formatBdf } from "../bdf.ts";
import { kindOf } from "../diagnosis/device-kind.ts";
import type { PairScope } from "../diagnosis/pair-scope.ts";
import type { FunctionRecord } from "../function-record.ts";
import { PORT_TYPE } from "../function-record.ts";
import { judgePair } from "../rules/judge-pair.ts";
import type { KernelRules } from "../rules/kernel-rules.ts";
import type { Topology } from "../topology.ts";
import { buildTopology } from "../topology-builder.ts";
import { effectOf, type Judged, WORTH } from "./effect.ts";
import type { Fix, Move } from "./fix.ts";

/** Moves tried for one pair, at most: each means judging the machine anew. */
const MOVES_TRIED_MAX = 8;

/** A card into a free slot, or else a swap, whichever first improves the pair; undefined when none does. */
export function moveTogether(
  topology: Topology,
  rules: KernelRules,
  provider: number,
  client: number,
  scope: PairScope,
): Fix | undefined {
  const swapped = [
    ...swaps(topology, client, provider),
    ...swaps(topology, provider, client),
  ].slice(0, MOVES_TRIED_MAX);
  return (
    moveIntoFreeSlot(topology, rules, provider, client, scope) ??
    firstHelp(topology, rules, provider, client, scope, swapped)
  );
}

/** The card of one into a free slot beside the other. */
export const moveIntoFreeSlot = (
  topology: Topology,
  rules: KernelRules,
  provider: number,
  client: number,
  scope: PairScope,
): Fix | undefined =>
  firstHelp(
    topology,
    rules,
    provider,
    client,
    scope,
    [intoFreeSlot(topology, client, provider), intoFreeSlot(topology, provider, client)].filter(
      (moves) => moves !== undefined,
    ),
  );

function firstHelp(
  topology: Topology,
  rules: KernelRules,
  provider: number,
  client: number,
  scope: PairScope,
  candidates: readonly (readonly Move[])[],
): Fix | undefined {
  const before = judgePair(topology, rules, provider, client).type;
  for (const moves of candidates) {
    const after = movedTopology(topology, moves);
    const { type } = judgePair(after, rules, provider, client);
    if (WORTH[type] > WORTH[before]) {
      return fixOf({ topology, rules }, { topology: after, rules }, moves, scope);
    }
  }
  return undefined;
}

function fixOf(before: Judged, after: Judged, moves: readonly Move[], scope: PairScope): Fix {
  const cards = moves.map(
    ({ functions, port }) =>
      `${functions.map(({ from }) => from).join(" and ")} into the slot of ${port}`,
  );
  const effect = effectOf(before, after, scope);
  const worse =
    effect.worsenedCount > 0
      ? ` ${effect.worsenedCount} other ordered pairs get a worse verdict.`
      : "";
  return {
    kind: "move",
    text: `Move ${cards.join(", and ")}.`,
    steps: [],
    acsChanges: [],
    moves,
    effect,
    cost: {
      text: `The machine is opened. Bus numbers can come out differently, and a slot must have the size, power and lanes that the card needs.${worse}`,
    },
    isPromised: true,
  };
}

function intoFreeSlot(topology: Topology, mover: number, peer: number): Move[] | undefined {
  const port = slotsNear(topology, peer).find((each) => topology.childrenOf(each).length === 0);
  const card = cardOf(topology, mover);
  return port === undefined || card === undefined ? undefined : [moveTo(topology, card, port)];
}

/** Swaps with the cards beside the peer, none of which is the peer's own or an accelerator. */
function swaps(topology: Topology, mover: number, peer: number): Move[][] {
  const card = cardOf(topology, mover);
  const home = topology.upstreamOf(mover);
  return slotsNear(topology, peer).flatMap((port) => {
    const [first] = topology.childrenOf(port);
    const other = first === undefined ? undefined : cardOf(topology, first);
    const isFree =
      other !== undefined &&
      !other.includes(peer) &&
      other.every((row) => kindOf(topology, row) !== "accelerator");
    return card === undefined || other === undefined || !isFree
      ? []
      : [[moveTo(topology, card, port), moveTo(topology, other, home)]];
  });
}

/** Downstream ports of the switch right above a function that have a bus number. */
function slotsNear(topology: Topology, row: number): number[] {
  const { portType, secondaryBus } = topology.table;
  const own = topology.upstreamOf(row);
  const above = own < 0 ? -1 : topology.upstreamOf(own);
  return above < 0 || portType[above] !== PORT_TYPE.SWITCH_UPSTREAM
    ? []
    : [...topology.childrenOf(above)].filter(
        (port) =>
          portType[port] === PORT_TYPE.SWITCH_DOWNSTREAM &&
          port !== own &&
          (secondaryBus[port] as number) > 0,
      );
}

/** Every function of the card, undefined when it cannot be moved on the model. */
function cardOf(topology: Topology, row: number): readonly number[] | undefined {
  const port = topology.upstreamOf(row);
  if (port < 0 || topology.table.portType[port] === PORT_TYPE.SWITCH_UPSTREAM) {
    return undefined;
  }
  const functions = [...topology.childrenOf(port)];
  const isSimple = functions.every(
    (each) => !topology.isBridge(each) && !hasVirtualFunctions(topology, each),
  );
  return isSimple && functions.includes(row) ? functions : undefined;
}

const hasVirtualFunctions = (topology: Topology, row: number): boolean =>
  (topology.table.physicalFunction[row] as number) >= 0 ||
  topology.table.physicalFunction.includes(row);

function moveTo(topology: Topology, functions: readonly number[], port: number): Move {
  const { devfn, domain, secondaryBus } = topology.table;
  return {
    port: topology.bdfOf(port),
    functions: functions.map((row) => ({
      from: topology.bdfOf(row),
      to: formatBdf({
        domain: domain[port] as number,
        bus: secondaryBus[port] as number,
        devfn: devfn[row] as number,
      }),
    })),
  };
}

/** The machine with cards in other slots, all moved at once. Rows keep their meaning. */
export function movedTopology(topology: Topology, moves: readonly Move[]): Topology {
  const places = new Map(
    moves.flatMap(({ port, functions }) =>
      functions.map(({ from, to }) => [from, { to, port: topology.require(port) }] as const),
    ),
  );
  const records = topology.records().map((record): FunctionRecord => {
    const place = places.get(record.bdf);
    return place === undefined
      ? record
      : {
          ...record,
          bdf: place.to,
          parent: topology.bdfOf(place.port),
          rootBus: topology.rootBusOf(place.port).id,
        };
  });
  return buildTopology(topology.facts, records);
}
