/**
 * Traced platform: a platform that remembers what core mapped for whom.
 *
 * A wrapper around the DMA layer. Where a buffer's bytes lie is known to the two drivers and the DMA
 * layer only; a proof that reads memory past all of them needs to know where to look.
 */
import {
  type Device,
  type DmaRequest,
  HOST_MEMORY,
  type HostMemory,
  type PhysicalRanges,
  type Platform,
} from "@peerbuf/core";

export interface TracedPlatform {
  readonly platform: Platform;
  /** The memory of the last mapping made for this device since `forget`. */
  lastMappedFor(client: Device): PhysicalRanges | undefined;
  forget(): void;
  /** Bytes that drivers' own code, on the processors, has read from and written to host memory. */
  readonly processorBytes: number;
}

export function tracePlatform(inner: Platform): TracedPlatform {
  const rangesByClient = new Map<Device, PhysicalRanges>();
  let processorBytes = 0;
  const counted = (memory: HostMemory): HostMemory => ({
    allocate: (sizeBytes, options) => memory.allocate(sizeBytes, options),
    free: (pages) => memory.free(pages),
    read: (address, target) => {
      processorBytes += target.length;
      memory.read(address, target);
    },
    write: (address, source) => {
      processorBytes += source.length;
      memory.write(address, source);
    },
  });
  const { dma } = inner;
  return {
    platform: {
      name: inner.name,
      clock: inner.clock,
      device: (id) => inner.device(id),
      provide: (device, registry) =>
        inner.provide(device, {
          set: (token, service) => {
            if (Object.is(token, HOST_MEMORY)) {
              registry.set(HOST_MEMORY, counted(service as HostMemory));
            } else {
              registry.set(token, service);
            }
          },
        }),
      release: (device) => inner.release?.(device),
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
    get processorBytes() {
      return processorBytes;
    },
  };
}
