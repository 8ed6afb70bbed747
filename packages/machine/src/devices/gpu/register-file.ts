/**
 * GPU register file: what is where in the register BAR, and the engines behind it.
 */
import { PAGE_BYTES } from "@peerbuf/core";
import type { DevicePort } from "../../device-model.ts";
import { joinU64 } from "../little-endian.ts";
import type { Registers32 } from "../register-window.ts";
import { CopyEngine, type Vram } from "./copy-engine.ts";
import { Gart } from "./gart.ts";
import {
  GPU_ENGINE_STRIDE,
  GPU_FAULT,
  GPU_ID,
  GPU_REGISTER,
  GPU_RING_ENTRIES_MAX,
  GPU_STATUS,
  GPU_VERSION,
} from "./registers.ts";
import type { GpuWindow } from "./window.ts";

/** Registers of one engine, by their offset from its first. */
const ENGINE_MEMORY: ReadonlySet<number> = new Set([
  GPU_REGISTER.RING_LOW,
  GPU_REGISTER.RING_HIGH,
  GPU_REGISTER.RING_ENTRIES,
  GPU_REGISTER.FENCE_LOW,
  GPU_REGISTER.FENCE_HIGH,
]);

export class GpuRegisters implements Registers32 {
  readonly #vram: Vram;
  readonly #window: GpuWindow | undefined;
  readonly #gart: Gart;
  readonly #engines: readonly CopyEngine[];
  readonly #written = new Map<number, number>();

  /** `window` undefined: VRAM is not behind a BAR at all. */
  constructor(port: DevicePort, vram: Vram, engineCount: number, window: GpuWindow | undefined) {
    this.#vram = vram;
    this.#window = window;
    const gart = new Gart(port);
    this.#gart = gart;
    this.#engines = Array.from(
      { length: engineCount },
      (_, number) => new CopyEngine(port, vram, gart, number),
    );
  }

  powerOn(): void {
    this.#written.clear();
    this.#window?.reset();
    this.#gart.place(0, 0);
    for (const engine of this.#engines) {
      engine.stop();
    }
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
        return Math.min(this.#window?.bytes ?? 0, this.#vram.sizeBytes) / PAGE_BYTES;
      case GPU_REGISTER.WINDOW_SIZES:
        return this.#window?.sizes ?? 0;
      case GPU_REGISTER.WINDOW_SIZE:
        return this.#window?.power ?? 0;
      case GPU_REGISTER.CARVE_OUT_LOW:
        return this.#vram.address % 2 ** 32;
      case GPU_REGISTER.CARVE_OUT_HIGH:
        return Math.floor(this.#vram.address / 2 ** 32);
      case GPU_REGISTER.ENGINES:
        return this.#engines.length;
      default:
        return this.#readEngine(offset) ?? this.#written.get(offset) ?? 0;
    }
  }

  write32(offset: number, value: number): void {
    switch (offset) {
      case GPU_REGISTER.GART_LOW:
      case GPU_REGISTER.GART_HIGH:
        this.#written.set(offset, value);
        break;
      case GPU_REGISTER.GART_PAGES:
        this.#written.set(offset, value);
        this.#gart.place(this.#address(GPU_REGISTER.GART_LOW), value);
        break;
      case GPU_REGISTER.WINDOW_SIZE:
        this.#window?.resize(value);
        break;
      case GPU_REGISTER.GART_FLUSH:
        this.#gart.flush();
        break;
      default:
        this.#writeEngine(offset, value);
    }
  }

  /** `undefined`: no register of an engine's that the engine answers for. */
  #readEngine(offset: number): number | undefined {
    const inEngine = offset % GPU_ENGINE_STRIDE;
    const engine = this.#engines[(offset - inEngine) / GPU_ENGINE_STRIDE];
    switch (inEngine) {
      case GPU_REGISTER.HEAD:
        return engine?.head;
      case GPU_REGISTER.TAIL:
        return engine?.tail;
      case GPU_REGISTER.STATUS:
        return engine && statusOf(engine);
      case GPU_REGISTER.FAULT:
        return engine?.fault;
      case GPU_REGISTER.FAULT_LOW:
        return engine && engine.faultAddress % 2 ** 32;
      case GPU_REGISTER.FAULT_HIGH:
        return engine && Math.floor(engine.faultAddress / 2 ** 32);
      default:
        return undefined;
    }
  }

  #writeEngine(offset: number, value: number): void {
    const inEngine = offset % GPU_ENGINE_STRIDE;
    const first = offset - inEngine;
    const engine = this.#engines[first / GPU_ENGINE_STRIDE];
    if (engine === undefined) {
      return;
    }
    if (inEngine === GPU_REGISTER.CONTROL) {
      this.#written.set(offset, value & 1);
      this.#control(engine, first, (value & 1) !== 0);
    } else if (inEngine === GPU_REGISTER.TAIL) {
      engine.ring(value);
    } else if (ENGINE_MEMORY.has(inEngine)) {
      this.#written.set(offset, value);
    }
  }

  /** A ring of an impossible size leaves the engine stopped, which STATUS shows. */
  #control(engine: CopyEngine, first: number, start: boolean): void {
    const ringEntries = this.read32(first + GPU_REGISTER.RING_ENTRIES);
    if (start && ringEntries >= 2 && ringEntries <= GPU_RING_ENTRIES_MAX) {
      engine.start({
        ringAddress: this.#address(first + GPU_REGISTER.RING_LOW),
        ringEntries,
        fenceAddress: this.#address(first + GPU_REGISTER.FENCE_LOW),
      });
    } else {
      engine.stop();
    }
  }

  #address(lowRegister: number): number {
    return joinU64(this.read32(lowRegister), this.read32(lowRegister + 4));
  }
}

function statusOf(engine: CopyEngine): number {
  const running = engine.isRunning ? GPU_STATUS.RUNNING : 0;
  const halted = engine.fault === GPU_FAULT.NONE ? 0 : GPU_STATUS.HALTED;
  return running | halted;
}
