/**
 * Probe: an importer of the suite's own, on one of the world's devices.
 *
 * It takes what it is given, is told of moves and does nothing then: the check that made it unmaps.
 */
import {
  type Device,
  DMA,
  type Importer,
  type Lifetime,
  type MappingOffer,
  P2P,
} from "@peerbuf/core";

/** Counts each invalidation, besides being a good importer. */
export interface Probe extends Importer {
  /** How often it was told to let go. */
  told: number;
  /** What it does besides: a good importer may still put the fence of its last work into the buffer. */
  whenTold: (() => void) | undefined;
}

export function probeOn(
  device: Device,
  name: string,
  lifetime: Lifetime,
  types: readonly MappingOffer[] = BOTH,
): Probe {
  const probe: Probe = {
    name,
    device,
    told: 0,
    whenTold: undefined,
    offer: () => ({ answer: "offer", types, reason: OF_THE_KIT }),
    ...(lifetime === "pinned"
      ? {}
      : {
          pins: lifetime === "revocable",
          invalidateMappings: () => {
            probe.told++;
            probe.whenTold?.();
          },
        }),
  };
  return probe;
}

const BOTH: readonly MappingOffer[] = Object.freeze([{ type: P2P }, { type: DMA }]);
const OF_THE_KIT = { code: "PROBE", text: "a probe of the contract suite" };
