/**
 * Services: what a platform offers to a driver, each under a typedi token.
 *
 * A driver fetches its tokens once, in `open`, and holds plain objects afterwards. This is the only
 * way from a driver to hardware, so the same driver file sits on any platform.
 */
import { type ContainerInstance, Token } from "typedi";
import type { DmaAddress, PhysicalAddress } from "./address.ts";
import type { Device } from "./device.ts";
import type { Direction } from "./direction.ts";
import { PeerbufError } from "./error.ts";
import type { DmaRefusal } from "./platform.ts";
import type { PhysicalRanges } from "./ranges.ts";
import type { SegmentList } from "./segments.ts";
import type { Clock } from "./sync/clock.ts";
import type { Fence } from "./sync/fence.ts";
import type { FenceDomain } from "./sync/fence-context.ts";

/** The device a driver was opened on. Absent for drivers without hardware. */
export const DEVICE: Token<Device> = new Token<Device>("device");
/** Ordinary memory of the host. */
export const HOST_MEMORY: Token<HostMemory> = new Token<HostMemory>("host memory");
/** The device's BARs, for the CPU. */
export const BARS: Token<Bars> = new Token<Bars>("BARs");
/** DMA mappings for the device's own use: queues, engines, page tables. */
export const DEVICE_DMA: Token<DeviceDma> = new Token<DeviceDma>("device DMA");
/** The device's interrupts (MSI-X vectors). */
export const INTERRUPTS: Token<Interrupts> = new Token<Interrupts>("interrupts");
/** Virtual time on a modelled machine. Every driver has it. */
export const CLOCK: Token<Clock> = new Token<Clock>("clock");
/** Where a driver makes its timelines: `fences.createContext(...)`. Every driver has it. */
export const FENCES: Token<FenceDomain> = new Token<FenceDomain>("fences");

/** Page-aligned host memory. The pages of one allocation need not be contiguous. */
export interface HostPages {
  readonly ranges: PhysicalRanges;
}

export interface HostMemory {
  /**
   * Whole pages, zeroed, at least `sizeBytes`. `MEMORY_EXHAUSTED` when the node is full.
   * `contiguous` asks for one range (queues); `node` is a hint of a NUMA node.
   */
  allocate(sizeBytes: number, options?: { node?: number; contiguous?: boolean }): HostPages;
  /** Once for each allocation; a second time is `HANDLE_CLOSED`. */
  free(pages: HostPages): void;
  /** The CPU reads bytes at a physical address of RAM into `target`. */
  read(address: PhysicalAddress, target: Uint8Array): void;
  /** The CPU writes bytes to RAM. */
  write(address: PhysicalAddress, source: Uint8Array): void;
  /**
   * The CPU copies the bytes of one allocation to those of another of the same size, when work that others have
   * on them is over; its fence says when, or why not. Left out where drivers bring an engine for that.
   */
  copy?(source: PhysicalRanges, target: PhysicalRanges, fences: FenceDomain): Fence;
}

/** One memory BAR as the CPU sees it. Offsets and lengths in bytes; offsets out of the BAR are `ARGUMENT_INVALID`. */
export interface Bar {
  readonly index: number;
  readonly start: PhysicalAddress;
  readonly sizeBytes: number;
  readonly prefetchable: boolean;
  read32(offset: number): number;
  write32(offset: number, value: number): void;
  read(offset: number, target: Uint8Array): void;
  write(offset: number, source: Uint8Array): void;
}

export interface Bars {
  /** The implemented memory BARs in index order. */
  readonly memory: readonly Bar[];
}

/** Memory that both the CPU and the device see without further mapping: rings and queues. */
export interface CoherentMemory {
  /** Page aligned, contiguous for the device. */
  readonly deviceAddress: DmaAddress;
  readonly sizeBytes: number;
  read(offset: number, target: Uint8Array): void;
  write(offset: number, source: Uint8Array): void;
}

export interface DeviceDma {
  /** Maps host memory for this device's own use. */
  map(ranges: PhysicalRanges, direction: Direction): SegmentList | DmaRefusal;
  unmap(segments: SegmentList, direction: Direction): void;
  allocateCoherent(sizeBytes: number): CoherentMemory;
  freeCoherent(memory: CoherentMemory): void;
}

export interface Interrupts {
  /** Calls `handler` at each interrupt of this vector until `off` is called. One handler a vector. */
  on(vector: number, handler: () => void): { off(): void };
}

/** Where a platform puts its services for one driver. */
export interface ServiceRegistry {
  set<T>(token: Token<T>, service: T): void;
}

/** Where a driver finds them. */
export interface Services {
  /** `SERVICE_MISSING`, naming driver and token, when the platform has none. */
  get<T>(token: Token<T>): T;
  has<T>(token: Token<T>): boolean;
}

/** A driver's view of its private container. */
export function servicesFrom(container: ContainerInstance, owner: string): Services {
  return {
    has: (token) => container.has(token),
    get(token) {
      if (container.has(token)) {
        return container.get(token);
      }
      throw new PeerbufError(
        "SERVICE_MISSING",
        `${owner} needs "${token.name}", which this platform does not offer for it`,
      );
    },
  };
}
