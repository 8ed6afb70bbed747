/**
 * Driver check: what a driver's author tells the kit, so that it can be used without knowing it.
 *
 * A driver module exports the driver as its default and, where the kit needs to be told something, a
 * `check` beside it. An ability that is not named here is not claimed: its checks are reported so.
 */
import type { AllocateOptions, Direction, DmaBuf } from "@peerbuf/core";

export interface ExporterCheck<Options = undefined, Api = object> {
  /** For `open`. */
  readonly options?: Options;
  /** For every allocation. */
  readonly wishes?: AllocateOptions;
  /**
   * Buffers show memory that exists without them (a BAR, a file): two of them may show the same bytes, and a new one
   * shows what is there. Default: every buffer has memory of its own, and a new one holds zeros.
   */
  readonly isWindow?: boolean;
  /** Makes the buffer move, as an eviction would; it may stay where it is when it is pinned. Claims movable memory. */
  move?(api: Api, buffer: DmaBuf): void;
  /** Takes the memory away from everyone, as a reset would; resolves when nobody reaches it. Claims revocation. */
  revoke?(api: Api, buffer: DmaBuf): Promise<void>;
  /** Undoes `revoke`. */
  restore?(api: Api, buffer: DmaBuf): void;
}

export interface ImporterCheck<Options = undefined, Api = object> {
  /** For `open`. */
  readonly options?: Options;
  /** What one use of a buffer does to it; default both `to-device` and `from-device`. */
  readonly directions?: readonly Direction[];
  /**
   * Begins one use of the buffer: attach, map, DMA. Resolves when it is over, with all its device has to do; refusals of
   * core come through, and what the device met as an error does too. Bytes as many as the buffer has, as the value, are
   * what the device has read or written: the suite compares them with what is there.
   */
  start(api: Api, buffer: DmaBuf, direction: Direction): Promise<unknown> | undefined;
  /** Lets go of a buffer that `start` keeps hold of. May come while a use runs: then it waits for it, or is refused. */
  stop?(api: Api, buffer: DmaBuf): Promise<unknown> | undefined;
}

export type DriverCheck<Options = undefined, Api = object> =
  | ExporterCheck<Options, Api>
  | ImporterCheck<Options, Api>;
