/**
 * Framework: the one place where platform, rules and drivers meet.
 *
 * Opens drivers, each once for a device and with a private typedi container of its own; hands out
 * buffers; counts what is out; and at the end says what was not given back. Nothing else in core
 * knows that a container exists.
 */
import type { Observable } from "rxjs";
import type { DmaBuf } from "./dma-buf.ts";
import type { FrameworkEvent } from "./events.ts";
import type { AllocateOptions, ExporterDriver } from "./exporter.ts";
import type { ImporterDriver } from "./importer.ts";
import type { Platform } from "./platform.ts";
import type { WaitOptions } from "./sync/wait.ts";
import type { Judge } from "./verdict.ts";

export interface FrameworkOptions {
  readonly platform: Platform;
  /** The rules of topology. */
  readonly judge: Judge;
  /** Errors name the line that made a handle, for attachments and mappings too. Costs about 2 µs a handle. */
  readonly traceHandles?: boolean;
}

/** What is out and not yet given back. */
export interface HandleCounts {
  readonly drivers: number;
  readonly buffers: number;
  readonly attachments: number;
  readonly mappings: number;
  readonly pins: number;
}

/** An importer driver opened on a device. */
export interface Opened<Api> extends Disposable {
  readonly api: Api;
  /** An exporter: `WRONG_ORDER` while a buffer of it lives. An importer says itself what it refuses, or ends its work. */
  close(): void;
}

/** An exporter driver opened on a device. */
export interface OpenedExporter<Api> extends Opened<Api> {
  /** A new buffer: `SIZE_INVALID`, `MEMORY_EXHAUSTED`, `HANDLE_CLOSED` after close, or what the driver refuses. */
  allocate(sizeBytes: number, options?: AllocateOptions & { readonly name?: string }): DmaBuf;
}

export interface Framework extends Disposable {
  readonly platform: Platform;
  /** For people and tools. Completes at close. */
  readonly events: Observable<FrameworkEvent>;
  /** `deviceId` is left out for a driver without hardware. Each driver is opened once for a device. */
  openExporter<Options, Api>(
    driver: ExporterDriver<Options, Api>,
    deviceId: string | undefined,
    options: Options,
  ): OpenedExporter<Api>;
  openImporter<Options, Api>(
    driver: ImporterDriver<Options, Api>,
    deviceId: string | undefined,
    options: Options,
  ): Opened<Api>;
  handles(): HandleCounts;
  /**
   * Resolves when no closed buffer waits for work on its bytes any more: every exporter has its memory
   * back. `WAIT_TIMED_OUT`, `WAIT_INTERRUPTED` as any wait.
   */
  idle(options?: WaitOptions): Promise<void>;
  /**
   * Closes everything in reverse order. Whatever the user still held is given back first, and then
   * named in a `HANDLE_LEAKED` error. Work that still runs ends with its driver: to let it finish, wait
   * for `idle()` first.
   */
  close(): void;
}
