/**
 * Fabric layout: bus numbers and memory addresses for a generated tree.
 *
 * Both are handed out depth first, as firmware does: what is below a bridge is one range, and the
 * bridge's window covers it. Small BARs lie below 4 GiB in the 32-bit window, large ones above it in
 * the 64-bit prefetchable window; no two ranges overlap.
 */
import { InputError } from "@peerbuf/core";
import type { BarRecord, WindowRecord } from "../function-record.ts";
import type { FabricPlan } from "./fabric-options.ts";
import { BUS_COUNT_MAX, type FabricHost, type FabricNode, isBridgeRole } from "./fabric-tree.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const MEMORY_START = 2 * GIB;
/** Below the interrupt controllers and firmware of x86. */
const MEMORY_END = 0xfc00_0000;
const PREFETCHABLE_START = 256 * GIB;
const PREFETCHABLE_END = 2 ** 52;
/** BAR numbers of the small and the large BAR, as on most GPUs and NICs. */
const SMALL_BAR = 0;
const LARGE_BAR = 2;

/** A node in its place. */
export interface LaidOut {
  readonly node: FabricNode;
  readonly parent: LaidOut | undefined;
  readonly domain: number;
  readonly rootBus: number;
  readonly bus: number;
  /** Bridges: the buses below, 0 for others. */
  readonly secondaryBus: number;
  readonly subordinateBus: number;
  readonly bars: readonly BarRecord[];
  readonly windows: readonly WindowRecord[];
}

/** Every function in its place, parents before children, in bus list order on each bus. */
export function layOut(hosts: readonly FabricHost[], plan: FabricPlan): LaidOut[] {
  const layout = new Layout(plan);
  for (const host of hosts) {
    layout.addHost(host);
  }
  return layout.functions;
}

class Layout {
  readonly functions: LaidOut[] = [];
  readonly #plan: FabricPlan;
  #domain = 0;
  #nextBus = 0;
  #memory: number = MEMORY_START;
  #prefetchable: number = PREFETCHABLE_START;

  constructor(plan: FabricPlan) {
    this.#plan = plan;
  }

  /** Host bridges share a domain as long as its bus numbers last. */
  addHost(host: FabricHost): void {
    if (this.#nextBus + host.busCount > BUS_COUNT_MAX) {
      this.#domain += 1;
      this.#nextBus = 0;
    }
    const rootBus = this.#nextBus;
    this.#nextBus += 1;
    this.#placeBus(host.functions, undefined, rootBus, rootBus);
  }

  #placeBus(
    nodes: readonly FabricNode[],
    parent: LaidOut | undefined,
    rootBus: number,
    bus: number,
  ): void {
    for (const node of nodes) {
      if (!isBridgeRole(node.role)) {
        const bars = node.role === "host" ? [] : this.#placeBars();
        const place = { node, parent, domain: this.#domain, rootBus, bus };
        this.functions.push({ ...place, secondaryBus: 0, subordinateBus: 0, bars, windows: [] });
      } else {
        this.#placeBridge(node, parent, rootBus, bus);
      }
    }
  }

  #placeBridge(node: FabricNode, parent: LaidOut | undefined, rootBus: number, bus: number): void {
    const secondaryBus = this.#nextBus;
    this.#nextBus += 1;
    this.#memory = alignUp(this.#memory, MIB);
    this.#prefetchable = alignUp(this.#prefetchable, MIB);
    const memoryStart = this.#memory;
    const prefetchableStart = this.#prefetchable;
    // The row is reserved now, so that parents stand before children, and completed when all below is laid out.
    const index = this.functions.length;
    const place = { node, parent, domain: this.#domain, rootBus, bus, secondaryBus, bars: [] };
    const open: LaidOut = { ...place, subordinateBus: secondaryBus, windows: [] };
    this.functions.push(open);
    this.#placeBus(node.below, open, rootBus, secondaryBus);
    this.#memory = alignUp(this.#memory, MIB);
    this.#prefetchable = alignUp(this.#prefetchable, MIB);
    this.functions[index] = {
      ...place,
      subordinateBus: this.#nextBus - 1,
      windows: [
        { kind: "memory", start: memoryStart, size: this.#memory - memoryStart } as const,
        {
          kind: "prefetchable",
          start: prefetchableStart,
          size: this.#prefetchable - prefetchableStart,
        } as const,
      ].filter(({ size }) => size > 0),
    };
  }

  #placeBars(): BarRecord[] {
    const { smallBarBytes, largeBarBytes } = this.#plan;
    const bars: BarRecord[] = [];
    if (smallBarBytes > 0) {
      const start = alignUp(this.#memory, smallBarBytes);
      this.#memory = within(start + smallBarBytes, MEMORY_END, "4 GiB");
      const shape = { kind: "memory", wide: false, prefetchable: false } as const;
      bars.push({ index: SMALL_BAR, start, size: smallBarBytes, ...shape });
    }
    if (largeBarBytes > 0) {
      const start = alignUp(this.#prefetchable, largeBarBytes);
      this.#prefetchable = within(start + largeBarBytes, PREFETCHABLE_END, "52 address bits");
      const shape = { kind: "memory", wide: true, prefetchable: true } as const;
      bars.push({ index: LARGE_BAR, start, size: largeBarBytes, ...shape });
    }
    return bars;
  }
}

const alignUp = (address: number, bytes: number): number => Math.ceil(address / bytes) * bytes;

function within(end: number, limit: number, room: string): number {
  if (end <= limit) {
    return end;
  }
  throw new InputError({
    source: "generated fabric",
    cause: `the BARs do not fit below ${room}`,
    remedy: "Ask for smaller BARs or fewer endpoints",
  });
}
