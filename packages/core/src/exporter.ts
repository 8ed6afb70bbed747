/**
 * Exporter contract: what a driver that owns memory has to answer.
 *
 * A driver is a plain value. `open` runs once for each device; state lives in its closure; an
 * ability it lacks is an operation it leaves out. Core has checked every request before a driver
 * sees it: sizes are positive whole numbers, attachments are live, calls come in the right order.
 * All operations but those of the CPU (`beginCpuAccess`, `endCpuAccess`, `read`, `write`) are
 * synchronous and never wait; work that takes time is a fence in the answer.
 */
import type { BufferControl, Lifetime } from "./buffer-control.ts";
import type { CpuUse } from "./cpu-access.ts";
import type { Decline, Reason } from "./decision.ts";
import type { Device } from "./device.ts";
import type { Direction } from "./direction.ts";
import type { DmaLimits } from "./dma-limits.ts";
import type { KeptPair, MappingOffer, MappingType } from "./mapping-type.ts";
import type { PhysicalRanges } from "./ranges.ts";
import type { Services } from "./services.ts";
import type { Fence } from "./sync/fence.ts";
import type { PathVerdict } from "./verdict.ts";

export interface ExporterDriver<Options = undefined, Api = object> {
  readonly role: "exporter";
  /** Unique among the drivers of a framework, e.g. `gpu`. */
  readonly name: string;
  /** `true`: must be opened on a device. `false`: a heap. */
  readonly needsDevice: boolean;
  /** Fetches its tokens and prepares the device. May throw `PeerbufError`. */
  open(services: Services, options: Options): Exporter<Api>;
}

/** A driver opened on one device. */
export interface Exporter<Api = object> {
  /** What else the driver offers to its users (fill, counters, ...). */
  readonly api: Api;
  /**
   * Memory for a new buffer of exactly `sizeBytes` (a whole number of pages). `MEMORY_EXHAUSTED` when
   * there is none. `control` is for buffers that move or are revoked; others have no use for it.
   */
  allocate(sizeBytes: number, options: AllocateOptions, control: BufferControl): Storage;
  /**
   * After the last buffer is gone; when the framework closes also while closed buffers wait for work, which
   * then ends here. Gives back all that `open` took.
   */
  close?(): void;
}

/** Wishes a user states when allocating; drivers may define more. Unknown ones are ignored by none: drivers refuse them. */
export type AllocateOptions = Readonly<Record<string, string | number | boolean>>;

/** The operations behind one buffer: the `dma_buf_ops` of peerbuf. */
export interface Storage {
  /** What it can serve, most preferred first; at most 16. Constant for the life of the buffer. */
  readonly types: readonly MappingOffer[];
  /** Why it serves nothing else, e.g. device memory only. On the record where it leaves nothing in common. */
  readonly reason?: Reason;

  /**
   * Stage 3, at attach, before the attachment exists. May strike types or decline. Left out:
   * accepts whatever `types` and topology allow. If it declines, `detach` is not called; if it strikes all
   * that was left, it is.
   */
  attach?(request: AttachRequest): AttachAnswer;
  /** After the last unmap and unpin of this attachment. Undoes `attach`. */
  detach?(client: Device): void;

  /**
   * Stage 5 in place of `place`, for an importer that cannot follow moves and for whoever asks: chooses a
   * place that serves everyone attached, and the bytes stay there until `unpin`. Comes in pairs with
   * `unpin` and may nest. Left out: this memory never moves anyway.
   */
  pin?(request: PlacementRequest): Placement | Decline;
  unpin?(): void;

  /**
   * Stage 5, at each map: where the bytes are to be for this mapping. May answer with other memory
   * than asked for (state a `reason`), start a move (`ready`), or decline. Takes nothing that must
   * be given back: `mapped` and `unmapped` follow only if the mapping comes to be.
   */
  place(request: PlacementRequest): Placement | Decline;
  /** A mapping with this placement now exists. If it throws, the mapping does not come to be. */
  mapped?(placement: Placement): void;
  /** It is gone. Called exactly once for each `mapped` that did not throw. */
  unmapped?(placement: Placement): void;

  /**
   * The exporter's engine copies between the buffer and system memory that an importer brought.
   * `out`: buffer to target; `back`: target to buffer. Left out: an importer cannot bring its own target.
   */
  copy?(target: PhysicalRanges, way: "out" | "back"): Fence;

  /**
   * Around each CPU access: make the bytes coherent for the CPU, and again for devices. Called for every
   * bracket, nested ones too; `endCpuAccess` follows every `beginCpuAccess` that did not throw.
   */
  beginCpuAccess?(use: CpuUse): Promise<void>;
  endCpuAccess?(use: CpuUse): Promise<void>;
  /** The CPU reads or writes the bytes, wherever they are, within a bracket. Left out: this memory is not for the CPU. */
  read?(offset: number, target: Uint8Array): Promise<void>;
  write?(offset: number, source: Uint8Array): Promise<void>;

  /** The last handle is gone; no device can reach the memory any more. Runs once. */
  release(): void;
}

/** Yes, but never in the device's own memory. */
export function redirect(why: Reason): AttachAnswer {
  return { answer: "redirect", reason: why };
}

export interface AttachRequest {
  readonly client: Device;
  readonly importer: string;
  /** The importer's list. */
  readonly offers: readonly MappingOffer[];
  /** Topology's word on the path from this exporter's device to the client. */
  readonly path: PathVerdict;
  /** What the importer does when its mapping is invalidated. */
  readonly lifetime: Lifetime;
  readonly limits: DmaLimits;
}

export type AttachAnswer =
  | { readonly answer: "accept" }
  | {
      readonly answer: "narrow";
      /** The types this attachment shall not use. */
      readonly strike: readonly MappingType[];
      readonly reason: Reason;
    }
  /** The device's memory is not for this importer: it will be given system memory. */
  | { readonly answer: "redirect"; readonly reason: Reason }
  | Decline;

/** Nothing to object. */
export const ACCEPT: { readonly answer: "accept" } = Object.freeze({ answer: "accept" });

/** Yes, but not with these types. */
export function narrow(strike: readonly MappingType[], why: Reason): AttachAnswer {
  return { answer: "narrow", strike, reason: why };
}

export interface PlacementRequest {
  readonly client: Device;
  /** The pair the framework tries now. */
  readonly pair: KeptPair;
  readonly direction: Direction;
  readonly path: PathVerdict;
  readonly lifetime: Lifetime;
}

/** Where the bytes are, for now. The same object may serve many mappings. */
export interface Placement {
  /**
   * `device`: memory behind `provider`'s BAR; `system`: host pages; `carve-out`: host memory that a
   * device has taken for itself (an APU's stolen memory): no page structs, but the root complex serves it.
   */
  readonly target: "device" | "system" | "carve-out";
  /** Exactly the buffer's size. */
  readonly ranges: PhysicalRanges;
  /** The function whose BAR holds the ranges. Required for `device`. */
  readonly provider?: Device;
  /** Signals when the bytes have arrived there. Left out: they are there now. */
  readonly ready?: Fence;
  /** Why it is other memory than asked for. */
  readonly reason?: Reason;
}
