/**
 * DMA platforms: which DMA layer a platform has, and what of the machine takes part.
 *
 * - `direct`: no IOMMU; a guard keeps devices within their mappings unless it is switched off;
 * - `iommu`, `iommu-lazy`: an IOMMU translates, with strict or lazy invalidation; isolation is real, so
 *   there is no guard unless one is asked for;
 * - `pass-through`: an IOMMU is there and does not translate (`iommu=pt`): as `direct`;
 * - `swiotlb`: as `direct`, and everything that is streamed is bounced.
 */
import { type Device, type DmaLayer, InputError } from "@peerbuf/core";
import { BOUNCE_POOL_BYTES_DEFAULT, BouncePool } from "./bounce-pool.ts";
import { DmaDirect } from "./dma-direct.ts";
import { DmaGuard } from "./dma-guard.ts";
import { DmaIommu } from "./dma-iommu.ts";
import { DmaSwiotlb } from "./dma-swiotlb.ts";
import { Domain, type Invalidation } from "./iommu/domain.ts";
import { checkFlushQueue, type FlushQueueOptions } from "./iommu/flush-queue.ts";
import { Iommu } from "./iommu/iommu.ts";
import { reservedRanges } from "./iommu/reserved-ranges.ts";
import type { Machine } from "./machine.ts";
import { IOMMU_LANE } from "./machine-clock.ts";
import type { OnFabric } from "./modelled-device.ts";

export type DmaPlatform = "direct" | "iommu" | "iommu-lazy" | "pass-through" | "swiotlb";

const DMA_PLATFORMS: readonly DmaPlatform[] = [
  "direct",
  "iommu",
  "iommu-lazy",
  "pass-through",
  "swiotlb",
];

export interface SwiotlbOptions {
  /** RAM for bounce buffers, whole pages; 64 MiB unless told otherwise. */
  readonly poolBytes?: number;
  /** `bounce`: shared buffers are bounced and may go stale, instead of refused with EIO. */
  readonly sharedBuffers?: "refuse" | "bounce";
}

export interface DmaPlatformOptions {
  /** `direct` unless told otherwise. */
  readonly dma?: DmaPlatform;
  /** `false`: the platform's DMA operations do not know peer memory (EREMOTEIO). */
  readonly peerToPeer?: boolean;
  /** Keeps devices within their mappings, as no hardware does; `true` unless an IOMMU translates. */
  readonly guard?: boolean;
  /** For `iommu-lazy`. */
  readonly flushQueue?: FlushQueueOptions;
  /** For `swiotlb`. */
  readonly swiotlb?: SwiotlbOptions;
}

/** A platform's DMA, set up on a machine. */
export interface DmaSetup {
  /** For buffers. */
  readonly dma: DmaLayer;
  /** For memory of a device's own, which is never bounced. */
  readonly own: DmaLayer;
  readonly guard: DmaGuard | undefined;
  /** Takes out of the machine what was put in. */
  close(): void;
}

/**
 * `InputError` for a platform that there is not or a flush queue without limits, `WRONG_ORDER` when the machine has an IOMMU at work,
 * `MEMORY_EXHAUSTED` when there is no room for the bounce pool. The machine is as before then.
 */
export function setUpDma(
  machine: Machine,
  devices: ReadonlyMap<Device, OnFabric>,
  options: DmaPlatformOptions,
): DmaSetup {
  const kind = checked(options.dma ?? "direct");
  checkFlushQueue(options.flushQueue ?? {});
  const peerToPeer = options.peerToPeer ?? true;
  const name = kind === "pass-through" ? kind : "dma-direct";
  const direct = new DmaDirect(devices, peerToPeer, machine.ledger, name);
  // First of all: it is what can fail for want of memory.
  const pool = kind === "swiotlb" ? reservePool(machine, options) : undefined;
  const translates = kind === "iommu" || kind === "iommu-lazy";
  const invalidation = kind === "iommu-lazy" ? "lazy" : "strict";
  const base = translates
    ? openIommu(machine, direct, invalidation, options)
    : { layer: direct, close: () => undefined };
  const guarded = guard(machine, direct, base.layer, options.guard ?? !translates);
  const bouncesShared = options.swiotlb?.sharedBuffers === "bounce";
  return {
    dma: pool
      ? new DmaSwiotlb(guarded.layer, pool.slots, machine.memory, bouncesShared)
      : guarded.layer,
    own: guarded.layer,
    guard: guarded.guard,
    close() {
      guarded.close();
      base.close();
      pool?.give();
    },
  };
}

interface Opened {
  readonly layer: DmaLayer;
  close(): void;
}

function openIommu(
  machine: Machine,
  direct: DmaDirect,
  invalidation: Invalidation,
  { flushQueue = {}, peerToPeer = true }: DmaPlatformOptions,
): Opened {
  const { topology, fabric } = machine;
  const clock = machine.clock.lane(IOMMU_LANE);
  const iommu = new Iommu(topology);
  const domainOf = (device: Device): Domain => {
    const { row } = direct.known(device);
    return iommu.domainOf(row, () => {
      const rootBus = topology.table.rootBus[row] as number;
      const reserved = reservedRanges(fabric.map, rootBus, fabric.offsetOf(row));
      return new Domain({ clock, invalidation, flushQueue, reserved });
    });
  };
  machine.installIommu(iommu);
  return {
    layer: new DmaIommu(direct, domainOf, peerToPeer, machine.ledger),
    close() {
      for (const domain of iommu.domains) {
        domain.flush();
      }
      machine.removeIommu(iommu);
    },
  };
}

function guard(
  machine: Machine,
  direct: DmaDirect,
  layer: DmaLayer,
  isWanted: boolean,
): Opened & { readonly guard: DmaGuard | undefined } {
  if (!isWanted) {
    return { layer, guard: undefined, close: () => undefined };
  }
  const requesterOf = (device: Device): string => direct.known(device).requester;
  const made = new DmaGuard(layer, machine.faultLog, requesterOf);
  const interposed = machine.interpose((port) => made.wrapPort(port));
  return { layer: made, guard: made, close: () => interposed.remove() };
}

function reservePool(
  { memory }: Machine,
  { swiotlb = {} }: DmaPlatformOptions,
): { readonly slots: BouncePool; give(): void } {
  const reserved = memory.reserve(swiotlb.poolBytes ?? BOUNCE_POOL_BYTES_DEFAULT);
  return {
    slots: new BouncePool(reserved.start, reserved.sizeBytes),
    give: () => reserved.give(),
  };
}

function checked(kind: DmaPlatform): DmaPlatform {
  if (!DMA_PLATFORMS.includes(kind)) {
    throw new InputError({
      source: "dma",
      cause: `there is no DMA platform "${kind}"`,
      remedy: `Choose one of ${DMA_PLATFORMS.join(", ")}`,
    });
  }
  return kind;
}
