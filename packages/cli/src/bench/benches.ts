/** Benches: all of them, in the order in which they run. */
import { allPairs } from "./all-pairs.ts";
import type { Bench } from "./bench.ts";
import { capturedPairs } from "./captured-pairs.ts";
import { clockEvents } from "./clock.ts";
import { dma2MiB, dma4KiB, dma64KiB, dmaIommu2MiB } from "./dma.ts";
import { explorerChecked, explorerRate } from "./explorer.ts";
import { fenceMerge, reservationAdds } from "./fences.ts";
import { fleetMemory, fleetTime } from "./fleet.ts";
import { bracket, wait } from "./linux-access.ts";
import {
  descriptorPassed,
  handOver1GiB,
  handOverPerByte,
  handOverRoundTrip,
} from "./linux-sharing.ts";
import { machineMemory } from "./machine-memory.ts";
import { mapCycle, pinCycle } from "./map-cycle.ts";
import { mapCycleMemory } from "./map-cycle-memory.ts";
import { explorerReductions } from "./reduction.ts";
import { iommuRequests } from "./requests.ts";
import { timedTransfers } from "./transfers.ts";

/** Of the real kernel: left out where there is none. */
const LINUX: readonly Bench[] =
  process.platform === "linux"
    ? [handOver1GiB, handOverPerByte, handOverRoundTrip, descriptorPassed, wait, bracket]
    : [];

export const BENCHES: readonly Bench[] = [
  allPairs,
  capturedPairs,
  fleetTime,
  fleetMemory,
  mapCycle,
  pinCycle,
  mapCycleMemory,
  reservationAdds,
  fenceMerge,
  dma2MiB,
  dma64KiB,
  dma4KiB,
  dmaIommu2MiB,
  iommuRequests,
  timedTransfers,
  clockEvents,
  machineMemory,
  ...LINUX,
  explorerRate,
  explorerChecked,
  ...explorerReductions,
];
