/**
 * Traced platform: a platform that remembers what core mapped for whom.
 *
 * A wrapper around the DMA layer. Where a buffer's bytes lie is known to the two drivers and the DMA
 * layer only; a proof that reads memory past all of them needs to know where to look.
 */
import type { Device, DmaRequest, PhysicalRanges, Platform } from "@peerbuf/core";

export interface TracedPlatform {
  readonly platform: Platform;
  /** The memory of the last mapping made for this device since `forget`. */
  lastMappedFor(client: Device): PhysicalRanges | undefined;
  forget(): void;
}

export function tracePlatform(inner: Platform): TracedPlatform {
  const rangesByClient = new Map<Device, PhysicalRanges>();
  const { dma } = inner;
  return {
    platform: {
      name: inner.name,
      clock: inner.clock,
      device: (id) => inner.device(id),
      provide: (device, registry) => inner.provide(device, registry),
      dma: {
        name: dma.name,
        map(request: DmaRequest) {
          const answer = dma.map(request);
          if (!("answer" in answer)) {
            rangesByClient.set(request.client, request.ranges);
          }
          return answer;
        },
        unmap: (client, segments, direction) => dma.unmap(client, segments, direction),
      },
    },
    lastMappedFor: (client) => rangesByClient.get(client),
    forget: () => rangesByClient.clear(),
  };
}
