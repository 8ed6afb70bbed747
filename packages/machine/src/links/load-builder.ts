/**
 * Load builder: from a plan to what it takes of every link and limit.
 *
 * A write sends its packets one way and gets acknowledgements back; a read sends requests and gets
 * completions, and acknowledgements go both ways. Each run goes the way of its first byte.
 */
import type { LinkMap } from "./link-map.ts";
import {
  completionHeaderBytes,
  FRAMING_BYTES,
  packetCount,
  RETURN_BYTES_PER_PACKET,
  requestHeaderBytes,
} from "./packet-cost.ts";
import { otherWay, type ResourceTable } from "./resource-table.ts";
import type { DeviceLimit, TransferLeg, TransferPlan } from "./transfer-plan.ts";
import type { Crossing, Way } from "./way.ts";
import type { WayFinder } from "./way-finder.ts";

/** A plan as the flow network wants it. */
export interface BuiltLoad {
  /** Resources that limit, ascending, each once. */
  readonly resources: readonly number[];
  readonly amounts: readonly number[];
  /** Bytes of all legs. */
  readonly payloadBytes: number;
  /** From the last byte sent to its arrival; for reads from the first request to there and back. */
  readonly latencyNs: number;
}

export class LoadBuilder {
  readonly #links: LinkMap;
  readonly #ways: WayFinder;
  readonly #resources: ResourceTable;
  readonly #limits = new Map<DeviceLimit, number>();
  /** What the plan at hand takes, by resource; only those in `#used` mean anything. */
  readonly #amounts: number[] = [];
  readonly #used: number[] = [];
  #latencyNs = 0;
  #payloadBytes = 0;

  constructor(links: LinkMap, ways: WayFinder, resources: ResourceTable) {
    this.#links = links;
    this.#ways = ways;
    this.#resources = resources;
  }

  /** `row` is the function that moves the bytes, `name` what it is called. */
  build(row: number, name: string, plan: TransferPlan): BuiltLoad {
    const { legs, limits = [], continues = false } = plan;
    this.#used.length = 0;
    this.#latencyNs = 0;
    this.#payloadBytes = 0;
    for (const leg of legs) {
      this.#addLeg(row, leg);
    }
    for (const { limit, amount } of limits) {
      this.#add(this.#indexOf(limit, name), amount);
    }
    const resources = this.#used.sort((one, other) => one - other).slice();
    return {
      resources,
      amounts: resources.map((resource) => this.#amounts[resource] as number),
      payloadBytes: this.#payloadBytes,
      latencyNs: continues ? 0 : this.#latencyNs,
    };
  }

  #indexOf(limit: DeviceLimit, device: string): number {
    let index = this.#limits.get(limit);
    if (index === undefined) {
      index = this.#resources.add({ kind: "device", name: `${device} ${limit.name}` }, limit.perNs);
      this.#limits.set(limit, index);
    }
    return index;
  }

  #addLeg(row: number, { kind, runs }: TransferLeg): void {
    for (let index = 0; index + 1 < runs.length; index += 2) {
      const address = runs[index] as number;
      const lengthBytes = runs[index + 1] as number;
      if (lengthBytes > 0 && address >= 0) {
        const way = this.#ways.find(row, kind, address);
        this.#payloadBytes += lengthBytes;
        if (kind === "read") {
          this.#addRead(row, way, address, lengthBytes);
        } else {
          this.#addWrite(row, way, address, lengthBytes);
        }
      }
    }
  }

  #addWrite(row: number, way: Way, address: number, lengthBytes: number): void {
    const header = requestHeaderBytes(address);
    const payloadBytes = this.#links.payloadOf(row);
    for (const crossing of way.crossings) {
      const packets = packetCount(address, lengthBytes, this.#payload(crossing, payloadBytes));
      this.#addPackets(crossing, packets, header, lengthBytes);
    }
    this.#addEach(way.writeLimits, lengthBytes);
    this.#latencyNs = Math.max(this.#latencyNs, way.latencyNs);
  }

  #addRead(row: number, way: Way, address: number, lengthBytes: number): void {
    const header = requestHeaderBytes(address);
    const requests = packetCount(address, lengthBytes, this.#links.readRequestOf(row));
    const dataBytes = way.completionBytes > 0 ? lengthBytes : 0;
    for (const crossing of way.crossings) {
      this.#addPackets(crossing, requests, header, 0);
    }
    for (const crossing of way.back) {
      const pieceBytes = this.#payload(crossing, way.completionBytes);
      const packets = packetCount(address, dataBytes, pieceBytes);
      this.#addPackets(crossing, packets, completionHeaderBytes, dataBytes);
    }
    this.#addEach(way.readLimits, dataBytes);
    this.#latencyNs = Math.max(this.#latencyNs, way.latencyNs + way.backNs);
  }

  #payload({ isRepacked }: Crossing, payloadBytes: number): number {
    const { peerPayloadBytes } = this.#ways;
    return isRepacked && peerPayloadBytes !== undefined
      ? Math.min(payloadBytes, peerPayloadBytes)
      : payloadBytes;
  }

  #addPackets(
    { isFlit, resource }: Crossing,
    packets: number,
    headerBytes: number,
    dataBytes: number,
  ): void {
    this.#add(resource, dataBytes + packets * (headerBytes + (isFlit ? 0 : FRAMING_BYTES)));
    if (!isFlit) {
      this.#add(otherWay(resource), packets * RETURN_BYTES_PER_PACKET);
    }
  }

  #addEach(resources: readonly number[], amount: number): void {
    for (const resource of resources) {
      this.#add(resource, amount);
    }
  }

  #add(resource: number, amount: number): void {
    if (!(amount > 0)) {
      return;
    }
    if (this.#used.includes(resource)) {
      this.#amounts[resource] = (this.#amounts[resource] as number) + amount;
    } else {
      this.#used.push(resource);
      this.#amounts[resource] = amount;
    }
  }
}
