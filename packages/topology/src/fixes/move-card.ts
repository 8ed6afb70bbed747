/**
 * Move card: put a device into a free slot below the switch of its peer, on the model.
 *
 * A slot is free when it is a downstream port with a bus number and nothing below. A card moves whole: all
 * functions on its bus. Cards with bridges of their own, or with virtual functions switched on, get new bus
 * numbers in ways that the model does not foretell, so they are not moved here.
 */

import { formatBdf } from "../bdf.ts";
import type { PairScope } from "../diagnosis/pair-scope.ts";
import type { FunctionRecord } from "../function-record.ts";
import { PORT_TYPE } from "../function-record.ts";
import { walkPair } from "../rules/judge-pair.ts";
import type { KernelRules } from "../rules/kernel-rules.ts";
import type { Topology } from "../topology.ts";
import { buildTopology } from "../topology-builder.ts";
import { effectOf } from "./effect.ts";
import type { Fix, Move } from "./fix.ts";

/** The card of one into a free slot near the other, whichever can be done; undefined when neither can. */
export function moveTogether(
  topology: Topology,
  rules: KernelRules,
  provider: number,
  client: number,
  scope: PairScope,
): Fix | undefined {
  return (
    moveBeside(topology, rules, client, provider, scope) ??
    moveBeside(topology, rules, provider, client, scope)
  );
}

function moveBeside(
  topology: Topology,
  rules: KernelRules,
  mover: number,
  peer: number,
  scope: PairScope,
): Fix | undefined {
  const port = freeSlotNear(topology, peer);
  const functions = cardOf(topology, mover);
  if (port === undefined || functions === undefined) {
    return undefined;
  }
  const move = moveTo(topology, functions, port);
  const after = movedTopology(topology, move);
  const effect = effectOf({ topology, rules }, { topology: after, rules }, scope);
  const { common } = walkPair(after, mover, peer);
  return common < 0 || effect.improvedCount === 0
    ? undefined
    : {
        kind: "move",
        text: `Move ${topology.bdfOf(mover)} into the free slot of ${move.port}, below the switch of ${topology.bdfOf(peer)}.`,
        steps: [],
        acsChanges: [],
        moves: [move],
        effect,
        cost: {
          text: "The machine is opened. Bus numbers can come out differently, and the slot must have the size, power and lanes that the card needs.",
        },
        isPromised: true,
      };
}

/** A free downstream port of the switches above a function, the nearest first. */
function freeSlotNear(topology: Topology, row: number): number | undefined {
  const { portType, secondaryBus } = topology.table;
  for (let above = topology.upstreamOf(row); above >= 0; above = topology.upstreamOf(above)) {
    if (portType[above] !== PORT_TYPE.SWITCH_UPSTREAM) {
      continue;
    }
    const free = topology
      .childrenOf(above)
      .find(
        (port) =>
          portType[port] === PORT_TYPE.SWITCH_DOWNSTREAM &&
          (secondaryBus[port] as number) > 0 &&
          topology.childrenOf(port).length === 0,
      );
    if (free !== undefined) {
      return free;
    }
  }
  return undefined;
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

/** The machine with a card in another slot. Rows keep their meaning. */
export function movedTopology(topology: Topology, move: Move): Topology {
  const port = topology.require(move.port);
  const targets = new Map(move.functions.map(({ from, to }) => [from, to]));
  const records = topology.records().map((record): FunctionRecord => {
    const to = targets.get(record.bdf);
    return to === undefined
      ? record
      : { ...record, bdf: to, parent: move.port, rootBus: topology.rootBusOf(port).id };
  });
  return buildTopology(topology.facts, records);
}
