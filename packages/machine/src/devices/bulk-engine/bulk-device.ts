/**
 * Bulk device: a bulk engine with memory of its own, behind the BARs of a captured function.
 *
 * The smallest memory BAR that is not prefetchable and has room holds the registers. Where the device
 * shows its memory, it does so in the largest prefetchable BAR, as much as fits.
 */
import type { BarModel, BarShape, DeviceModel } from "../../device-model.ts";
import { SparseMemory } from "../../sparse-memory.ts";
import { requireBar } from "../bar-choice.ts";
import { registerWindow } from "../register-window.ts";
import { BulkEngine } from "./bulk-engine.ts";
import type { PrivateLink } from "./private-link.ts";
import { BULK_REGISTER_BYTES } from "./registers.ts";

export interface BulkDevice extends DeviceModel {
  /** Test instrument: the bytes of the device's own memory, reached past BAR and engine. */
  inspect(): { readonly memory: SparseMemory };
}

export interface BulkDeviceShape {
  readonly name: string;
  /** One of `BULK_KIND`. */
  readonly kind: number;
  /** Whole pages; only what is written takes memory. */
  readonly memoryBytes: number;
  readonly startNs: number;
  readonly bytesPerNs: number;
  /** Shows its memory in a BAR; the function must then have a prefetchable one. */
  readonly showsMemory: boolean;
  readonly link?: PrivateLink | undefined;
}

export function createBulkDevice(shape: BulkDeviceShape): BulkDevice {
  const { name, kind, startNs, bytesPerNs } = shape;
  const memory = new SparseMemory(shape.memoryBytes);
  const link = shape.link && { wire: shape.link, port: shape.link.join(memory) };
  let engine: BulkEngine | undefined;

  return {
    name,
    connect(port, bars): ReadonlyMap<number, BarModel> {
      engine = new BulkEngine({ port, memory, kind, startNs, bytesPerNs, link });
      const answers = new Map<number, BarModel>();
      answers.set(registerBar(port.bdf, name, bars).index, registerWindow(engine));
      if (shape.showsMemory) {
        const window = windowBar(port.bdf, name, bars);
        answers.set(window.index, { kind: "memory", memory, base: 0 });
      }
      return answers;
    },
    reset() {
      engine?.powerOn();
      memory.clear();
    },
    inspect: () => ({ memory }),
  };
}

function registerBar(bdf: string, name: string, bars: readonly BarShape[]): BarShape {
  const fitting = bars
    .filter((bar) => !bar.prefetchable && bar.sizeBytes >= BULK_REGISTER_BYTES)
    .sort((one, other) => one.sizeBytes - other.sizeBytes);
  const need = "a non-prefetchable memory BAR of at least 256 bytes for registers";
  return requireBar(fitting[0], bdf, name, need, bars);
}

function windowBar(bdf: string, name: string, bars: readonly BarShape[]): BarShape {
  const fitting = bars
    .filter((bar) => bar.prefetchable)
    .sort((one, other) => other.sizeBytes - one.sizeBytes);
  const need = "a prefetchable memory BAR for its memory";
  return requireBar(fitting[0], bdf, name, need, bars);
}
