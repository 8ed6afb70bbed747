/**
 * Traced platform: a platform that remembers what core mapped for whom.
 *
 * A wrapper around the DMA layer. Where a buffer's bytes lie is known to the two drivers and the DMA
 * layer only; a proof that reads memory past all of them needs to know where to look, and a report of a
 * lost request whose mapping its address was in.
 */
import {
  type Device,
  type Direction,
  type DmaLayer,
  type DmaRefusal,
  type DmaRequest,
  HOST_MEMORY,
  type HostMemory,
  type PhysicalRanges,
  type Platform,
  type SegmentList,
} from "@peerbuf/core";

interface LiveMapping {
  readonly device: string;
  readonly segments: SegmentList;
  /** `nvme@0000:16:00.0 on "checkpoint"`; undefined until core has said whose it is. */
  label: string | undefined;
}

export class TracedPlatform {
  readonly platform: Platform;
  readonly #lastByClient = new Map<Device, PhysicalRanges>();
  readonly #live = new Map<SegmentList, LiveMapping>();
  #processorBytes = 0;

  constructor(inner: Platform) {
    this.platform = {
      name: inner.name,
      clock: inner.clock,
      device: (id) => inner.device(id),
      provide: (device, registry) =>
        inner.provide(device, {
          set: (token, service) => {
            if (Object.is(token, HOST_MEMORY)) {
              registry.set(HOST_MEMORY, this.#counted(service as HostMemory));
            } else {
              registry.set(token, service);
            }
          },
        }),
      release: (device) => inner.release?.(device),
      dma: {
        name: inner.dma.name,
        map: (request) => this.#map(inner.dma, request),
        unmap: (client, segments, direction) => this.#unmap(inner.dma, client, segments, direction),
      },
    };
  }

  /** Bytes that drivers' own code, on the processors, has read from and written to host memory. */
  get processorBytes(): number {
    return this.#processorBytes;
  }

  /** The memory of the last mapping made for this device since `forget`. */
  lastMappedFor(client: Device): PhysicalRanges | undefined {
    return this.#lastByClient.get(client);
  }

  forget(): void {
    this.#lastByClient.clear();
  }

  /** Core says whose the last mapping of an importer, `driver@device`, is. */
  name(importer: string, buffer: string): void {
    const device = importer.slice(importer.indexOf("@") + 1);
    for (const mapping of this.#live.values()) {
      if (mapping.label === undefined && mapping.device === device) {
        mapping.label = `${importer} on "${buffer}"`;
      }
    }
  }

  /** The mapping that a request of a device at this address is in; undefined when it is in none of a buffer. */
  mappingAt(device: string, address: number): string | undefined {
    for (const { device: owner, segments, label } of this.#live.values()) {
      if (owner === device && holds(segments, address)) {
        return label;
      }
    }
    return undefined;
  }

  #map(dma: DmaLayer, request: DmaRequest): SegmentList | DmaRefusal {
    const answer = dma.map(request);
    if (!("answer" in answer)) {
      const { client, ranges } = request;
      this.#lastByClient.set(client, ranges);
      this.#live.set(answer, { device: client.id, segments: answer, label: undefined });
    }
    return answer;
  }

  #unmap(dma: DmaLayer, client: Device, segments: SegmentList, direction: Direction): void {
    dma.unmap(client, segments, direction);
    this.#live.delete(segments);
  }

  #counted(memory: HostMemory): HostMemory {
    return {
      allocate: (sizeBytes, options) => memory.allocate(sizeBytes, options),
      free: (pages) => memory.free(pages),
      read: (address, target) => {
        this.#processorBytes += target.length;
        memory.read(address, target);
      },
      write: (address, source) => {
        this.#processorBytes += source.length;
        memory.write(address, source);
      },
    };
  }
}

function holds(segments: SegmentList, address: number): boolean {
  for (let index = 0; index < segments.count; index++) {
    const start = segments.address(index);
    if (address >= start && address < start + segments.lengthBytes(index)) {
      return true;
    }
  }
  return false;
}
