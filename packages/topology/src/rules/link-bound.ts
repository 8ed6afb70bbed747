/**
 * Link bound: the slowest PCIe link that the traffic of a pair has to cross.
 *
 * A link is read at its lower end: a device or a switch's upstream port (PCIe base specification,
 * link status register: negotiated speed and width). Ports above only repeat it. What is counted is
 * the data rate after line coding; packet headers and credits take a further part of it.
 */
import type { PathType } from "@peerbuf/core";
import { PORT_TYPE } from "../function-record.ts";
import type { Topology } from "../topology.ts";
import type { PathWalk } from "./judge-pair.ts";

/** The slowest link of a way. */
export interface SlowestLink {
  /** Row at the lower end of the link. */
  readonly row: number;
  readonly bytesPerSecond: number;
}

/** Bytes a second; `undefined` where a link on the way was not captured, or there is none. */
export const linkBound = (topology: Topology, type: PathType, walk: PathWalk): number | undefined =>
  slowestLink(topology, type, walk)?.bytesPerSecond;

/** The link that bounds the way, the first one from the provider's side where several are alike. */
export function slowestLink(
  topology: Topology,
  type: PathType,
  walk: PathWalk,
): SlowestLink | undefined {
  let slowest: SlowestLink | undefined;
  for (const row of crossed(topology, type, walk)) {
    const bytesPerSecond = linkRate(topology, row);
    if (bytesPerSecond === undefined) {
      return undefined;
    }
    if (slowest === undefined || bytesPerSecond < slowest.bytesPerSecond) {
      slowest = { row, bytesPerSecond };
    }
  }
  return slowest;
}

/** Rows whose own link is crossed: all up to where the traffic turns round. */
export function crossed(topology: Topology, type: PathType, walk: PathWalk): number[] {
  const { providerSide, clientSide, common } = walk;
  const turning = type === "bus-addr" ? common : -1;
  const above = common < 0 || turning >= 0 ? [] : chainAbove(topology, common);
  const rows = [...providerSide, ...clientSide, ...above];
  return rows.filter((row) => row !== turning && hasLinkAbove(topology, row));
}

function chainAbove(topology: Topology, start: number): number[] {
  const chain: number[] = [];
  for (let row = topology.upstreamOf(start); row >= 0; row = topology.upstreamOf(row)) {
    chain.push(row);
  }
  return chain;
}

/** A switch's downstream port hangs on the switch's inside; functions of a root bus on the root complex. */
const hasLinkAbove = (topology: Topology, row: number): boolean =>
  topology.upstreamOf(row) >= 0 && topology.table.portType[row] !== PORT_TYPE.SWITCH_DOWNSTREAM;

/** Undefined for a conventional bus as well: how fast that is, nothing says. */
function linkRate(topology: Topology, row: number): number | undefined {
  const { linkSpeedMtps, linkWidth, physicalFunction, portType } = topology.table;
  // A virtual function has no link of its own (SR-IOV specification: its link fields are reserved).
  const owner = (physicalFunction[row] as number) >= 0 ? (physicalFunction[row] as number) : row;
  const megatransfers = linkSpeedMtps[owner] as number;
  const lanes = linkWidth[owner] as number;
  const isBelow = portType[owner] === PORT_TYPE.PCI_TO_PCIE;
  return isBelow || megatransfers === 0 || lanes === 0
    ? undefined
    : (megatransfers * 1e6 * lanes * codingOf(megatransfers)) / 8;
}

/** 8b/10b up to 5 GT/s, 128b/130b up to 32 GT/s, 242 of 256 bytes of a flit at 64 GT/s (PCIe 1.0, 3.0, 6.0). */
function codingOf(megatransfers: number): number {
  if (megatransfers <= 5000) {
    return 8 / 10;
  }
  return megatransfers <= 32_000 ? 128 / 130 : 242 / 256;
}
