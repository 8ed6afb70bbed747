/**
 * Device DMA: mappings and coherent memory for a device's own use (queues, rings, page tables).
 *
 * Goes through the platform's DMA layer like any other mapping, so an IOMMU or a guard sees it too; but it
 * is never bounced, as it has no moments at which copies could be made.
 */
import {
  type CoherentMemory,
  type Device,
  type DeviceDma,
  type Direction,
  type DmaAddress,
  type DmaLayer,
  type DmaRefusal,
  type HostMemory,
  type HostPages,
  PeerbufError,
  type PhysicalRanges,
  physicalAddress,
  type SegmentList,
} from "@peerbuf/core";
import type { HandleLedger } from "./handle-ledger.ts";

export class ModelledDeviceDma implements DeviceDma {
  readonly #device: Device;
  readonly #dma: DmaLayer;
  readonly #memory: HostMemory;
  readonly #ledger: HandleLedger;
  readonly #coherent = new Map<CoherentMemory, CoherentPages>();

  constructor(device: Device, dma: DmaLayer, memory: HostMemory, ledger: HandleLedger) {
    this.#device = device;
    this.#dma = dma;
    this.#memory = memory;
    this.#ledger = ledger;
  }

  map(ranges: PhysicalRanges, direction: Direction): SegmentList | DmaRefusal {
    const { limits } = this.#device;
    return this.#dma.map({
      client: this.#device,
      ranges,
      provider: undefined,
      route: "system",
      direction,
      limits,
    });
  }

  unmap(segments: SegmentList, direction: Direction): void {
    this.#dma.unmap(this.#device, segments, direction);
  }

  /** `MEMORY_EXHAUSTED` when there is no contiguous memory that the device reaches with one segment. */
  allocateCoherent(sizeBytes: number): CoherentMemory {
    const pages = this.#memory.allocate(sizeBytes, { contiguous: true });
    const segments = this.map(pages.ranges, "bidirectional");
    if ("answer" in segments || segments.count !== 1) {
      const why = "answer" in segments ? segments.text : "the device's limits cut it";
      if (!("answer" in segments)) {
        this.unmap(segments, "bidirectional");
      }
      this.#memory.free(pages);
      throw new PeerbufError(
        "MEMORY_EXHAUSTED",
        `no coherent memory for ${this.#device.id}: ${why}`,
      );
    }
    const memory = new CoherentPages(pages, segments, this.#memory);
    this.#coherent.set(memory, memory);
    this.#ledger.coherent++;
    return memory;
  }

  /** `HANDLE_CLOSED` for memory that was freed before or comes from another device. */
  freeCoherent(memory: CoherentMemory): void {
    const held = this.#coherent.get(memory);
    if (held === undefined) {
      throw new PeerbufError("HANDLE_CLOSED", `${this.#device.id} holds no such coherent memory`);
    }
    this.#coherent.delete(memory);
    this.#ledger.coherent--;
    held.isFreed = true;
    this.unmap(held.segments, "bidirectional");
    this.#memory.free(held.pages);
  }
}

class CoherentPages implements CoherentMemory {
  readonly deviceAddress: DmaAddress;
  readonly sizeBytes: number;
  readonly pages: HostPages;
  readonly segments: SegmentList;
  isFreed = false;
  readonly #memory: HostMemory;

  constructor(pages: HostPages, segments: SegmentList, memory: HostMemory) {
    this.deviceAddress = segments.address(0);
    this.sizeBytes = pages.ranges.sizeBytes;
    this.pages = pages;
    this.segments = segments;
    this.#memory = memory;
  }

  read(offset: number, target: Uint8Array): void {
    this.#check(offset, target.length);
    this.#memory.read(physicalAddress(this.pages.ranges.start(0) + offset), target);
  }

  write(offset: number, source: Uint8Array): void {
    this.#check(offset, source.length);
    this.#memory.write(physicalAddress(this.pages.ranges.start(0) + offset), source);
  }

  #check(offset: number, lengthBytes: number): void {
    if (this.isFreed) {
      throw new PeerbufError("HANDLE_CLOSED", "this coherent memory was freed");
    }
    if (!(offset >= 0 && offset + lengthBytes <= this.sizeBytes)) {
      throw new PeerbufError(
        "ARGUMENT_INVALID",
        `${lengthBytes} bytes at offset ${offset} are not within ${this.sizeBytes} bytes of coherent memory`,
      );
    }
  }
}
