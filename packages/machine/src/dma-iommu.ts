/**
 * DMA IOMMU: DMA addresses that an IOMMU translates (drivers/iommu/dma-iommu.c, Linux 6.12).
 *
 * A mapping takes one stretch of the client's own address space and puts all of its ranges there one
 * after the other, so that scattered pages become one segment where limits allow. System memory and
 * memory behind the host bridge alike; a bus address is not translated and takes no address space.
 *
 * Whole pages are mapped: a range that begins or ends within a page exposes the rest of it. Padding
 * that Linux inserts at segment boundaries is not needed, as segments are cut there.
 */
import {
  type Device,
  type Direction,
  type DmaLayer,
  type DmaRefusal,
  type DmaRequest,
  deviceReads,
  deviceWrites,
  PAGE_BYTES,
  PeerbufError,
  PhysicalRanges,
  type SegmentList,
  segmentsAtOffset,
} from "@peerbuf/core";
import type { DmaDirect } from "./dma-direct.ts";
import type { HandleLedger } from "./handle-ledger.ts";
import type { Domain } from "./iommu/domain.ts";
import { MAY_READ, MAY_WRITE } from "./iommu/page-table.ts";
import { refusePeer } from "./peer-refusal.ts";

/** What unmap needs. */
interface Mapped {
  readonly client: Device;
  readonly direction: Direction;
  readonly domain: Domain;
  readonly iova: number;
  readonly sizeBytes: number;
}

export class DmaIommu implements DmaLayer {
  readonly name = "dma-iommu";
  /** Makes bus addresses. */
  readonly #direct: DmaDirect;
  readonly #domainOf: (device: Device) => Domain;
  readonly #peerToPeer: boolean;
  readonly #ledger: HandleLedger;
  readonly #mapped = new Map<SegmentList, Mapped>();

  constructor(
    direct: DmaDirect,
    domainOf: (device: Device) => Domain,
    peerToPeer: boolean,
    ledger: HandleLedger,
  ) {
    this.#direct = direct;
    this.#domainOf = domainOf;
    this.#peerToPeer = peerToPeer;
    this.#ledger = ledger;
  }

  /** ENOMEM without address space for it, EREMOTEIO for peers that cannot be, EINVAL for all else. */
  map(request: DmaRequest): SegmentList | DmaRefusal {
    const refusal = refusePeer(request, this.#peerToPeer);
    if (refusal !== undefined) {
      return refusal;
    }
    if (request.route === "bus-addr") {
      const made = this.#direct.map(request);
      return "answer" in made ? { ...made, errno: "EINVAL" } : made;
    }
    return this.#translated(request);
  }

  /** `HANDLE_CLOSED` for segments that are not mapped for this client in this direction; nothing changes then. */
  unmap(client: Device, segments: SegmentList, direction: Direction): void {
    if (segments.isBusAddress(0)) {
      this.#direct.unmap(client, segments, direction);
      return;
    }
    const mapped = this.#mapped.get(segments);
    if (mapped === undefined || mapped.client !== client || mapped.direction !== direction) {
      throw new PeerbufError(
        "HANDLE_CLOSED",
        `${client.id}: these segments are not mapped ${direction}`,
      );
    }
    this.#mapped.delete(segments);
    mapped.domain.unmap(mapped.iova, mapped.sizeBytes);
    this.#ledger.mappings--;
  }

  #translated({ client, ranges, direction, limits }: DmaRequest): SegmentList | DmaRefusal {
    const domain = this.#domainOf(client);
    const sizeBytes = pageBytesOf(ranges);
    if (sizeBytes === 0) {
      return refused(client, "EINVAL", "NOTHING_TO_MAP", "there are no bytes to map");
    }
    const iova = domain.allocate(sizeBytes, limits.addressMax, limits.alignmentBytes);
    if (iova === undefined) {
      const text = `no ${sizeBytes} bytes of address space are free up to 0x${limits.addressMax.toString(16)}`;
      return refused(client, "ENOMEM", "IOVA_EXHAUSTED", text);
    }
    const segments = segmentsAtOffset(laidOut(ranges, iova), 0, limits, false);
    if ("code" in segments) {
      domain.release(iova, sizeBytes);
      return refused(client, "EINVAL", segments.code, segments.text);
    }
    fill(domain, ranges, iova, rightsOf(direction));
    this.#mapped.set(segments, { client, direction, domain, iova, sizeBytes });
    this.#ledger.mappings++;
    return segments;
  }
}

const rightsOf = (direction: Direction): number =>
  (deviceReads(direction) ? MAY_READ : 0) | (deviceWrites(direction) ? MAY_WRITE : 0);

function refused(
  client: Device,
  errno: DmaRefusal["errno"],
  code: string,
  text: string,
): DmaRefusal {
  return { answer: "refused", errno, code, text: `${client.id}: ${text}` };
}

const pageStart = (address: number): number => address - (address % PAGE_BYTES);

/** Bytes of the pages that a range touches. */
function pagesAround(start: number, lengthBytes: number): number {
  const end = start + lengthBytes;
  return Math.ceil(end / PAGE_BYTES) * PAGE_BYTES - pageStart(start);
}

function pageBytesOf(ranges: PhysicalRanges): number {
  let sizeBytes = 0;
  for (let index = 0; index < ranges.count; index++) {
    sizeBytes += pagesAround(ranges.start(index), ranges.lengthBytes(index));
  }
  return sizeBytes;
}

/** The ranges as the device will see them: one behind the other from `iova` on. */
function laidOut(ranges: PhysicalRanges, iova: number): PhysicalRanges {
  const table = new Float64Array(2 * ranges.count);
  let at = iova;
  for (let index = 0; index < ranges.count; index++) {
    const start = ranges.start(index);
    const lengthBytes = ranges.lengthBytes(index);
    table[2 * index] = at + (start % PAGE_BYTES);
    table[2 * index + 1] = lengthBytes;
    at += pagesAround(start, lengthBytes);
  }
  return new PhysicalRanges(table);
}

/** Maps range by range, those that lie behind each other as one. */
function fill(domain: Domain, ranges: PhysicalRanges, iova: number, rights: number): void {
  let at = iova;
  let from = 0;
  let sizeBytes = 0;
  for (let index = 0; index < ranges.count; index++) {
    const start = pageStart(ranges.start(index));
    const pageBytes = pagesAround(ranges.start(index), ranges.lengthBytes(index));
    if (sizeBytes > 0 && start === from + sizeBytes) {
      sizeBytes += pageBytes;
      continue;
    }
    domain.map(at, from, sizeBytes, rights);
    at += sizeBytes;
    from = start;
    sizeBytes = pageBytes;
  }
  domain.map(at, from, sizeBytes, rights);
}
