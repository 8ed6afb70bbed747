/**
 * Requests: how many single requests of 4 KiB a second the modelled machine serves through an IOMMU.
 *
 * Each goes up through the two ports of a switch and a root port, is translated, goes down the other side and moves its
 * bytes: three bridges each way.
 */
import { type Bench, type BenchResult, meets, rounded } from "./bench.ts";
import { MEMORY_BYTES, openPeerRead, TRANSLATED } from "./dma.ts";
import { elapsedNs, medianOf } from "./measure.ts";

const REQUEST_BYTES = 4096;
const BAR = { value: ">= 1000000" };

export const iommuRequests: Bench = {
  name: "machine.requests-iommu-4KiB",
  run({ quick }): BenchResult {
    const readAll = openPeerRead(REQUEST_BYTES, TRANSLATED);
    const passes = quick ? 1 : 100;
    const requests = (passes * MEMORY_BYTES) / REQUEST_BYTES;
    const perSecond = (): number => {
      const timeNs = elapsedNs(() => {
        for (let pass = 0; pass < passes; pass++) {
          readAll();
        }
      });
      return requests / (timeNs / 1e9);
    };
    perSecond(); // Warms up.
    const value = medianOf(Array.from({ length: quick ? 1 : 9 }, perSecond));
    return {
      name: this.name,
      unit: "requests/s",
      value: rounded(value),
      bar: BAR,
      ok: meets(BAR, value, undefined),
    };
  },
};
