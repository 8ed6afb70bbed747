/**
 * All pairs: the verdict on every ordered pair of a machine, at the speed of copying memory.
 *
 * Functions are put in depth-first order, so that everything below a bridge is one range. For a
 * provider, the clients that it meets first at bridge c are the range of c without the range of the
 * child on the provider's side: two stretches of its row. What stands in such a stretch depends only
 * on c, on the provider's depth, and on whether its own way up to c redirects, so the stretches of
 * all providers below c are copies of a few rows, made once.
 *
 * Answers are those of `judgePair`; reasons are left to it.
 */
import { InputError, type PathType } from "@peerbuf/core";
import type { Topology } from "../topology.ts";
import { type DepthFirst, depthFirst } from "./depth-first.ts";
import type { Answer } from "./host-bridge.ts";
import { hasEveryBridge, judgePair, redirectAnswer } from "./judge-pair.ts";
import type { KernelRules } from "./kernel-rules.ts";
import { BUS_ADDR, PATH_TYPES, throughRootTypes, UNKNOWN } from "./through-root.ts";

/** Functions in one table, at most: 16,384 of them take 512 MiB. */
export const ALL_PAIRS_COUNT_MAX = 16_384;

/** A cell holds the type in its low two bits and the distance above; 2 × 256 hops fit easily. */
export const TYPE_BITS = 2;
/** Stands for "no count is possible". */
const NO_DISTANCE = 0x3fff;
/** Stretches shorter than this are copied by hand: a call costs more. */
const COPY_LENGTH_MIN = 24;

/** The table of verdicts. Positions are places in `rows`; `positionOf` finds them. */
export class AllPairs {
  /** Topology rows in the table's order, which is depth first. */
  readonly rows: Int32Array;
  readonly #cells: Uint16Array;
  readonly #positionByRow: Int32Array;

  constructor(rows: Int32Array, cells: Uint16Array, functionCount: number) {
    this.rows = rows;
    this.#cells = cells;
    this.#positionByRow = new Int32Array(functionCount).fill(-1);
    rows.forEach((row, position) => {
      this.#positionByRow[row] = position;
    });
  }

  /** Functions in the table. */
  get count(): number {
    return this.rows.length;
  }

  /** Place of a topology row, -1 when it is not in the table. */
  positionOf(row: number): number {
    return this.#positionByRow[row] ?? -1;
  }

  typeAt(provider: number, client: number): PathType {
    return PATH_TYPES[this.#cell(provider, client) & UNKNOWN] as PathType;
  }

  /** Hops as the kernel counts them, -1 where bridges may be missing from the capture. */
  /** The type as its place in `PATH_TYPES`: for loops over millions of pairs. */
  typeNumberAt(provider: number, client: number): number {
    return this.#cell(provider, client) & UNKNOWN;
  }

  distanceAt(provider: number, client: number): number {
    const distance = this.#cell(provider, client) >> TYPE_BITS;
    return distance === NO_DISTANCE ? -1 : distance;
  }

  /** Ordered pairs of each type. */
  counts(): Record<PathType, number> {
    const totals = new Float64Array(PATH_TYPES.length);
    for (const cell of this.#cells) {
      totals[cell & UNKNOWN] = (totals[cell & UNKNOWN] as number) + 1;
    }
    const [busAddr = 0, hostBridge = 0, unsupported = 0, unknown = 0] = totals;
    return { "bus-addr": busAddr, "host-bridge": hostBridge, unsupported, unknown };
  }

  #cell(provider: number, client: number): number {
    return this.#cells[provider * this.rows.length + client] as number;
  }
}

/**
 * Judges every ordered pair, each function with itself too.
 * @param among topology rows; left out, the functions that are no bridges
 * @throws InputError above `ALL_PAIRS_COUNT_MAX` functions
 */
export function judgeAllPairs(
  topology: Topology,
  rules: KernelRules,
  among: Int32Array = topology.endpoints,
): AllPairs {
  if (among.length > ALL_PAIRS_COUNT_MAX) {
    throw new InputError({
      source: topology.facts.source,
      cause: `${among.length} functions make too many pairs, at most ${ALL_PAIRS_COUNT_MAX} functions are judged at once`,
      remedy: "Judge a part of the machine",
    });
  }
  if (!hasEveryBridge(topology)) {
    return pairsWithoutTree(topology, rules, among);
  }
  const order = depthFirst(topology, among);
  const sheet = new Sheet(topology, rules, order);
  for (let position = 0; position < order.members.length; position++) {
    sheet.fillWithoutCommon(position);
  }
  for (const node of order.nodes) {
    sheet.fillBelow(node);
  }
  return new AllPairs(order.members, sheet.cells, topology.count);
}

/** Where bridges may be missing, nothing is known but a function's way to itself. */
export function pairsWithoutTree(
  topology: Topology,
  rules: KernelRules,
  among: Int32Array,
): AllPairs {
  const cells = new Uint16Array(among.length ** 2).fill((NO_DISTANCE << TYPE_BITS) | UNKNOWN);
  among.forEach((row, position) => {
    const { type } = judgePair(topology, rules, row, row);
    cells[position * (among.length + 1)] = PATH_TYPES.indexOf(type);
  });
  return new AllPairs(among, cells, topology.count);
}

/** Everything the filling needs, by row or by member position, and the cells being filled. */
class Sheet {
  readonly cells: Uint16Array;
  readonly #topology: Topology;
  readonly #order: DepthFirst;
  readonly #count: number;
  /** Type of a pair that must pass the root complex, by root bus × root bus. */
  readonly #throughRoot: Uint8Array;
  /** By row: functions on the way to the top, itself included; and the depth of the lowest one that redirects, or may. */
  readonly #depth: Uint16Array;
  readonly #redirectDepth: Uint16Array;
  readonly #unreadDepth: Uint16Array;
  /** Rows for pairs without a common bridge, by root bus and depth of the provider. */
  readonly #rootRows = new Map<number, Uint16Array>();

  constructor(topology: Topology, rules: KernelRules, order: DepthFirst) {
    this.#topology = topology;
    this.#order = order;
    this.#count = order.members.length;
    this.cells = new Uint16Array(this.#count * this.#count);
    this.#throughRoot = throughRootTypes(topology, rules);
    this.#depth = new Uint16Array(topology.count);
    this.#redirectDepth = new Uint16Array(topology.count);
    this.#unreadDepth = new Uint16Array(topology.count);
    for (const row of order.nodes) {
      this.#measure(row, redirectAnswer(topology, rules, row));
    }
  }

  #measure(row: number, redirect: Answer): void {
    const parent = this.#topology.upstreamOf(row);
    const depth = 1 + (parent < 0 ? 0 : (this.#depth[parent] as number));
    const inherited = (column: Uint16Array): number =>
      parent < 0 ? 0 : (column[parent] as number);
    this.#depth[row] = depth;
    this.#redirectDepth[row] = redirect === "yes" ? depth : inherited(this.#redirectDepth);
    this.#unreadDepth[row] = redirect === "unknown" ? depth : inherited(this.#unreadDepth);
  }

  /** The whole row of a provider as if it met nobody below the root complex. */
  fillWithoutCommon(position: number): void {
    const row = this.#order.members[position] as number;
    const rootBus = this.#topology.table.rootBus[row] as number;
    const depth = this.#depth[row] as number;
    const key = rootBus * 0x10000 + depth;
    const known = this.#rootRows.get(key);
    const cells = known ?? this.#rootRow(rootBus, depth);
    if (known === undefined) {
      this.#rootRows.set(key, cells);
    }
    this.cells.set(cells, position * this.#count);
  }

  #rootRow(rootBus: number, depth: number): Uint16Array {
    const { members } = this.#order;
    const rootCount = this.#topology.rootBuses.length;
    const cells = new Uint16Array(this.#count);
    for (let client = 0; client < this.#count; client++) {
      const row = members[client] as number;
      const other = this.#topology.table.rootBus[row] as number;
      const distance = depth + (this.#depth[row] as number);
      cells[client] =
        (distance << TYPE_BITS) | (this.#throughRoot[rootBus * rootCount + other] as number);
    }
    return cells;
  }

  /** All pairs whose lowest common function is `node`. */
  fillBelow(node: number): void {
    const start = this.#order.first[node] as number;
    const end = this.#order.last[node] as number;
    const stencils = new Map<number, Uint16Array>();
    let position = start;
    while (position < end) {
      // One child's range at a time; the node itself, when it is a member, is a range of its own.
      const child = this.#childTowards(node, position);
      const stop = child === node ? position + 1 : (this.#order.last[child] as number);
      for (let provider = position; provider < stop; provider++) {
        const stencil = this.#stencil(stencils, node, provider);
        const from = provider * this.#count;
        // Below the own child the pair meets lower down; only the node with itself meets right here.
        this.#copy(stencil, start, start, child === node ? stop : position, from);
        this.#copy(stencil, start, stop, end, from);
      }
      position = stop;
    }
  }

  #childTowards(node: number, position: number): number {
    let row = this.#order.members[position] as number;
    let parent = row === node ? node : this.#topology.upstreamOf(row);
    while (parent !== node) {
      row = parent;
      parent = this.#topology.upstreamOf(row);
    }
    return row;
  }

  /** Clients below a node as a provider below it sees them: shared by all providers of one depth and state. */
  #stencil(stencils: Map<number, Uint16Array>, node: number, provider: number): Uint16Array {
    const row = this.#order.members[provider] as number;
    const nodeDepth = this.#depth[node] as number;
    const depth = this.#depth[row] as number;
    // The provider's side includes the node itself.
    const redirects = (this.#redirectDepth[row] as number) >= nodeDepth ? 2 : 0;
    const isUnread = (this.#unreadDepth[row] as number) >= nodeDepth ? 1 : 0;
    const key = depth * 4 + (redirects || isUnread);
    const known = stencils.get(key);
    const stencil = known ?? this.#newStencil(node, depth - 2 * nodeDepth, redirects || isUnread);
    if (known === undefined) {
      stencils.set(key, stencil);
    }
    return stencil;
  }

  #newStencil(node: number, hopsAdded: number, providerState: number): Uint16Array {
    const start = this.#order.first[node] as number;
    const length = (this.#order.last[node] as number) - start;
    const nodeDepth = this.#depth[node] as number;
    const rootBus = this.#topology.table.rootBus[node] as number;
    const through = this.#throughRoot[
      rootBus * this.#topology.rootBuses.length + rootBus
    ] as number;
    const stencil = new Uint16Array(length);
    for (let index = 0; index < length; index++) {
      const row = this.#order.members[start + index] as number;
      const redirects = providerState === 2 || (this.#redirectDepth[row] as number) > nodeDepth;
      const isUnread = providerState === 1 || (this.#unreadDepth[row] as number) > nodeDepth;
      const type = redirects ? through : isUnread ? UNKNOWN : BUS_ADDR;
      stencil[index] = (((this.#depth[row] as number) + hopsAdded) << TYPE_BITS) | type;
    }
    return stencil;
  }

  #copy(stencil: Uint16Array, origin: number, from: number, to: number, rowStart: number): void {
    if (to - from >= COPY_LENGTH_MIN) {
      this.cells.set(stencil.subarray(from - origin, to - origin), rowStart + from);
      return;
    }
    for (let client = from; client < to; client++) {
      this.cells[rowStart + client] = stencil[client - origin] as number;
    }
  }
}
