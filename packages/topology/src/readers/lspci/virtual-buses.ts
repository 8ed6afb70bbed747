/**
 * Virtual buses: a tree or a path may show several buses right below one bridge.
 *
 * SR-IOV gives virtual functions bus numbers of their own where those of the real bus run out. Which
 * physical function owns them such a form does not say, so the place of everything below the bridge is
 * kept as drawn, and the bridge's bus numbers, which explain only a part of it, are left out.
 */
import { type Bdf, parseBdf } from "../../bdf.ts";
import type { FunctionRecord } from "../../function-record.ts";

/** The records with every function on a virtual bus placed; the same records where there is none. */
export function placeVirtualBuses(records: readonly FunctionRecord[]): readonly FunctionRecord[] {
  const bridges = bridgesWithVirtualBuses(records);
  if (bridges.size === 0) {
    return records;
  }
  const bridgeByBus = new Map(
    records
      .filter(({ bdf }) => bridges.has(bdf))
      .map(({ bdf, secondaryBus }) => [`${addressOf(bdf).domain}/${secondaryBus}`, bdf]),
  );
  return records.map((record) => {
    const { domain, bus } = addressOf(record.bdf);
    const above = record.parent ?? bridgeByBus.get(`${domain}/${bus}`);
    const placed = above === undefined || above === null ? record : { ...record, parent: above };
    return bridges.has(record.bdf) ? withoutBuses(placed) : placed;
  });
}

/** Bridges with a function right below them that is on another bus and has no known owner. */
function bridgesWithVirtualBuses(records: readonly FunctionRecord[]): ReadonlySet<string> {
  const secondary = new Map(records.map(({ bdf, secondaryBus }) => [bdf, secondaryBus ?? 0]));
  const odd = records.filter(({ bdf, parent, physicalFunction }) => {
    const expected = secondary.get(parent ?? "") ?? 0;
    return physicalFunction === undefined && expected > 0 && addressOf(bdf).bus !== expected;
  });
  return new Set(odd.map(({ parent }) => parent ?? ""));
}

function withoutBuses(record: FunctionRecord): FunctionRecord {
  const { secondaryBus: _, subordinateBus: __, ...rest } = record;
  return rest;
}

const addressOf = (bdf: string): Bdf => parseBdf(bdf) ?? { domain: 0, bus: 0, devfn: 0 };
