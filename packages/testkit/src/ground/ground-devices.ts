/**
 * Ground devices: what core has to know of the devices of a light world, and how they reach each other.
 */
import { type Device, type DmaLimits, type Judge, type PathType, UNLIMITED } from "@peerbuf/core";
import type { WorldOptions } from "./world-options.ts";

export function deviceOf(id: string, limits: Partial<DmaLimits> | undefined): Device {
  const all = limits === undefined ? UNLIMITED : { ...UNLIMITED, ...limits };
  return { id, label: id, bus: "pci", limits: all };
}

const ALL_NEAR = pathVerdict("bus-addr");

export function judgeOf(path: WorldOptions["path"]): Judge {
  return {
    name: "ground-rules",
    judge: (providerId, clientId) =>
      path === undefined ? ALL_NEAR : pathVerdict(path(providerId, clientId)),
  };
}

function pathVerdict(type: PathType): ReturnType<Judge["judge"]> {
  return { reads: type, writes: type, distance: 4, reasons: [] };
}
