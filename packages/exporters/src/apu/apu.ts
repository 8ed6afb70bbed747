/**
 * APU: buffers of a GPU that is part of the CPU, whose VRAM is a carve-out of host memory.
 *
 * Its BAR looks like any GPU's and leads peers nowhere. So whoever can do with bare addresses gets the
 * carve-out's physical address, which the root complex serves like all of host memory; everybody
 * else gets ordinary pages, to which the engine moves the buffer (amdgpu, Linux 6.12: aper_base is the
 * carve-out and not BAR 0). Peers are still judged by the GPU's PCI function, as there.
 */
import {
  BARS,
  defineExporter,
  type ExporterDriver,
  PeerbufError,
  type Services,
} from "@peerbuf/core";
import { type GpuParts, startGpu } from "../gpu/gpu-parts.ts";
import { REGISTER_BYTES } from "../gpu/registers.ts";
import { refuseUnknown } from "../wishes.ts";
import { ApuStorage } from "./apu-storage.ts";

export interface Apu {
  /** Size of the carve-out. */
  readonly vramBytes: number;
  /** Where the host sees it. */
  readonly carveOutStart: number;
  freeBytes(): number;
}

/** Registers beside those that every GPU of this kind has. */
const CARVE_OUT_LOW = 0x38;
const CARVE_OUT_HIGH = 0x3c;

export const apu: ExporterDriver<undefined, Apu> = defineExporter<undefined, Apu>({
  name: "apu",
  needsDevice: true,

  open(services) {
    const carveOutStart = readCarveOut(services);
    const parts: GpuParts = startGpu(services);
    const { vram, engine } = parts;

    return {
      api: { vramBytes: vram.vramBytes, carveOutStart, freeBytes: () => vram.freeBytes("any") },
      allocate(sizeBytes, wishes, control) {
        refuseUnknown(wishes, [], "apu");
        return new ApuStorage(parts, carveOutStart, sizeBytes, control);
      },
      close: () => engine.close(),
    };
  },
});

/** `DEVICE_FAILED` for a GPU with memory of its own: that one is for the driver `gpu`. */
function readCarveOut(services: Services): number {
  const { memory } = services.get(BARS);
  const registers = memory
    .filter(({ prefetchable, sizeBytes }) => !prefetchable && sizeBytes >= REGISTER_BYTES)
    .sort((one, other) => one.sizeBytes - other.sizeBytes)[0];
  const low = registers?.read32(CARVE_OUT_LOW) ?? 0;
  const high = registers?.read32(CARVE_OUT_HIGH) ?? 0;
  const start = high * 2 ** 32 + low;
  if (start === 0 || !Number.isSafeInteger(start)) {
    throw new PeerbufError("DEVICE_FAILED", "apu: this GPU has no carve-out of host memory");
  }
  return start;
}
