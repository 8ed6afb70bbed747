/**
 * DMA direct: DMA addresses that nobody translates (kernel/dma/direct.c, Linux 6.12).
 *
 * Every address is a fixed distance from the physical one. Nothing is translated and nothing is
 * protected: a device reaches whatever it is told, mapped or not. See `dma-guard.ts` for a safety
 * net that real hardware of this kind does not have. A kernel booted with `iommu=pt` uses this too.
 */
import {
  type Device,
  type Direction,
  type DmaLayer,
  type DmaRefusal,
  type DmaRequest,
  PeerbufError,
  type SegmentList,
  type SegmentRefusal,
  segmentsAtOffset,
} from "@peerbuf/core";
import type { HandleLedger } from "./handle-ledger.ts";
import type { OnFabric } from "./modelled-device.ts";
import { refusePeer } from "./peer-refusal.ts";

export class DmaDirect implements DmaLayer {
  readonly name: string;
  readonly #devices: ReadonlyMap<Device, OnFabric>;
  readonly #peerToPeer: boolean;
  readonly #ledger: HandleLedger;

  /** `peerToPeer: false` stands for a kernel with installed dma_ops, which know nothing of peer memory. */
  constructor(
    devices: ReadonlyMap<Device, OnFabric>,
    peerToPeer: boolean,
    ledger: HandleLedger,
    name = "dma-direct",
  ) {
    this.name = name;
    this.#devices = devices;
    this.#peerToPeer = peerToPeer;
    this.#ledger = ledger;
  }

  /**
   * Refuses P2P that cannot be (`peer-refusal.ts`), an address out of the device's reach with EIO (never
   * bounced), and other limits that cannot be met with EINVAL.
   */
  map(request: DmaRequest): SegmentList | DmaRefusal {
    const refusal = refusePeer(request, this.#peerToPeer);
    if (refusal !== undefined) {
      return refusal;
    }
    const { client, provider, route } = request;
    const isBusAddress = route === "bus-addr";
    const by = this.known(isBusAddress && provider !== undefined ? provider : client);
    const made = segmentsAtOffset(request.ranges, by.busOffset, request.limits, isBusAddress);
    if ("code" in made) {
      return refused(client, made);
    }
    this.#ledger.mappings++;
    return made;
  }

  unmap(_client: Device, _segments: SegmentList, _direction: Direction): void {
    this.#ledger.mappings--;
  }

  /** Where a device is. `DEVICE_UNKNOWN` for one of another machine. */
  known(device: Device): OnFabric {
    const known = this.#devices.get(device);
    if (known === undefined) {
      throw new PeerbufError("DEVICE_UNKNOWN", `${device.id} is no device of this machine`);
    }
    return known;
  }
}

function refused(client: Device, { code, text }: SegmentRefusal): DmaRefusal {
  const errno = code === "ADDRESS_ABOVE_MASK" ? "EIO" : "EINVAL";
  return { answer: "refused", errno, code, text: `${client.id}: ${text}` };
}
