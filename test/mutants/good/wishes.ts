/** Wishes: these small drivers know none, and say so. */
import { type AllocateOptions, PeerbufError } from "@peerbuf/core";

export function refuseWishes(driver: string, wishes: AllocateOptions): void {
  const [unknown] = Object.keys(wishes);
  if (unknown !== undefined) {
    throw new PeerbufError("ARGUMENT_INVALID", `${driver} knows no option "${unknown}"`);
  }
}
