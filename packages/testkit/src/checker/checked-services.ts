/**
 * Checked services: what a platform gives to one driver, with the driver's name on all it takes.
 */
import type {
  Bars,
  Clock,
  CoherentMemory,
  Device,
  DeviceDma,
  Direction,
  DmaRefusal,
  HostMemory,
  HostPages,
  Interrupts,
  PhysicalAddress,
  PhysicalRanges,
  ScheduledEvent,
  SegmentList,
} from "@peerbuf/core";
import { answered, ended } from "./checked-dma.ts";
import { POISON_ADDRESS } from "./dma-ledger.ts";
import { messageOf } from "./fence-book.ts";
import { ruleOfThrown } from "./thrown.ts";
import type { Watch } from "./watch.ts";

/** The driver that was given a service. */
export interface Client {
  readonly name: string;
  readonly role: "exporter" | "importer";
  readonly device: Device | undefined;
}

export class CheckedHostMemory implements HostMemory {
  /** There where the platform's CPU copies at all: drivers read an ability from it. */
  readonly copy?: NonNullable<HostMemory["copy"]>;
  readonly #inner: HostMemory;
  readonly #watch: Watch;
  readonly #client: Client;

  constructor(inner: HostMemory, watch: Watch, client: Client) {
    this.#inner = inner;
    this.#watch = watch;
    this.#client = client;
    if (inner.copy !== undefined) {
      this.copy = inner.copy.bind(inner);
    }
  }

  allocate(sizeBytes: number, options?: { node?: number; contiguous?: boolean }): HostPages {
    const pages = this.#inner.allocate(sizeBytes, options);
    this.#watch.host.took(this.#client.name, pages, this.#watch.origin());
    return pages;
  }

  free(pages: HostPages): void {
    const { log, host, dma } = this.#watch;
    const { name, role } = this.#client;
    const held = host.gaveBack(pages);
    if (held === undefined) {
      log.report(role === "exporter" ? "EXP-022" : "PLT-034", name, "frees pages a second time");
    } else {
      const [reached] = dma.reaching(held.ranges);
      if (reached !== undefined) {
        const text = `frees pages that ${reached.client.id} can still reach by DMA`;
        log.report(role === "exporter" ? "EXP-020" : "IMP-026", name, text, reached.origin);
      } else if (role === "exporter" && host.isWorkedOn(held.ranges)) {
        log.report("EXP-020", name, "frees pages that its own engine still copies");
      } else if (role === "importer" && host.isWorkedOn(held.ranges)) {
        log.report("IMP-026", name, "frees its own pages while the exporter still copies them");
      }
    }
    this.#inner.free(pages);
  }

  read(address: PhysicalAddress, target: Uint8Array): void {
    this.#checkAccess("reads", address, target.length);
    this.#inner.read(address, target);
  }

  write(address: PhysicalAddress, source: Uint8Array): void {
    this.#checkAccess("writes", address, source.length);
    this.#inner.write(address, source);
  }

  #checkAccess(what: string, address: number, lengthBytes: number): void {
    const { log, host } = this.#watch;
    const { name, role, device } = this.#client;
    const text = `the CPU ${what} ${lengthBytes} bytes at 0x${address.toString(16)}`;
    if (address >= POISON_ADDRESS) {
      log.report("IMP-016", name, `${text}: an address of a mapping that is over`);
    } else if (this.#watch.barAt(address) !== undefined) {
      const rule = role === "importer" ? "IMP-023" : "PLT-036";
      log.report(rule, name, `${text}: memory of ${this.#watch.barAt(address)?.id}`);
    } else if (host.wasFreed(address, address + lengthBytes)) {
      log.report("PLT-034", name, `${text}: pages that were freed`);
    } else if (role === "importer" && device !== undefined && host.ownerAt(address) !== name) {
      this.#checkForeign(text, device, address);
    }
  }

  /** Pages of somebody else's: the CPU may stand in for the device where the device may go. */
  #checkForeign(text: string, device: Device, address: number): void {
    const { log, host, dma } = this.#watch;
    const { name } = this.#client;
    const owner = host.ownerAt(address);
    if (dma.reachesPhysical(device, address)) {
      return;
    }
    const [list] = dma.at(device, address);
    if (owner !== undefined) {
      log.report("IMP-024", name, `${text}: pages of ${owner}, not mapped for ${device.id}`);
    } else if (list !== undefined) {
      const isPeer = this.#watch.barAt(list.ranges.start(0)) !== undefined;
      const rule = isPeer ? "IMP-023" : "IMP-024";
      log.report(rule, name, `${text}: a DMA address of ${device.id} is no address for the CPU`);
    }
  }
}

export class CheckedDeviceDma implements DeviceDma {
  readonly #inner: DeviceDma;
  readonly #watch: Watch;
  readonly #client: Client & { readonly device: Device };
  readonly #coherent = new Map<CoherentMemory, string | undefined>();

  constructor(inner: DeviceDma, watch: Watch, client: Client & { readonly device: Device }) {
    this.#inner = inner;
    this.#watch = watch;
    this.#client = client;
  }

  map(ranges: PhysicalRanges, direction: Direction): SegmentList | DmaRefusal {
    const { device, name } = this.#client;
    const { limits } = device;
    const route = "system" as const;
    const request = { client: device, ranges, provider: undefined, route, direction, limits };
    const answer = this.#inner.map(ranges, direction);
    return answered(this.#watch, `own DMA of ${name}`, answer, request, name);
  }

  unmap(segments: SegmentList, direction: Direction): void {
    const { device, name } = this.#client;
    const entry = ended(this.#watch, name, device, segments, direction);
    this.#inner.unmap(entry?.made ?? segments, direction);
    if (entry !== undefined) {
      this.#watch.dma.end(entry);
    }
  }

  allocateCoherent(sizeBytes: number): CoherentMemory {
    const memory = this.#inner.allocateCoherent(sizeBytes);
    this.#coherent.set(memory, this.#watch.origin());
    return memory;
  }

  freeCoherent(memory: CoherentMemory): void {
    if (!this.#coherent.delete(memory)) {
      this.#watch.log.report("PLT-031", this.#client.name, "frees coherent memory a second time");
    }
    this.#inner.freeCoherent(memory);
  }

  /** The driver is closed: what it still holds is lost. */
  closed(): void {
    const { name } = this.#client;
    for (const [memory, origin] of this.#coherent) {
      const text = `keeps ${memory.sizeBytes} bytes of coherent memory after close`;
      this.#watch.log.report("PLT-031", name, text, origin);
    }
    for (const { ranges, origin } of this.#watch.dma.ownedBy(name)) {
      const text = `keeps ${ranges.sizeBytes} bytes mapped for its own device after close`;
      this.#watch.log.report("PLT-030", name, text, origin);
    }
  }
}

export class CheckedInterrupts implements Interrupts {
  readonly #inner: Interrupts;
  readonly #watch: Watch;
  readonly #client: Client;
  readonly #listening = new Set<number>();

  constructor(inner: Interrupts, watch: Watch, client: Client) {
    this.#inner = inner;
    this.#watch = watch;
    this.#client = client;
  }

  on(vector: number, handler: () => void): { off(): void } {
    const { actors } = this.#watch;
    const { name } = this.#client;
    const listening = this.#inner.on(vector, () => actors.complete(name, handler));
    this.#listening.add(vector);
    return {
      off: () => {
        this.#listening.delete(vector);
        listening.off();
      },
    };
  }

  closed(): void {
    for (const vector of this.#listening) {
      const text = `still listens to interrupt ${vector} after close`;
      this.#watch.log.report("PLT-033", this.#client.name, text);
    }
  }
}

/** Time, with the driver's name on what it scheduled. */
export class CheckedClock implements Clock {
  readonly #inner: Clock;
  readonly #watch: Watch;
  readonly #client: Client;

  constructor(inner: Clock, watch: Watch, client: Client) {
    this.#inner = inner;
    this.#watch = watch;
    this.#client = client;
  }

  get nowNs(): number {
    return this.#inner.nowNs;
  }

  schedule(delayNs: number, run: () => void): ScheduledEvent {
    const { actors, log } = this.#watch;
    const { name } = this.#client;
    return this.#inner.schedule(delayNs, () => {
      try {
        actors.complete(name, run);
      } catch (error) {
        log.report(ruleOfThrown(error), name, `its clock event threw: ${messageOf(error)}`);
        throw error;
      }
    });
  }
}

/** Where the device's memory lies, for judging placements. */
export function rememberBars(watch: Watch, device: Device, bars: Bars): void {
  for (const { start, sizeBytes } of bars.memory) {
    watch.knowBar(device, start, sizeBytes);
  }
}
