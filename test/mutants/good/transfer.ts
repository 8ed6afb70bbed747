/** Transfer: how an engine's work ends in the fence that stands for it. */
import { FenceError, type SoftwareFence } from "@peerbuf/core";

/** The device is done, well or not. */
export function ended(fence: SoftwareFence, ok: boolean): void {
  if (!ok) {
    fence.setError(new FenceError("EIO", "the engine met an error"));
  }
  fence.signal();
}
