/** The public surface of `@peerbuf/exporters`: one driver a line, and what its users name. */
export {
  type AcceleratorMemory,
  type AcceleratorMemoryOptions,
  acceleratorMemory,
} from "./accelerator-memory.ts";
export { type Apu, apu } from "./apu/apu.ts";
export { type Gpu, gpu } from "./gpu/gpu.ts";
export type { GpuWishes } from "./gpu/sharing.ts";
export { VramAllocator, type VramPart, type VramRange } from "./gpu/vram-allocator.ts";
export { type NvmeCmb, nvmeCmb } from "./nvme-cmb/nvme-cmb.ts";
export { systemHeap } from "./system-heap.ts";
export type { VfioFunction } from "./vfio/revocation.ts";
export { type Vfio, vfio } from "./vfio/vfio.ts";
