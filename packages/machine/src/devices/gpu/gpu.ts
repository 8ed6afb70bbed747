/**
 * GPU: VRAM behind a BAR, copy engines, and a GART. Modelled for sharing memory, not a real GPU.
 *
 * The function's largest prefetchable memory BAR shows the first part of VRAM, as much as fits (or less: see `window`);
 * that is all a peer can reach. Another memory BAR, the smallest that is not prefetchable, holds the
 * registers. The copy engines reach all of VRAM and, by DMA, whatever the fabric lets them, at DMA addresses
 * or at addresses of the GART, which makes scattered pages one range.
 *
 * A GPU that is part of the CPU (an APU) has a carve-out of host memory for VRAM. It has the same
 * BARs, but only for show: nothing answers peers in the large one, as its memory is not behind the
 * PCI function at all.
 *
 * Left out: everything that computes or displays, and page tables of processes.
 */
import { InputError } from "@peerbuf/core";
import type { BarModel, BarShape, DeviceModel } from "../../device-model.ts";
import type { CarveOut } from "../../host-memory.ts";
import { SparseMemory } from "../../sparse-memory.ts";
import { requireBar } from "../bar-choice.ts";
import { registerWindow } from "../register-window.ts";
import type { Vram } from "./copy-engine.ts";
import { GpuRegisters } from "./register-file.ts";
import { GPU_ENGINES_MAX, GPU_REGISTER_BYTES } from "./registers.ts";
import { GpuWindow } from "./window.ts";

export interface GpuOptions {
  /** Size of VRAM in bytes, whole pages. Default 256 MiB; only what is written takes memory. */
  readonly vramBytes?: number;
  /** Host memory to be used as VRAM, whose size it then has: the GPU is an APU. Given back by whoever took it. */
  readonly carveOut?: CarveOut;
  /** 1 to 8. Default 2. */
  readonly copyEngines?: number;
  /**
   * The BAR of VRAM is resizable and shows this much after power-on, in bytes, a power of two from 1 MiB on; a
   * driver may widen it to the BAR of the capture. Default: it shows all it can, and cannot be resized.
   */
  readonly windowBytes?: number;
}

export interface Gpu extends DeviceModel {
  /** Test instrument: VRAM, visible or not, reached past BAR and engine: byte `base + n` of `vram`. */
  inspect(): { readonly vram: SparseMemory; readonly base: number };
}

/** `InputError` for a number of engines that cannot be. A model to be placed behind a function with a prefetchable memory BAR and another one of at least 4 KiB. */
export function createGpu(options: GpuOptions = {}): Gpu {
  const vram = vramOf(options);
  const engineCount = checkedCount(options.copyEngines ?? 2);
  const isCarveOut = options.carveOut !== undefined;
  let registers: GpuRegisters | undefined;

  return {
    name: "gpu",
    connect(port, bars): ReadonlyMap<number, BarModel> {
      const { window: bar, control } = chooseBars(port.bdf, bars);
      const window = isCarveOut ? undefined : new GpuWindow(bar.sizeBytes, options.windowBytes);
      registers = new GpuRegisters(port, vram, engineCount, window);
      const answers = new Map<number, BarModel>([[control.index, registerWindow(registers)]]);
      return window === undefined ? answers : answers.set(bar.index, memoryOf(vram, window));
    },
    reset() {
      registers?.powerOn();
      vram.memory.fill(0, vram.base, vram.sizeBytes);
    },
    inspect: () => ({ vram: vram.memory, base: vram.base }),
  };
}

/** A fixed BAR answers everywhere, so it is not asked each time. */
function memoryOf({ memory }: Vram, window: GpuWindow): BarModel {
  const bar = { kind: "memory", memory, base: 0 } as const;
  return window.sizes === 0
    ? bar
    : { ...bar, accepts: (offset, lengthBytes) => offset + lengthBytes <= window.bytes };
}

function checkedCount(engines: number): number {
  if (Number.isInteger(engines) && engines >= 1 && engines <= GPU_ENGINES_MAX) {
    return engines;
  }
  throw new InputError({
    source: "gpu model",
    place: "copyEngines",
    cause: `${engines} is no number of copy engines from 1 to ${GPU_ENGINES_MAX}`,
    remedy: "State how many it has",
  });
}

function vramOf({ vramBytes = 256 * 2 ** 20, carveOut }: GpuOptions): Vram {
  if (carveOut === undefined) {
    return { memory: new SparseMemory(vramBytes), base: 0, sizeBytes: vramBytes, address: 0 };
  }
  const { ranges } = carveOut.pages;
  const { memory, base } = carveOut;
  return { memory, base, sizeBytes: ranges.sizeBytes, address: ranges.start(0) };
}

function chooseBars(
  bdf: string,
  bars: readonly BarShape[],
): { window: BarShape; control: BarShape } {
  const bySize = [...bars].sort((one, other) => one.sizeBytes - other.sizeBytes);
  const window = bySize.findLast((bar) => bar.prefetchable);
  const control = bySize.find((bar) => !bar.prefetchable && bar.sizeBytes >= GPU_REGISTER_BYTES);
  return {
    window: requireBar(window, bdf, "gpu", "a prefetchable memory BAR for VRAM", bars),
    control: requireBar(
      control,
      bdf,
      "gpu",
      "a non-prefetchable memory BAR of at least 4 KiB for registers",
      bars,
    ),
  };
}
