/**
 * Own target: system memory that an importer brings, filled and drained by the exporter's engine.
 *
 * It stays one buffer to its user: the copies happen at map and unmap, and the record says how many
 * bytes and when.
 */
import { type Reason, reason } from "../decision.ts";
import { type Direction, deviceReads } from "../direction.ts";
import type { PhysicalRanges } from "../ranges.ts";
import type { Fence } from "../sync/fence.ts";
import type { Exported, Talk } from "./talk.ts";

/** Who stands against a copy through the importer's memory, and why. */
export function cannotCopy(
  { exported: { storage, sizeBytes, exporter }, copy }: Talk,
  target: PhysicalRanges,
): { party: "exporter" | "framework"; why: Reason } | undefined {
  if (copy === "never") {
    return { party: "framework", why: COPY_FORBIDDEN };
  }
  if (storage.copy === undefined) {
    const text = `${exporter} has no engine to copy to the importer's memory`;
    return { party: "exporter", why: reason("NO_COPY_ENGINE", text) };
  }
  if (target.sizeBytes !== sizeBytes) {
    const text = `the importer brought ${target.sizeBytes} bytes for a buffer of ${sizeBytes}`;
    return { party: "framework", why: reason("OWN_TARGET_SIZE", text) };
  }
  return undefined;
}

/** Starts the copy to the target if the device will read it. A device that only writes gets none. */
export function copyOut(
  { storage, sizeBytes, platform, fences }: Exported,
  target: PhysicalRanges,
  direction: Direction,
): { fence: Fence | undefined; why: Reason } {
  const { copy } = storage;
  if (!deviceReads(direction) || copy === undefined) {
    return { fence: undefined, why: COPIES_BACK };
  }
  const fence = fences.startWork(() => copy.call(storage, target, "out"), "read");
  const numbers = { bytes: sizeBytes, atNs: platform.clock.nowNs };
  const text = "its engine copies the bytes to the importer's memory";
  return { fence, why: reason("COPIED_OUT", text, numbers) };
}

const COPY_FORBIDDEN = reason("COPY_FORBIDDEN", "the user allows no copy of this buffer");
const COPIES_BACK = reason("COPIES_BACK", "its engine copies the bytes back when the mapping ends");

/** Why, where the importer brings it from the start and says no more. */
export const OWN_TARGET: Reason = reason("OWN_TARGET", "the importer brings its own system memory");

export const COPY_REQUIRED: Reason = reason(
  "COPY_REQUIRED",
  "the user wants a copy, and the importer brought no memory",
);
