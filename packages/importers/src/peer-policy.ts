/**
 * Peer policy: how an importer of ours answers when the bytes may lie in another device.
 *
 * The same answers for every driver here that follows DMA addresses only and never needs the CPU to
 * look at pages, so peer memory is as good as the host's unless the user says otherwise.
 */
import {
  askSystem,
  DMA,
  type DmaLimits,
  type MappingOffer,
  type Offer,
  P2P,
  type PhysicalRanges,
  type Proposal,
  reason,
  TAKE,
  type TakeAnswer,
} from "@peerbuf/core";

export interface PeerOptions {
  /**
   * `accept` (default): peer memory or the host's; `decline`: never peer memory; `require`: nothing but
   * peer memory, so a fall-back is an error.
   */
  readonly peerToPeer?: "accept" | "decline" | "require";
  /** More segments of peer memory than this in one mapping: asks for system memory instead. */
  readonly peerSegmentsMax?: number;
}

/** Stage 1. `target`: memory of the driver's own, when it brings some. */
export function offerFor(options: PeerOptions, limits: DmaLimits, target?: PhysicalRanges): Offer {
  if (target !== undefined) {
    return { answer: "offer", types: SYSTEM_ONLY, limits, target, reason: BRINGS_OWN };
  }
  switch (options.peerToPeer ?? "accept") {
    case "decline":
      return { answer: "offer", types: SYSTEM_ONLY, limits, reason: DISABLED };
    case "require":
      return { answer: "offer", types: PEER_ONLY, limits };
    default:
      return { answer: "offer", types: ANYTHING, limits };
  }
}

/** Stage 7. */
export function lookAt(options: PeerOptions, { target, segments }: Proposal): TakeAnswer {
  const limit = options.peerSegmentsMax ?? Number.POSITIVE_INFINITY;
  if (target !== "device" || segments.count <= limit) {
    return TAKE;
  }
  const text = `peer memory in ${segments.count} segments: more than the ${limit} it takes`;
  return askSystem(reason("PEER_SEGMENTS", text, { segments: segments.count, limit }));
}

const ANYTHING: readonly MappingOffer[] = [{ type: P2P }, { type: DMA }];
const PEER_ONLY: readonly MappingOffer[] = [{ type: P2P, require: true }];
const SYSTEM_ONLY: readonly MappingOffer[] = [{ type: DMA }];

const DISABLED = reason("PEER_TO_PEER_DISABLED", "peer-to-peer is switched off for this device");
const BRINGS_OWN = reason("BRINGS_OWN_MEMORY", "it works on system memory of its own, by copies");
