/**
 * Bench platform: the smallest platform that core can run on, for core's own tests.
 *
 * A handful of devices on one table, memory that is only numbers, a DMA layer whose addresses are
 * physical ones. It counts what it has mapped, and a device can be told to refuse peers. Bytes that
 * really move are tested on the modelled machine.
 */
import {
  type BufferControl,
  type Device,
  DMA,
  type DmaRefusal,
  type DmaRequest,
  defineExporter,
  type ExporterDriver,
  type Importer,
  type Judge,
  type MappingOffer,
  P2P,
  type PathType,
  PeerbufError,
  PhysicalRanges,
  type Placement,
  type Platform,
  physicalAddress,
  SegmentList,
  type Storage,
  segmentsAtOffset,
  UNLIMITED,
} from "@peerbuf/core";

export const PAGE = 4096;

export interface BenchPlatform extends Platform {
  /** Mappings that the DMA layer has made and not got back. */
  readonly mapped: ReadonlySet<SegmentList>;
}

export function benchPlatform(options: { peerToPeer?: boolean } = {}): BenchPlatform {
  const devices = new Map<string, Device>();
  const mapped = new Set<SegmentList>();
  const map = (request: DmaRequest): SegmentList | DmaRefusal => {
    if (request.route !== "system" && options.peerToPeer === false) {
      return { answer: "refused", errno: "EREMOTEIO", code: "NO_PEERS", text: "no P2P here" };
    }
    const isBus = request.route === "bus-addr";
    const segments = segmentsAtOffset(request.ranges, 0, request.limits, isBus);
    if (segments instanceof SegmentList) {
      mapped.add(segments);
      return segments;
    }
    return { answer: "refused", errno: "EIO", code: segments.code, text: segments.text };
  };
  return {
    name: "bench",
    mapped,
    clock: { nowNs: 0, schedule: () => ({ cancel() {} }) },
    dma: { name: "bench-dma", map, unmap: (_client, segments) => void mapped.delete(segments) },
    device(id) {
      if (!/^[a-z]+\d$/.test(id)) {
        throw new PeerbufError("DEVICE_UNKNOWN", `there is no ${id}`);
      }
      const device = devices.get(id) ?? { id, label: id, bus: "pci", limits: UNLIMITED };
      devices.set(id, device);
      return device;
    },
    provide() {},
  };
}

/** A judge with one answer for every pair. */
export function judgeOf(reads: PathType, writes: PathType = reads): Judge {
  const text = `reads ${reads}, writes ${writes}`;
  const verdict = { reads, writes, distance: 4, reasons: [{ code: "TOLD", at: "bridge0", text }] };
  return { name: "bench-rules", judge: () => verdict };
}

/** Device memory at 64 GiB, host memory at 1 GiB. */
export const inDevice = (provider: Device, sizeBytes: number): Placement => ({
  target: "device",
  provider,
  ranges: PhysicalRanges.of(physicalAddress(0x10_0000_0000), sizeBytes),
});

export const inSystem = (sizeBytes: number): Placement => ({
  target: "system",
  ranges: PhysicalRanges.of(physicalAddress(0x4000_0000), sizeBytes),
});

/** An exporter that puts a buffer where it is asked to; `more` replaces or adds operations. */
export function memoryDriver(
  device: Device,
  more: (sizeBytes: number) => Partial<Storage> = () => ({}),
  onAllocate: (control: BufferControl) => void = () => {},
): ExporterDriver {
  return defineExporter({
    name: "memory",
    needsDevice: true,
    open: () => ({
      api: {},
      allocate(sizeBytes, _wishes, control): Storage {
        onAllocate(control);
        return {
          types: [{ type: P2P }, { type: DMA }],
          place: ({ pair }) =>
            pair.type.memory === "device" ? inDevice(device, sizeBytes) : inSystem(sizeBytes),
          release() {},
          ...more(sizeBytes),
        };
      },
    }),
  });
}

/** An importer that offers these types and takes what it gets; `more` replaces or adds answers. */
export function importerOn(
  device: Device,
  types: readonly MappingOffer[],
  more: Partial<Importer> = {},
): Importer {
  return { name: "reader", device, offer: () => ({ answer: "offer", types }), ...more };
}
