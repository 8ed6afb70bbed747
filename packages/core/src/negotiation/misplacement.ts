/**
 * Misplacement: an exporter's answer that cannot be mapped as it stands.
 *
 * A driver's mistake, or a requirement of either side that is not met: stopped here, before an
 * address exists.
 */
import { type Reason, reason } from "../decision.ts";
import type { Placement } from "../exporter.ts";
import type { KeptPair } from "../mapping-type.ts";
import type { Exported } from "./talk.ts";

/** Why this placement will not do for this pair; `undefined` when it will. */
export function misplaced(
  { exporter, sizeBytes }: Exported,
  { type, require }: KeptPair,
  { target, ranges, provider }: Placement,
): Reason | undefined {
  if (ranges.sizeBytes !== sizeBytes) {
    return reason(
      "PLACED_SIZE_WRONG",
      `${exporter} placed ${ranges.sizeBytes} of ${sizeBytes} bytes`,
    );
  }
  if (target === "device" && provider === undefined) {
    return reason(
      "PLACED_NOWHERE",
      `${exporter} placed the buffer in a device and did not say which`,
    );
  }
  if (target === "device" && type.memory === "system") {
    return reason(
      "PLACED_IN_DEVICE",
      `${exporter} was asked for system memory and placed the buffer in a device`,
    );
  }
  if (target !== "device" && require && type.memory === "device") {
    return reason(
      "DEVICE_MEMORY_REQUIRED",
      `${target} memory was offered where only device memory will do`,
    );
  }
  return undefined;
}

/** The memory that the pair is about. */
export const asAsked = (pair: KeptPair, placement: Placement): boolean =>
  pair.type.memory === "any" || (pair.type.memory === "device") === (placement.target === "device");

export const PLACED: Reason = reason("PLACED", "the bytes are where they were asked for");

export const PLACED_ELSEWHERE: Reason = reason(
  "PLACED_ELSEWHERE",
  "the exporter chose other memory and gave no reason",
);
