/**
 * DMA: peer-to-peer reads through the modelled fabric, kept apart by the guard or translated by an IOMMU,
 * against plain copies.
 *
 * Both sides copy the same amount between memories that are laid out alike, in pieces of the same
 * size and at the same offsets, touched before: memcpy is much slower where offsets differ slightly.
 */
import {
  assert,
  type Device,
  type DmaAddress,
  type DmaRoute,
  PhysicalRanges,
  UNLIMITED,
} from "@peerbuf/core";
import {
  CHUNK_BYTES,
  createMachine,
  createModelledPlatform,
  type DeviceModel,
  type DevicePort,
  type DmaPlatform,
  SparseMemory,
} from "@peerbuf/machine";
import { type Bench, type BenchResult, meets, rounded } from "./bench.ts";
import { elapsedNs, measure } from "./measure.ts";
import { LARGE_BAR_BYTES, largeBar, switchWithTwo } from "./two-devices.ts";

/** Small enough for the caches: at the speed of main memory the fabric's own cost would hardly show. */
export const MEMORY_BYTES: number = 4 * 2 ** 20;
const ROUND_BYTES = 256 * 2 ** 20;

export interface Way {
  readonly dma: DmaPlatform;
  readonly route: DmaRoute;
}

/** Below the switch, within the guard. */
const BELOW: Way = { dma: "direct", route: "bus-addr" };
/** Up to the root complex, translated, and down again. */
export const TRANSLATED: Way = { dma: "iommu", route: "host-bridge" };

export const dma2MiB: Bench = dmaBench("machine.dma-2MiB", 2 * 2 ** 20, 0.9, BELOW);
export const dma64KiB: Bench = dmaBench("machine.dma-64KiB", 64 * 1024, 0.9, BELOW);
export const dma4KiB: Bench = dmaBench("machine.dma-4KiB", 4096, 0.5, BELOW);
export const dmaIommu2MiB: Bench = dmaBench("machine.dma-iommu-2MiB", 2 * 2 ** 20, 0.8, TRANSLATED);

function dmaBench(name: string, pieceBytes: number, ratioMin: number, way: Way): Bench {
  const bar = { ratio: `>= ${ratioMin}` };
  return {
    name,
    run({ quick }): BenchResult {
      const throughFabric = openPeerRead(pieceBytes, way);
      const plain = openPlainCopy(pieceBytes);
      const passes = quick ? 1 : ROUND_BYTES / MEMORY_BYTES;
      const gigabytesPerSecond = (pass: () => void): number => {
        const timeNs = elapsedNs(() => {
          for (let index = 0; index < passes; index++) {
            pass();
          }
        });
        return (passes * MEMORY_BYTES) / timeNs;
      };
      const { value, baseline } = measure(
        quick ? 1 : 9,
        () => gigabytesPerSecond(throughFabric),
        () => gigabytesPerSecond(plain),
      );
      const ratio = value / baseline;
      return {
        name,
        unit: "GB/s",
        value: rounded(value),
        baseline: { name: "plain copy", value: rounded(baseline) },
        ratio: rounded(ratio),
        bar,
        ok: meets(bar, value, ratio),
      };
    },
  };
}

/** One pass: a device reads all of its peer's memory into its own, piece by piece. */
export function openPeerRead(pieceBytes: number, { dma, route }: Way): () => void {
  const topology = switchWithTwo();
  const machine = createMachine({ topology });
  const platform = createModelledPlatform(machine, { dma });
  const [provider, client] = Array.from(topology.endpoints, (row) =>
    platform.device(topology.bdfOf(row)),
  ) as [Device, Device];
  const bar = largeBar(topology);
  const peer = touchedMemory(LARGE_BAR_BYTES);
  const own = touchedMemory(MEMORY_BYTES);
  let port: DevicePort | undefined;
  machine.place(provider.id, memoryModel(bar.index, peer));
  machine.place(
    client.id,
    engineModel((link) => (port = link)),
  );
  const segments = platform.dma.map({
    client,
    provider,
    ranges: new PhysicalRanges(Float64Array.of(bar.start, MEMORY_BYTES)),
    route,
    direction: "to-device",
    limits: UNLIMITED,
  });
  assert(!("answer" in segments) && port !== undefined, "the platform maps peer memory");
  return reader(port, segments.address(0), own, pieceBytes);
}

function reader(
  port: DevicePort,
  address: DmaAddress,
  own: SparseMemory,
  pieceBytes: number,
): () => void {
  return () => {
    let isComplete = true;
    for (let offset = 0; offset < MEMORY_BYTES; offset += pieceBytes) {
      isComplete = port.readInto(address + offset, own, offset, pieceBytes).ok && isComplete;
    }
    assert(isComplete, "every byte arrived");
  };
}

/** The same without a fabric: chunks as large as the model's, so that both sides meet the same memory. */
function openPlainCopy(pieceBytes: number): () => void {
  const chunks = (): Uint8Array[] =>
    Array.from({ length: MEMORY_BYTES / CHUNK_BYTES }, () => new Uint8Array(CHUNK_BYTES).fill(1));
  const sources = chunks();
  const targets = chunks();
  return () => {
    for (let index = 0; index < sources.length; index++) {
      const source = sources[index] as Uint8Array;
      const target = targets[index] as Uint8Array;
      for (let offset = 0; offset < CHUNK_BYTES; offset += pieceBytes) {
        target.set(source.subarray(offset, offset + pieceBytes), offset);
      }
    }
  };
}

/** Only what the bench uses is touched, so only that is real. */
function touchedMemory(sizeBytes: number): SparseMemory {
  const memory = new SparseMemory(sizeBytes);
  memory.fill(1, 0, MEMORY_BYTES);
  return memory;
}

const memoryModel = (index: number, memory: SparseMemory): DeviceModel => ({
  name: "memory",
  connect: () => new Map([[index, { kind: "memory", memory, base: 0 }]]),
  reset: () => undefined,
});

const engineModel = (connected: (port: DevicePort) => void): DeviceModel => ({
  name: "engine",
  connect(port) {
    connected(port);
    return new Map();
  },
  reset: () => undefined,
});
