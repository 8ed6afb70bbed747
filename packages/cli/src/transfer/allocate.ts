/** Allocate: a buffer as a transfer plan wishes it. */
import type { DmaBuf } from "@peerbuf/core";
import type { TransferPlan } from "../scenario/transfer-plan.ts";
import type { Rig } from "./rig.ts";

/** Wishes that were not stated are left to the exporter. What the exporter refuses is thrown. */
export function allocateFor(rig: Rig, { exporter, buffer }: TransferPlan, name: string): DmaBuf {
  const { size, place, shareable, compressed } = buffer;
  return rig.exporter(exporter).allocate(size, {
    name,
    ...(place !== undefined && { place }),
    ...(shareable !== undefined && { shareable }),
    ...(compressed !== undefined && { compressed }),
  });
}
