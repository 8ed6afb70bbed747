/**
 * GPU parts: what all buffers of one GPU share, found and started once.
 */
import {
  BARS,
  type Bar,
  type Bars,
  CLOCK,
  DEVICE,
  DEVICE_DMA,
  type Device,
  type DeviceDma,
  FENCES,
  type FenceDomain,
  HOST_MEMORY,
  type HostMemory,
  INTERRUPTS,
  PAGE_BYTES,
  PeerbufError,
  type Services,
} from "@peerbuf/core";
import { Afterwards } from "./afterwards.ts";
import { CopyEngine } from "./copy-engine.ts";
import { ID, REGISTER, REGISTER_BYTES } from "./registers.ts";
import { Residents } from "./residents.ts";
import { VramAllocator } from "./vram-allocator.ts";

export interface GpuParts {
  readonly device: Device;
  readonly label: string;
  readonly memory: HostMemory;
  readonly dma: DeviceDma;
  readonly fences: FenceDomain;
  /** The BAR that shows the first part of VRAM. */
  readonly window: Bar;
  readonly vram: VramAllocator;
  readonly residents: Residents;
  readonly engine: CopyEngine;
  readonly afterwards: Afterwards;
  /** `DEVICE_GONE` when its registers answer no more: then what its memory seemed to hold was not there. */
  requireAnswer(): void;
}

/** `DEVICE_FAILED` when the registers do not answer as a GPU's. */
export function startGpu(services: Services): GpuParts {
  const device = services.get(DEVICE);
  const label = `gpu ${device.id}`;
  const fences = services.get(FENCES);
  const dma = services.get(DEVICE_DMA);
  const { window, registers } = findBars(services.get(BARS), label);
  const vramBytes = registers.read32(REGISTER.VRAM_PAGES) * PAGE_BYTES;
  widenWindow(registers);
  const visibleBytes = registers.read32(REGISTER.VISIBLE_PAGES) * PAGE_BYTES;
  const interrupts = services.get(INTERRUPTS);
  const clock = services.get(CLOCK);
  const vram = new VramAllocator(vramBytes, visibleBytes);
  return {
    device,
    label,
    memory: services.get(HOST_MEMORY),
    dma,
    fences,
    window,
    vram,
    residents: new Residents(vram),
    engine: new CopyEngine({ label, registers, dma, interrupts, clock, fences }),
    afterwards: new Afterwards(fences, `${label} after other work`),
    requireAnswer: () => {
      if (registers.read32(REGISTER.ID) !== ID) {
        throw new PeerbufError("DEVICE_GONE", `${label} does not answer any more`);
      }
    },
  };
}

/** All of a resizable BAR, as amdgpu asks for (6.12: amdgpu_device_resize_fb_bar). */
function widenWindow(registers: Bar): void {
  const sizes = registers.read32(REGISTER.WINDOW_SIZES);
  if (sizes !== 0) {
    registers.write32(REGISTER.WINDOW_SIZE, 31 - Math.clz32(sizes));
  }
}

/** The window is the largest prefetchable BAR; the registers are in the smallest other one that holds them. */
function findBars(bars: Bars, label: string): { window: Bar; registers: Bar } {
  const bySize = [...bars.memory].sort((one, other) => one.sizeBytes - other.sizeBytes);
  const window = bySize.findLast((bar) => bar.prefetchable);
  const registers = bySize.find((bar) => !bar.prefetchable && bar.sizeBytes >= REGISTER_BYTES);
  const id = registers?.read32(REGISTER.ID);
  if (window === undefined || registers === undefined || id !== ID) {
    const found = id === undefined ? "no BAR for them" : `0x${id.toString(16)}`;
    throw new PeerbufError("DEVICE_FAILED", `${label}: no GPU registers answer (${found})`);
  }
  return { window, registers };
}
