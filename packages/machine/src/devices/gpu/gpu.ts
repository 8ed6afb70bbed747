/**
 * GPU: VRAM behind a BAR and a copy engine. Modelled for sharing memory, not a real GPU.
 *
 * The function's largest prefetchable memory BAR shows the first part of VRAM, as much as fits;
 * that is all a peer can reach. Another memory BAR, the smallest that is not prefetchable, holds the
 * registers. The copy engine reaches all of VRAM and, by DMA, whatever the fabric lets it.
 *
 * A GPU that is part of the CPU (an APU) has a carve-out of host memory for VRAM. It has the same
 * BARs, but only for show: nothing answers peers in the large one, as its memory is not behind the
 * PCI function at all.
 *
 * Left out: everything that computes or displays, page tables, several engines.
 */
import { PAGE_BYTES } from "@peerbuf/core";
import type { BarModel, BarShape, DeviceModel } from "../../device-model.ts";
import type { CarveOut } from "../../host-memory.ts";
import { SparseMemory } from "../../sparse-memory.ts";
import { requireBar } from "../bar-choice.ts";
import { joinU64 } from "../little-endian.ts";
import { registerWindow } from "../register-window.ts";
import { CopyEngine, type Vram } from "./copy-engine.ts";
import {
  GPU_FAULT,
  GPU_ID,
  GPU_REGISTER,
  GPU_REGISTER_BYTES,
  GPU_RING_ENTRIES_MAX,
  GPU_STATUS,
  GPU_VERSION,
} from "./registers.ts";

export interface GpuOptions {
  /** Size of VRAM in bytes, whole pages. Default 256 MiB; only what is written takes memory. */
  readonly vramBytes?: number;
  /** Host memory to be used as VRAM, whose size it then has: the GPU is an APU. Given back by whoever took it. */
  readonly carveOut?: CarveOut;
}

export interface Gpu extends DeviceModel {
  /** Test instrument: VRAM, visible or not, reached past BAR and engine: byte `base + n` of `vram`. */
  inspect(): { readonly vram: SparseMemory; readonly base: number };
}

/** A model to be placed behind a function with a prefetchable memory BAR and another one of at least 4 KiB. */
export function createGpu(options: GpuOptions = {}): Gpu {
  const vram = vramOf(options);
  const isCarveOut = options.carveOut !== undefined;
  let registers: GpuRegisters | undefined;

  return {
    name: "gpu",
    connect(port, bars): ReadonlyMap<number, BarModel> {
      const { window, control } = chooseBars(port.bdf, bars);
      const visibleBytes = isCarveOut ? 0 : Math.min(window.sizeBytes, vram.sizeBytes);
      registers = new GpuRegisters(new CopyEngine(port, vram), vram, visibleBytes);
      const answers = new Map<number, BarModel>([[control.index, registerWindow(registers)]]);
      return isCarveOut
        ? answers
        : answers.set(window.index, { kind: "memory", memory: vram.memory, base: 0 });
    },
    reset() {
      registers?.powerOn();
      vram.memory.fill(0, vram.base, vram.sizeBytes);
    },
    inspect: () => ({ vram: vram.memory, base: vram.base }),
  };
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

class GpuRegisters {
  readonly #engine: CopyEngine;
  readonly #vram: Vram;
  readonly #visibleBytes: number;
  readonly #written = new Map<number, number>();

  constructor(engine: CopyEngine, vram: Vram, visibleBytes: number) {
    this.#engine = engine;
    this.#vram = vram;
    this.#visibleBytes = visibleBytes;
  }

  powerOn(): void {
    this.#written.clear();
    this.#engine.stop();
  }

  read32(offset: number): number {
    switch (offset) {
      case GPU_REGISTER.ID:
        return GPU_ID;
      case GPU_REGISTER.VERSION:
        return GPU_VERSION;
      case GPU_REGISTER.VRAM_PAGES:
        return this.#vram.sizeBytes / PAGE_BYTES;
      case GPU_REGISTER.VISIBLE_PAGES:
        return this.#visibleBytes / PAGE_BYTES;
      case GPU_REGISTER.HEAD:
        return this.#engine.head;
      case GPU_REGISTER.TAIL:
        return this.#engine.tail;
      case GPU_REGISTER.STATUS:
        return this.#status();
      case GPU_REGISTER.FAULT:
        return this.#engine.fault;
      case GPU_REGISTER.CARVE_OUT_LOW:
        return this.#vram.address % 2 ** 32;
      case GPU_REGISTER.CARVE_OUT_HIGH:
        return Math.floor(this.#vram.address / 2 ** 32);
      default:
        return this.#written.get(offset) ?? 0;
    }
  }

  write32(offset: number, value: number): void {
    switch (offset) {
      case GPU_REGISTER.CONTROL:
        this.#written.set(offset, value & 1);
        this.#control((value & 1) !== 0);
        break;
      case GPU_REGISTER.TAIL:
        this.#engine.ring(value);
        break;
      case GPU_REGISTER.RING_LOW:
      case GPU_REGISTER.RING_HIGH:
      case GPU_REGISTER.RING_ENTRIES:
      case GPU_REGISTER.FENCE_LOW:
      case GPU_REGISTER.FENCE_HIGH:
        this.#written.set(offset, value);
    }
  }

  /** A ring of an impossible size leaves the engine stopped, which STATUS shows. */
  #control(start: boolean): void {
    const ringEntries = this.read32(GPU_REGISTER.RING_ENTRIES);
    if (start && ringEntries >= 2 && ringEntries <= GPU_RING_ENTRIES_MAX) {
      this.#engine.start({
        ringAddress: this.#address(GPU_REGISTER.RING_LOW),
        ringEntries,
        fenceAddress: this.#address(GPU_REGISTER.FENCE_LOW),
      });
    } else {
      this.#engine.stop();
    }
  }

  #address(lowRegister: number): number {
    return joinU64(this.read32(lowRegister), this.read32(lowRegister + 4));
  }

  #status(): number {
    const running = this.#engine.isRunning ? GPU_STATUS.RUNNING : 0;
    const halted = this.#engine.fault === GPU_FAULT.NONE ? 0 : GPU_STATUS.HALTED;
    return running | halted;
  }
}
