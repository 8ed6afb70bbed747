/**
 * Platform: the ground that drivers stand on; a modelled machine or a real kernel.
 *
 * Core asks it for devices and DMA addresses; drivers ask it for their hardware, through the
 * tokens in `services.ts`. Everything time-like comes from its clock.
 */
import type { Device } from "./device.ts";
import type { Direction } from "./direction.ts";
import type { DmaLimits } from "./dma-limits.ts";
import type { PhysicalRanges } from "./ranges.ts";
import type { SegmentList } from "./segments.ts";
import type { ServiceRegistry } from "./services.ts";
import type { Clock } from "./sync/clock.ts";

/** Ways for which the DMA layer makes addresses: the two P2P ways, or ordinary system memory. */
export type DmaRoute = "bus-addr" | "host-bridge" | "system";

/**
 * How the bytes get there. `untranslated`: to device memory by a way of the importer's own, such as its
 * own translation or a private link; neither topology nor the DMA layer has a say in it.
 */
export type Route = DmaRoute | "untranslated";

/** One mapping asked of the DMA layer. */
export interface DmaRequest {
  readonly client: Device;
  readonly ranges: PhysicalRanges;
  /** The function whose BAR holds the ranges; `undefined` for system memory. */
  readonly provider: Device | undefined;
  readonly route: DmaRoute;
  readonly direction: Direction;
  readonly limits: DmaLimits;
}

/**
 * The DMA layer's "no": never a wrong mapping. `errno` as Linux 6.12 gives it:
 * EREMOTEIO (P2P not possible on this platform), EIO (out of the device's reach), EINVAL, ENOMEM.
 */
export interface DmaRefusal {
  readonly answer: "refused";
  readonly errno: "EREMOTEIO" | "EIO" | "EINVAL" | "ENOMEM";
  readonly code: string;
  readonly text: string;
}

export interface DmaLayer {
  /** For the record, e.g. `dma-direct`. */
  readonly name: string;
  /** Synchronous, never waits. Takes nothing when it refuses. */
  map(request: DmaRequest): SegmentList | DmaRefusal;
  /** Gives back what `map` took. Called exactly once for each list, with the same client. */
  unmap(client: Device, segments: SegmentList, direction: Direction): void;
}

export interface Platform {
  readonly name: string;
  readonly clock: Clock;
  readonly dma: DmaLayer;
  /** The device with this id; `DEVICE_UNKNOWN` otherwise. The same object every time. */
  device(id: string): Device;
  /** Puts what a driver of `device` may use under its token. `undefined`: a driver without hardware, such as a heap. */
  provide(device: Device | undefined, registry: ServiceRegistry): void;
  /**
   * The driver for which `provide` was called last for this device is closed, or could not be opened: once for each
   * `provide`. A platform that enables devices for their drivers disables them here. Must not throw.
   */
  release?(device: Device | undefined): void;
}
