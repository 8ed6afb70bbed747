/**
 * Importer contract: what a driver that reaches other people's memory has to answer.
 *
 * The driver itself (`ImporterDriver`) gives its users an API such as "write these blocks"; inside
 * it attaches to buffers with an `Importer`, the small set of answers the framework asks for.
 */
import type { Attachment } from "./attachment.ts";
import type { Decline, Reason } from "./decision.ts";
import type { Device } from "./device.ts";
import type { Direction } from "./direction.ts";
import type { DmaLimits } from "./dma-limits.ts";
import type { Placement } from "./exporter.ts";
import type { MappingOffer, MappingType } from "./mapping-type.ts";
import type { Route } from "./platform.ts";
import type { PhysicalRanges } from "./ranges.ts";
import type { SegmentList } from "./segments.ts";
import type { Services } from "./services.ts";

export interface ImporterDriver<Options = undefined, Api = object> {
  readonly role: "importer";
  /** Unique among the drivers of a framework, e.g. `nvme`. */
  readonly name: string;
  readonly needsDevice: boolean;
  /** Fetches its tokens and starts the device. Returns what its users call. */
  open(services: Services, options: Options): OpenedImporter<Api>;
}

export interface OpenedImporter<Api> {
  readonly api: Api;
  /** Stops the device and gives back all that `open` took. */
  close?(): void;
}

/** Who asks for a buffer, and its answers: the `dma_buf_attach_ops` of peerbuf. */
export interface Importer {
  /** For records and errors, e.g. `nvme`. */
  readonly name: string;
  readonly device: Device;

  /** Stage 1, at attach: what this importer can take from this buffer, or no. Synchronous. */
  offer(buffer: BufferFacts): Offer | Decline;

  /** Stage 7, at map: a last look at what was found. Left out: takes it. Keeps nothing of a proposal it does not take. */
  take?(proposal: Proposal): TakeAnswer;

  /**
   * The buffer moves or is revoked. Stop starting new work on the attachment's mappings, put a fence into
   * the buffer (`addFence`) for work that still runs, and unmap, now or soon. Must not wait, must not
   * fail, and may map again only after it has returned. Left out: the memory must be pinned while mapped.
   */
  invalidateMappings?(attachment: Attachment): void;

  /**
   * `true`: needs the memory pinned although it can be told to let go: `invalidateMappings` then means
   * that the memory is revoked, for good. Without effect when `invalidateMappings` is left out.
   */
  readonly pins?: boolean;
}

export interface BufferFacts {
  readonly name: string;
  readonly sizeBytes: number;
  readonly exporter: string;
}

export interface Offer {
  readonly answer: "offer";
  /** Most preferred first; at most 16. */
  readonly types: readonly MappingOffer[];
  /** Less than the device's own limits, where the importer needs it. */
  readonly limits?: DmaLimits;
  /** Why a type that others offer is missing here, e.g. P2P. Required with `target`. */
  readonly reason?: Reason;
  /**
   * The importer brings system memory of its own from the start: exactly the buffer's size, in host
   * RAM, valid until the last unmap has settled. The exporter's engine copies there and back.
   */
  readonly target?: PhysicalRanges;
}

export interface Proposal {
  readonly type: MappingType;
  readonly target: Placement["target"];
  readonly route: Route;
  readonly segments: SegmentList;
  readonly direction: Direction;
}

export type TakeAnswer =
  | { readonly answer: "take" }
  /** Not this: give me system memory instead. */
  | { readonly answer: "ask-system"; readonly reason: Reason }
  /** Not this: copy through memory of mine. Exactly the buffer's size, in host RAM. */
  | { readonly answer: "substitute"; readonly target: PhysicalRanges; readonly reason: Reason }
  | Decline;

/** Fine as proposed. */
export const TAKE: { readonly answer: "take" } = Object.freeze({ answer: "take" });

export function askSystem(why: Reason): TakeAnswer {
  return { answer: "ask-system", reason: why };
}

export function substitute(target: PhysicalRanges, why: Reason): TakeAnswer {
  return { answer: "substitute", target, reason: why };
}
