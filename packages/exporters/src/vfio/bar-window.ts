/**
 * BAR window: the part of a function's BARs that one buffer shows.
 */
import {
  type AllocateOptions,
  type Bar,
  PAGE_BYTES,
  PeerbufError,
  PhysicalRanges,
  physicalAddress,
} from "@peerbuf/core";
import { refuseUnknown } from "../wishes.ts";

/** `ARGUMENT_INVALID` for a BAR that is not there and for a window that does not lie within it. */
export function barWindow(
  bars: readonly Bar[],
  sizeBytes: number,
  wishes: AllocateOptions,
): PhysicalRanges {
  refuseUnknown(wishes, ["bar", "offset"], "vfio");
  const bar = chooseBar(bars, wishes["bar"]);
  const { offset = 0 } = wishes;
  const fits =
    typeof offset === "number" &&
    offset >= 0 &&
    offset % PAGE_BYTES === 0 &&
    offset + sizeBytes <= bar.sizeBytes;
  if (!fits) {
    const whole = `BAR${bar.index} of ${bar.sizeBytes} bytes`;
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `${sizeBytes} bytes from offset ${offset} are no whole pages within ${whole}`,
    );
  }
  return PhysicalRanges.of(physicalAddress(bar.start + offset), sizeBytes);
}

function chooseBar(bars: readonly Bar[], wish: AllocateOptions[string] | undefined): Bar {
  const bySize = [...bars].sort((one, other) => other.sizeBytes - one.sizeBytes);
  const found = wish === undefined ? bySize[0] : bars.find(({ index }) => index === wish);
  if (found === undefined) {
    const list = bars.map(({ index }) => index).join(", ") || "none";
    const asked = wish === undefined ? "a memory BAR" : `memory BAR ${wish}`;
    throw new PeerbufError("ARGUMENT_INVALID", `vfio: no ${asked}; memory BARs here: ${list}`);
  }
  return found;
}
