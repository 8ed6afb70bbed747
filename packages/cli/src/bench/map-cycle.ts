/**
 * Map cycle: attach, map, unmap, detach through the framework, with and without a pin, against the same
 * steps as plain callbacks.
 */
import { type DmaRequest, type SegmentList, UNLIMITED } from "@peerbuf/core";
import { type Bench, type BenchResult, meets, rounded } from "./bench.ts";
import { elapsedNs, measure } from "./measure.ts";
import { openSharing, type Sharing } from "./sharing.ts";

const BAR = { value: "<= 2000" };

export const mapCycle: Bench = cycleBench("core.map-cycle", cycle);
export const pinCycle: Bench = cycleBench("core.pin-cycle", pinnedCycle);

function cycleBench(name: string, one: (sharing: Sharing) => void): Bench {
  return {
    name,
    run({ quick }): BenchResult {
      using sharing = openSharing();
      const cycles = quick ? 200 : 50_000;
      const plain = plainCycle(sharing);
      const { value, baseline } = measure(
        quick ? 1 : 9,
        () => elapsedNs(() => repeat(cycles, () => one(sharing))) / cycles,
        () => elapsedNs(() => repeat(cycles, plain)) / cycles,
      );
      return {
        name,
        unit: "ns/cycle",
        value: rounded(value),
        baseline: { name: "plain callbacks", value: rounded(baseline) },
        ratio: rounded(baseline / value),
        bar: BAR,
        ok: meets(BAR, value, undefined),
      };
    },
  };
}

/** One whole life of an attachment. */
export function cycle({ buffer, importer }: Sharing): void {
  const attachment = buffer.attach(importer);
  const mapping = attachment.map("to-device");
  mapping.unmap();
  attachment.detach();
}

function pinnedCycle({ buffer, importer }: Sharing): void {
  const attachment = buffer.attach(importer);
  attachment.pin();
  const mapping = attachment.map("to-device");
  mapping.unmap();
  attachment.unpin();
  attachment.detach();
}

export function repeat(count: number, work: () => void): void {
  for (let index = 0; index < count; index++) {
    work();
  }
}

/** What remains without record, checks and handles: each party is asked once, and the DMA layer maps. */
function plainCycle({ platform, importer, placement, buffer }: Sharing): () => void {
  const facts = { name: buffer.name, sizeBytes: buffer.sizeBytes, exporter: buffer.exporter };
  const steps = {
    attach: () => importer.offer(facts),
    place: () => placement,
    map: (request: DmaRequest) => platform.dma.map(request),
    unmap: (segments: SegmentList) => platform.dma.unmap(importer.device, segments, "to-device"),
  };
  return () => {
    steps.attach();
    const { ranges, provider } = steps.place();
    const segments = steps.map({
      client: importer.device,
      ranges,
      provider,
      route: "bus-addr",
      direction: "to-device",
      limits: UNLIMITED,
    });
    if (!("answer" in segments)) {
      steps.unmap(segments);
    }
  };
}
