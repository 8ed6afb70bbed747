/**
 * GPU sharing policy: what a user may wish for a buffer, and why a peer may not reach into VRAM.
 *
 * Three reasons of the GPU's own, apart from what topology says: the bytes lie where the BAR does
 * not show them; the content is compressed in a way only this GPU reads (as amdgpu strikes P2P for
 * DCC on GFX12, Linux 6.12); the user allows sharing through system memory only.
 */
import {
  ACCEPT,
  type AllocateOptions,
  type AttachAnswer,
  narrow,
  P2P,
  PeerbufError,
  reason,
  redirect,
} from "@peerbuf/core";
import { oneOf, refuseUnknown } from "../wishes.ts";
import type { VramPart, VramRange } from "./vram-allocator.ts";

export interface GpuWishes {
  /** Which part of VRAM. Default `visible`. */
  readonly place: VramPart;
  /** `system-only`: no importer gets at VRAM, the buffer moves out when it is first mapped. Default `anywhere`. */
  readonly shareable: "anywhere" | "system-only";
  /** Default `false`. */
  readonly compressed: boolean;
  /** 32-bit value the new buffer is filled with. Default 0: nobody sees what was there before. */
  readonly fill: number;
}

/** `ARGUMENT_INVALID` for wishes the GPU does not know. */
export function readWishes(options: AllocateOptions): GpuWishes {
  refuseUnknown(options, ["place", "shareable", "compressed", "fill"], "gpu");
  const { fill = 0 } = options;
  if (typeof fill !== "number" || !Number.isInteger(fill) || fill < 0 || fill > 0xffff_ffff) {
    throw new PeerbufError("ARGUMENT_INVALID", `option "fill" is ${fill}: use a 32-bit number`);
  }
  return {
    place: oneOf<VramPart>(options, "place", ["visible", "hidden", "any"], "visible"),
    shareable: oneOf(options, "shareable", ["anywhere", "system-only"] as const, "anywhere"),
    compressed: oneOf(options, "compressed", [false, true], false),
    fill,
  };
}

/** Stage 3: the GPU's word on peers for a buffer that lies in VRAM. */
export function judgePeer(
  wishes: GpuWishes,
  ranges: readonly VramRange[],
  visibleBytes: number,
): AttachAnswer {
  if (wishes.shareable === "system-only") {
    return redirect(SYSTEM_ONLY);
  }
  if (wishes.compressed) {
    return narrow([P2P], COMPRESSED);
  }
  const hiddenBytes = hiddenPart(ranges, visibleBytes);
  if (hiddenBytes > 0) {
    const text = `${hiddenBytes} bytes of the buffer lie behind the ${visibleBytes} bytes of VRAM that the BAR shows`;
    return narrow([P2P], reason("VRAM_NOT_VISIBLE", text, { hiddenBytes, visibleBytes }));
  }
  return ACCEPT;
}

/** Bytes of the ranges that the BAR does not show. */
export function hiddenPart(ranges: readonly VramRange[], visibleBytes: number): number {
  return ranges.reduce((sum, { offset, lengthBytes }) => {
    const hidden = Math.max(0, offset + lengthBytes - Math.max(offset, visibleBytes));
    return sum + hidden;
  }, 0);
}

const SYSTEM_ONLY = reason(
  "SHARED_AS_SYSTEM_ONLY",
  "the user shares it through system memory only",
);
const COMPRESSED = reason(
  "CONTENT_COMPRESSED",
  "the content is compressed: only this GPU reads it",
);
