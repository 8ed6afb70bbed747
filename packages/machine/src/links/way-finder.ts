/**
 * Way finder: which links the requests of a function to an address go through, asked of the fabric and kept.
 *
 * A way is kept for the MiB of device addresses that it was found for, as no bridge window is finer, and
 * used until something changed that decides routes, and while the IOMMU sends it to the same stretch of
 * physical addresses.
 */
import type { Topology } from "@peerbuf/topology";
import type { Bank } from "../host-memory.ts";
import type { AccessKind } from "../root-complex.ts";
import type { Hop, LossReason } from "../route.ts";
import type { LinkMap } from "./link-map.ts";
import {
  INTEL_PEER_PAYLOAD_BYTES,
  type LinkOptions,
  MEMORY_COMPLETION_BYTES_DEFAULT,
} from "./link-options.ts";
import type { ResourceTable } from "./resource-table.ts";
import { crossesSockets, socketBytesPerNs } from "./socket-rate.ts";
import { followHops, type Way } from "./way.ts";

/** Where the fabric takes a request. */
interface TracedWay {
  readonly route: {
    /** Physical addresses that go this way. */
    readonly from: number;
    readonly until: number;
    readonly bank: Bank | undefined;
    /** The way of a read's completion, from the completer. */
    readonly completion: readonly Hop[];
    readonly slot: { readonly row: number } | undefined;
  };
  readonly hops: readonly Hop[];
  readonly loss: LossReason | undefined;
}

/** The IOMMU, as far as it is asked here: the physical address, below 0 for none. Nothing is remembered of it. */
interface Translator {
  peek(row: number, address: number, kind: AccessKind): number;
}

/** The fabric, as far as it is asked here. */
export interface Tracer {
  readonly topology: Topology;
  readonly generation: number;
  readonly iommu: Translator | undefined;
  trace(requester: number, address: number, kind: AccessKind): TracedWay;
}

const BLOCK_BYTES = 2 ** 20;
/** A way, and for how long it is the right one. */
interface KeptWay {
  readonly way: Way;
  /** The IOMMU sends the block there: to these physical addresses. */
  readonly isTranslated: boolean;
  readonly from: number;
  readonly until: number;
}

/** Ways kept for a function and kind of access; then all are found again. */
const WAYS_MAX = 4096;

export class WayFinder {
  /** In packets of this payload the root complex passes peer requests on; undefined: as they came. */
  readonly peerPayloadBytes: number | undefined;
  readonly #fabric: Tracer;
  readonly #links: LinkMap;
  readonly #options: LinkOptions;
  readonly #resources: ResourceTable;
  readonly #kept = new Map<number, Map<number, KeptWay>>();
  readonly #sockets = new Map<number, number>();
  readonly #memories = new Map<number, number>();
  readonly #peers = new Map<number, number>();
  #generation = -1;

  constructor(fabric: Tracer, links: LinkMap, options: LinkOptions, resources: ResourceTable) {
    const isIntel = fabric.topology.facts.cpu?.vendor === "GenuineIntel";
    this.peerPayloadBytes =
      options.peerPayloadBytes ?? (isIntel ? INTEL_PEER_PAYLOAD_BYTES : undefined);
    this.#fabric = fabric;
    this.#links = links;
    this.#options = options;
    this.#resources = resources;
  }

  /** `address` is one that the device uses. */
  find(row: number, kind: AccessKind, address: number): Way {
    if (this.#generation !== this.#fabric.generation) {
      this.#kept.clear();
      this.#generation = this.#fabric.generation;
    }
    const key = 2 * row + (kind === "read" ? 1 : 0);
    const ways = this.#kept.get(key) ?? new Map<number, KeptWay>();
    this.#kept.set(key, ways);
    const block = Math.floor(address / BLOCK_BYTES);
    const known = ways.get(block);
    if (known !== undefined && this.#holds(known, row, kind, address)) {
      return known.way;
    }
    if (ways.size >= WAYS_MAX) {
      ways.clear();
    }
    const found = this.#trace(row, kind, address);
    ways.set(block, found);
    return found.way;
  }

  /** A mapping may have changed since, and another one may stand at the same address. */
  #holds({ isTranslated, from, until }: KeptWay, row: number, kind: AccessKind, address: number) {
    const { iommu } = this.#fabric;
    if (!isTranslated || iommu === undefined) {
      return true;
    }
    const physical = iommu.peek(row, address, kind);
    return physical >= from && physical < until;
  }

  #trace(row: number, kind: AccessKind, address: number): KeptWay {
    const traced = this.#fabric.trace(row, address, kind);
    const { from, until } = traced.route;
    const meetsIommu = traced.hops.some(
      ({ event }) => event === "translated" || event === "faulted",
    );
    return { way: this.#wayOf(row, traced), isTranslated: meetsIommu, from, until };
  }

  #wayOf(row: number, { hops, route, loss }: TracedWay): Way {
    const { topology } = this.#fabric;
    const { crossings, latencyNs, isPeerAbove } = followHops(topology, this.#links, hops);
    const back = followHops(topology, this.#links, route.completion);
    const isLost = loss !== undefined;
    const from = topology.table.numaNode[row] as number;
    const to = isLost ? from : this.#nodeOf(route);
    const shared = isLost ? [] : this.#shared(row, route.bank, isPeerAbove);
    return {
      crossings,
      back: back.crossings,
      backNs: back.latencyNs,
      writeLimits: [...shared, ...this.#socket(from, to)],
      readLimits: [...shared, ...this.#socket(to, from)],
      latencyNs,
      completionBytes: isLost ? 0 : this.#completionBytes(route),
    };
  }

  #nodeOf({ bank, slot }: TracedWay["route"]): number {
    return bank?.node ?? (slot === undefined ? -1 : this.#numaNodeOf(slot.row));
  }

  #numaNodeOf(row: number): number {
    return this.#fabric.topology.table.numaNode[row] as number;
  }

  #completionBytes({ bank, slot }: TracedWay["route"]): number {
    if (bank !== undefined) {
      return this.#options.memoryCompletionBytes ?? MEMORY_COMPLETION_BYTES_DEFAULT;
    }
    return slot === undefined ? 0 : this.#links.payloadOf(slot.row);
  }

  /** RAM's own limit, or the root complex's for what goes from device to device. */
  #shared(row: number, bank: Bank | undefined, isPeerAbove: boolean): number[] {
    const { memoryBytesPerNs, peerBytesPerNs } = this.#options;
    const { topology } = this.#fabric;
    if (bank !== undefined && memoryBytesPerNs !== undefined) {
      const { node } = bank;
      const name = { kind: "memory", name: `memory of node ${node}` } as const;
      return [kept(this.#memories, node, () => this.#resources.add(name, memoryBytesPerNs))];
    }
    if (isPeerAbove && peerBytesPerNs !== undefined) {
      const root = topology.table.rootBus[row] as number;
      const name = { kind: "peer", name: `host bridge ${topology.rootBusOf(row).id}` } as const;
      return [kept(this.#peers, root, () => this.#resources.add(name, peerBytesPerNs))];
    }
    return [];
  }

  #socket(from: number, to: number): number[] {
    const { facts } = this.#fabric.topology;
    const perNs = this.#options.socketBytesPerNs ?? socketBytesPerNs(facts);
    if (perNs === undefined || !crossesSockets(facts, from, to)) {
      return [];
    }
    const name = { kind: "socket", name: `node ${from} to node ${to}` } as const;
    return [kept(this.#sockets, from * NODES_MAX + to, () => this.#resources.add(name, perNs))];
  }
}

/** More than any machine has (Linux: MAX_NUMNODES is 1,024). */
const NODES_MAX = 1024;

function kept(known: Map<number, number>, key: number, make: () => number): number {
  const index = known.get(key) ?? make();
  known.set(key, index);
  return index;
}
