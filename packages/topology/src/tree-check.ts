/**
 * Tree check: do placed records form trees below root buses, as PCI bus numbers demand?
 *
 * Bus numbers of a bridge that is not programmed (0, or all ones while it sleeps) are not held
 * against anyone: the place in the tree is then known from elsewhere.
 */
import { formatBus } from "./bdf.ts";
import { isBridgeHeader } from "./function-table.ts";
import type { PlacedRecord } from "./topology-builder.ts";

/** Functions above one another, at most: each bridge has a bus number of its own, and there are 256. */
export const DEPTH_MAX = 256;

export interface TreeProblem {
  readonly bdf: string;
  readonly cause: string;
}

type Check = (place: PlacedRecord, placed: readonly PlacedRecord[]) => string | undefined;

/**
 * The first contradiction found, or undefined.
 * @param isWhole every bridge is there; otherwise one that is not shown may stand between two that are
 */
export function checkTree(
  placed: readonly PlacedRecord[],
  isWhole: boolean,
): TreeProblem | undefined {
  for (const check of [checkOwners, isWhole ? checkBusOfChild : checkBusRange]) {
    for (const place of placed) {
      const cause = check(place, placed);
      if (cause !== undefined) {
        return { bdf: place.bdf, cause };
      }
    }
  }
  return (
    findLoop(placed) ?? findDeep(placed) ?? findSharedBus(placed) ?? findSiblingOverlap(placed)
  );
}

const checkOwners: Check = (place, placed) => {
  const { parent, physicalFunction, address } = place;
  const bridge = placed[parent];
  if (bridge !== undefined && !isBridge(bridge)) {
    return `it sits below ${bridge.bdf}, which is not a bridge`;
  }
  if (bridge !== undefined && bridge.address.domain !== address.domain) {
    return `it sits below ${bridge.bdf}, which is in another domain`;
  }
  const physical = placed[physicalFunction];
  if (physical !== undefined && physical.physicalFunction >= 0) {
    return `its physical function ${physical.bdf} is a virtual function itself`;
  }
  if (physical !== undefined && physical.parent !== parent) {
    return `its physical function ${physical.bdf} sits below another bridge`;
  }
  return undefined;
};

/** A child sits on its bridge's secondary bus; SR-IOV may put virtual functions on later buses below it. */
const checkBusOfChild: Check = (place, placed) =>
  busProblem(place, placed, place.physicalFunction >= 0);

/** With bridges left out a function may be on any bus below the one shown above it. */
const checkBusRange: Check = (place, placed) => busProblem(place, placed, true);

function busProblem(
  place: PlacedRecord,
  placed: readonly PlacedRecord[],
  mayBeLater: boolean,
): string | undefined {
  const bridge = placed[place.parent];
  const secondary = bridge?.record.secondaryBus ?? 0;
  if (bridge === undefined || secondary === 0) {
    return undefined;
  }
  const subordinate = bridge.record.subordinateBus ?? 0xff;
  const last = mayBeLater ? subordinate : secondary;
  const { bus } = place.address;
  return bus >= secondary && bus <= last
    ? undefined
    : `it is on bus ${busOf(place, bus)}, but bridge ${bridge.bdf} above it has bus ${busOf(place, secondary)} below`;
}

/** Walks up from every row, marking each row with the walk that reached it, so each is visited once. */
function findLoop(placed: readonly PlacedRecord[]): TreeProblem | undefined {
  const walkOf = new Int32Array(placed.length).fill(-1);
  for (let start = 0; start < placed.length; start++) {
    let row = start;
    while (row >= 0 && walkOf[row] === -1) {
      walkOf[row] = start;
      row = (placed[row] as PlacedRecord).parent;
    }
    if (row >= 0 && walkOf[row] === start) {
      return {
        bdf: (placed[row] as PlacedRecord).bdf,
        cause: "it sits below itself: the buses form a loop",
      };
    }
  }
  return undefined;
}

/** Every function is at most `DEPTH_MAX` below its root bus; walks are shared, so each row is walked once. */
function findDeep(placed: readonly PlacedRecord[]): TreeProblem | undefined {
  const depth = new Int32Array(placed.length).fill(-1);
  for (const [start, place] of placed.entries()) {
    const chain: number[] = [];
    let row = start;
    while (row >= 0 && depth[row] === -1) {
      chain.push(row);
      row = (placed[row] as PlacedRecord).parent;
    }
    let above = row < 0 ? 0 : (depth[row] as number);
    for (const each of chain.reverse()) {
      above += 1;
      depth[each] = above;
    }
    if (above > DEPTH_MAX) {
      return { bdf: place.bdf, cause: `it is more than ${DEPTH_MAX} functions below its root bus` };
    }
  }
  return undefined;
}

function findSharedBus(placed: readonly PlacedRecord[]): TreeProblem | undefined {
  const ownerByBus = new Map<string, PlacedRecord>();
  for (const place of placed) {
    const secondary = place.record.secondaryBus ?? 0;
    if (!isBridge(place) || secondary === 0) {
      continue;
    }
    const bus = busOf(place, secondary);
    const owner = ownerByBus.get(bus);
    if (owner !== undefined) {
      return { bdf: place.bdf, cause: `bus ${bus} below it is also below ${owner.bdf}` };
    }
    ownerByBus.set(bus, place);
  }
  return undefined;
}

/** Bus ranges of bridges on one bus must not overlap, or a request has two ways down. */
function findSiblingOverlap(placed: readonly PlacedRecord[]): TreeProblem | undefined {
  const bridges = placed
    .filter((place) => isBridge(place) && (place.record.secondaryBus ?? 0) > 0)
    .sort((one, other) => siblingOrder(one, other));
  for (let index = 1; index < bridges.length; index++) {
    const before = bridges[index - 1] as PlacedRecord;
    const after = bridges[index] as PlacedRecord;
    if (isSameBus(before, after) && lastBus(before) >= firstBus(after)) {
      return { bdf: after.bdf, cause: `the buses below it overlap those below ${before.bdf}` };
    }
  }
  return undefined;
}

const siblingOrder = (one: PlacedRecord, other: PlacedRecord): number =>
  one.parent - other.parent ||
  one.address.domain - other.address.domain ||
  one.address.bus - other.address.bus ||
  firstBus(one) - firstBus(other);

const isSameBus = (one: PlacedRecord, other: PlacedRecord): boolean =>
  one.parent === other.parent &&
  one.address.domain === other.address.domain &&
  one.address.bus === other.address.bus;

const firstBus = (place: PlacedRecord): number => place.record.secondaryBus ?? 0;
const lastBus = (place: PlacedRecord): number => place.record.subordinateBus ?? firstBus(place);
const busOf = (place: PlacedRecord, bus: number): string => formatBus(place.address.domain, bus);

/** A record with a bus below it is a bridge whatever else it leaves out. */
export const headerTypeOf = (place: PlacedRecord): number =>
  place.record.headerType ?? (place.record.secondaryBus === undefined ? 0 : 1);

const isBridge = (place: PlacedRecord): boolean => isBridgeHeader(headerTypeOf(place));
