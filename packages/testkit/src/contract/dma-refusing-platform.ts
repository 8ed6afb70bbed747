/**
 * DMA-refusing platform: a platform that maps nothing for core, as one without IOVA space or P2P would.
 */
import type { DmaRefusal, Platform } from "@peerbuf/core";

/** The same platform, whose DMA layer refuses what core asks for; a driver's own mappings go on. */
export function withoutDma(inner: Platform): Platform {
  const refusal: DmaRefusal = {
    answer: "refused",
    errno: "EIO",
    code: "REFUSED_BY_SUITE",
    text: "the suite lets no device map anything",
  };
  const { dma } = inner;
  return {
    name: inner.name,
    clock: inner.clock,
    dma: { name: dma.name, map: () => refusal, unmap: (...list) => dma.unmap(...list) },
    device: (id) => inner.device(id),
    provide: (device, registry) => inner.provide(device, registry),
    release: (device) => inner.release?.(device),
  };
}
