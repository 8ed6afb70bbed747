/** The public surface of `@peerbuf/exporters`: one driver a line, and what its users name. */
export { type Gpu, gpu } from "./gpu/gpu.ts";
export type { GpuWishes } from "./gpu/sharing.ts";
export { VramAllocator, type VramPart, type VramRange } from "./gpu/vram-allocator.ts";
export { systemHeap } from "./system-heap.ts";
