/**
 * BAR memory: a card that is nothing but memory behind a BAR, such as an FPGA board handed to user space.
 *
 * The function's largest memory BAR shows all of it. It issues no requests. A function reset clears it.
 */
import type { BarModel, BarShape, DeviceModel } from "../device-model.ts";
import { SparseMemory } from "../sparse-memory.ts";
import { requireBar } from "./bar-choice.ts";

export interface BarMemory extends DeviceModel {
  /** Test instrument: the bytes, reached past the BAR. Undefined before it is placed. */
  inspect(): { readonly memory: SparseMemory | undefined };
}

/** A model to be placed behind a function with a memory BAR of at least a page. */
export function createBarMemory(): BarMemory {
  let memory: SparseMemory | undefined;

  return {
    name: "bar-memory",
    connect(port, bars): ReadonlyMap<number, BarModel> {
      const bar = requireBar(largest(bars), port.bdf, "bar-memory", "a memory BAR", bars);
      memory = new SparseMemory(bar.sizeBytes);
      return new Map([[bar.index, { kind: "memory", memory, base: 0 }]]);
    },
    reset: () => memory?.clear(),
    inspect: () => ({ memory }),
  };
}

const largest = (bars: readonly BarShape[]): BarShape | undefined =>
  [...bars].sort((one, other) => other.sizeBytes - one.sizeBytes)[0];
