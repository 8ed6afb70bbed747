/**
 * Link state: links on a way that run below what both of their ends can.
 *
 * Status against capability (PCIe base specification, link status and link capabilities registers), read
 * at the lower end, held against what the port above can: a wide card in a narrow slot is a choice, lanes
 * that are missing are a defect. Links of idle GPUs and of switches drop their speed to save power, so a
 * low speed there is worth a note and no more; width does not change while a link sleeps.
 */
import { PORT_TYPE } from "../function-record.ts";
import type { Topology } from "../topology.ts";
import { kindOf } from "./device-kind.ts";

export interface LinkState {
  /** BDF of the lower end and of the port above it. */
  readonly at: string;
  readonly port: string;
  readonly speedMtps: number;
  readonly width: number;
  /** What both ends can. */
  readonly speedMaxMtps: number;
  readonly widthMax: number;
  readonly isNarrow: boolean;
  readonly isSlow: boolean;
  /** The speed is below what it could be, and such a device lowers it when idle. */
  readonly mayBeIdle: boolean;
}

/** The link above a function; undefined when there is none, or it was not captured. */
export function linkStateOf(topology: Topology, row: number): LinkState | undefined {
  const { linkSpeedMtps, linkWidth, linkSpeedMaxMtps, linkWidthMax, portType } = topology.table;
  const port = topology.upstreamOf(row);
  const isVirtual = (topology.table.physicalFunction[row] as number) >= 0;
  if (port < 0 || isVirtual || portType[row] === PORT_TYPE.SWITCH_DOWNSTREAM) {
    return undefined;
  }
  const speedMtps = linkSpeedMtps[row] as number;
  const width = linkWidth[row] as number;
  const speedMaxMtps = lower(linkSpeedMaxMtps[row] as number, linkSpeedMaxMtps[port] as number);
  const widthMax = lower(linkWidthMax[row] as number, linkWidthMax[port] as number);
  if (speedMtps === 0 || width === 0) {
    return undefined;
  }
  return {
    at: topology.bdfOf(row),
    port: topology.bdfOf(port),
    speedMtps,
    width,
    speedMaxMtps,
    widthMax,
    isNarrow: width < widthMax,
    isSlow: speedMtps < speedMaxMtps,
    mayBeIdle: topology.isBridge(row) || kindOf(topology, row) === "accelerator",
  };
}

/** The lower of two capabilities; one that was not captured (0) does not limit. */
const lower = (one: number, other: number): number =>
  one === 0 || other === 0 ? Math.max(one, other) : Math.min(one, other);
