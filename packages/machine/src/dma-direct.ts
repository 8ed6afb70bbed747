/**
 * DMA direct: DMA addresses without an IOMMU (kernel/dma/direct.c, Linux 6.12).
 *
 * Every address is a fixed distance from the physical one. Nothing is translated and nothing is
 * protected: a device reaches whatever it is told, mapped or not. See `dma-guard.ts` for a safety
 * net that real hardware of this kind does not have.
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

export class DmaDirect implements DmaLayer {
  readonly name = "dma-direct";
  readonly #devices: ReadonlyMap<Device, OnFabric>;
  readonly #peerToPeer: boolean;
  readonly #ledger: HandleLedger;

  /** `peerToPeer: false` stands for a kernel with installed dma_ops, which know nothing of peer memory. */
  constructor(devices: ReadonlyMap<Device, OnFabric>, peerToPeer: boolean, ledger: HandleLedger) {
    this.#devices = devices;
    this.#peerToPeer = peerToPeer;
    this.#ledger = ledger;
  }

  /**
   * Refuses P2P with EREMOTEIO where the platform cannot do it and for clients that are no PCI function
   * themselves (`pci_p2pdma_map_type`, 6.12), an address out of the device's reach with EIO (never
   * bounced), and other limits that cannot be met with EINVAL.
   */
  map(request: DmaRequest): SegmentList | DmaRefusal {
    const { route, provider } = request;
    if (route !== "system" && !this.#peerToPeer) {
      return NO_PEER_TO_PEER;
    }
    if (route !== "system" && request.client.bus !== "pci") {
      return notPci(request.client);
    }
    const isBusAddress = route === "bus-addr";
    if (isBusAddress && provider === undefined) {
      return NO_PROVIDER;
    }
    const by = this.#known(isBusAddress && provider !== undefined ? provider : request.client);
    const made = segmentsAtOffset(request.ranges, by.busOffset, request.limits, isBusAddress);
    if ("code" in made) {
      return refused(request.client, made);
    }
    this.#ledger.mappings++;
    return made;
  }

  unmap(_client: Device, _segments: SegmentList, _direction: Direction): void {
    this.#ledger.mappings--;
  }

  #known(device: Device): OnFabric {
    const known = this.#devices.get(device);
    if (known === undefined) {
      throw new PeerbufError("DEVICE_UNKNOWN", `${device.id} is no device of this machine`);
    }
    return known;
  }
}

const NO_PEER_TO_PEER: DmaRefusal = Object.freeze({
  answer: "refused",
  errno: "EREMOTEIO",
  code: "P2P_NOT_SUPPORTED",
  text: "this platform's DMA operations do not know peer memory",
});

const NO_PROVIDER: DmaRefusal = Object.freeze({
  answer: "refused",
  errno: "EINVAL",
  code: "PROVIDER_MISSING",
  text: "a bus address was asked for, but not whose",
});

function notPci({ id, bus }: Device): DmaRefusal {
  const text = `${id} is on ${bus}: peer memory is mapped for PCI functions only, not for what is behind them`;
  return { answer: "refused", errno: "EREMOTEIO", code: "CLIENT_NOT_PCI", text };
}

function refused(client: Device, { code, text }: SegmentRefusal): DmaRefusal {
  const errno = code === "ADDRESS_ABOVE_MASK" ? "EIO" : "EINVAL";
  return { answer: "refused", errno, code, text: `${client.id}: ${text}` };
}
