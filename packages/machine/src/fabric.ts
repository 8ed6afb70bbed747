/**
 * Fabric: moves the bytes of each request to where hardware would take it.
 *
 * A request carries the requester, a bus address and a length. It is cut where the fabric's answer
 * changes, and each piece arrives or is lost: a lost read gives all ones, a lost write vanishes, and
 * both are counted and logged. Routes are found by `route.ts` and kept per requester.
 *
 * With an IOMMU, what comes to the root complex is translated there and goes on by a second route. Both
 * routes are kept, the translation is not: that is for the IOMMU to remember, truly or not.
 *
 * The fabric knows no policy: not who may map what, nor what a kernel thinks of a path. It is not
 * cycle-true either: a request is served in one step, and devices add time of their own.
 */
import type { Topology } from "@peerbuf/topology";
import { AcsGate } from "./acs-gate.ts";
import { type Bytes, carryRead, carryWrite, copyOf, fillOnes } from "./carry.ts";
import type { Corruption } from "./corruption.ts";
import type { FabricMap } from "./fabric-map.ts";
import type { FaultLog } from "./fault-log.ts";
import { faultOf, type Iommu } from "./iommu/iommu.ts";
import type { AccessKind, RootComplexProfile } from "./root-complex.ts";
import { CPU, type Hop, type LossReason, ROOT_COMPLEX, type Route, RouteWalk } from "./route.ts";
import { RouteCache } from "./route-cache.ts";
import { Traffic } from "./traffic.ts";

/** Where a request would end, and how it gets there. */
export interface TracedRoute {
  readonly route: Route;
  readonly hops: readonly Hop[];
  /** After translation, if there is one. */
  readonly physical: number;
  readonly loss: LossReason | undefined;
}

/** Routes of one requester. */
interface Routes {
  readonly fromDevice: RouteCache;
  /** From the root complex on, for translated requests. */
  readonly translated: RouteCache;
}

export class Fabric {
  readonly map: FabricMap;
  readonly traffic: Traffic;
  readonly acs: AcsGate;
  readonly #log: FaultLog;
  readonly #nowNs: () => number;
  /** Bus address minus physical address, by root bus. */
  readonly #offsets: Float64Array;
  readonly #corruption: Corruption;
  readonly #reads: readonly Routes[];
  readonly #writes: readonly Routes[];
  #profile: RootComplexProfile;
  #iommu: Iommu | undefined;
  #generation = 0;

  constructor(
    map: FabricMap,
    profile: RootComplexProfile,
    offsets: Float64Array,
    corruption: Corruption,
    log: FaultLog,
    nowNs: () => number,
  ) {
    this.map = map;
    this.acs = new AcsGate(map.topology);
    this.traffic = new Traffic(map.topology.count);
    this.#profile = profile;
    this.#offsets = offsets;
    this.#corruption = corruption;
    this.#log = log;
    this.#nowNs = nowNs;
    const routes = (): Routes[] =>
      Array.from({ length: map.topology.count + 1 }, () => ({
        fromDevice: new RouteCache(),
        translated: new RouteCache(),
      }));
    this.#reads = routes();
    this.#writes = routes();
  }

  get topology(): Topology {
    return this.map.topology;
  }

  /** Changes whenever something did that decides where requests go. */
  get generation(): number {
    return this.#generation;
  }

  get profile(): RootComplexProfile {
    return this.#profile;
  }

  setProfile(profile: RootComplexProfile): void {
    this.#profile = profile;
    this.#generation++;
  }

  /** What translates requests of devices; undefined when nothing does. */
  get iommu(): Iommu | undefined {
    return this.#iommu;
  }

  setIommu(iommu: Iommu | undefined): void {
    this.#iommu = iommu;
    this.#generation++;
  }

  /** Changes a function's ACS control bits, as `setpci` would. The caller has checked that it has ACS. */
  setAcsControl(row: number, bits: number): void {
    this.acs.setControl(row, bits);
    this.#generation++;
  }

  /** Bus address minus physical address, for requests of this function; 0 for the processors. */
  offsetOf(requester: number): number {
    return requester === CPU
      ? 0
      : (this.#offsets[this.map.topology.table.rootBus[requester] as number] as number);
  }

  /** Reads into `target`. Returns how many bytes were lost; they read as all ones. */
  read(
    requester: number,
    address: number,
    target: Bytes,
    targetOffset: number,
    lengthBytes: number,
  ): number {
    return this.#request(requester, address, target, targetOffset, lengthBytes, "read");
  }

  /** Writes from `source`. Returns how many bytes were lost. */
  write(
    requester: number,
    address: number,
    source: Bytes,
    sourceOffset: number,
    lengthBytes: number,
  ): number {
    return this.#request(requester, address, source, sourceOffset, lengthBytes, "write");
  }

  /** The way of one address, walked afresh; nothing is moved, counted or remembered. */
  trace(requester: number, address: number, kind: AccessKind): TracedRoute {
    const physical = address - this.offsetOf(requester);
    const route = this.#walk(requester, physical, kind, false);
    const { hops, loss } = route;
    if (!route.meetsIommu) {
      return { route, hops, physical, loss };
    }
    const answer = this.#iommu?.peek(requester, address, kind) ?? 0;
    if (answer < 0) {
      const faulted: Hop = { row: ROOT_COMPLEX, event: "faulted" };
      return { route, hops: [...hops, faulted], physical, loss: faultOf(answer) };
    }
    const onward = this.#walk(requester, answer, kind, true);
    const translated: Hop = { row: ROOT_COMPLEX, event: "translated" };
    const all = [...hops, translated, ...onward.hops];
    return { route: onward, hops: all, physical: answer, loss: onward.loss };
  }

  #request(
    requester: number,
    address: number,
    bytes: Bytes,
    offset: number,
    lengthBytes: number,
    kind: AccessKind,
  ): number {
    const start = address - this.offsetOf(requester);
    this.traffic.request(requester, kind, lengthBytes);
    let lostBytes = 0;
    for (let done = 0; done < lengthBytes; ) {
      const route = this.#route(requester, start + done, kind, false);
      const piece = Math.min(lengthBytes - done, route.until - start - done);
      const at = address + done;
      lostBytes += route.meetsIommu
        ? this.#translate(requester, route, at, bytes, offset + done, piece, kind)
        : this.#piece(requester, route, start + done, at, bytes, offset + done, piece, kind);
      done += piece;
    }
    return lostBytes;
  }

  /** A piece is at the root complex: it is cut where the translation changes. Returns bytes lost. */
  #translate(
    requester: number,
    up: Route,
    address: number,
    bytes: Bytes,
    offset: number,
    lengthBytes: number,
    kind: AccessKind,
  ): number {
    const iommu = this.#iommu as Iommu;
    this.traffic.pass(up.passes, lengthBytes);
    let lostBytes = 0;
    for (let done = 0; done < lengthBytes; ) {
      const at = address + done;
      const physical = iommu.translate(requester, at, kind, lengthBytes - done);
      let piece = iommu.reachBytes;
      if (physical < 0) {
        lostBytes += this.#lose(requester, at, bytes, offset + done, piece, kind, {
          reason: faultOf(physical),
          at: "iommu",
        });
      } else {
        const route = this.#route(requester, physical, kind, true);
        piece = Math.min(piece, route.until - physical);
        lostBytes += this.#piece(requester, route, physical, at, bytes, offset + done, piece, kind);
      }
      done += piece;
    }
    return lostBytes;
  }

  #route(requester: number, physical: number, kind: AccessKind, isTranslated: boolean): Route {
    const routes = (kind === "read" ? this.#reads : this.#writes)[requester + 1] as Routes;
    const cache = isTranslated ? routes.translated : routes.fromDevice;
    if (cache.generation !== this.#generation) {
      cache.clear(this.#generation);
    }
    const known = cache.find(physical);
    if (known !== undefined) {
      return known;
    }
    const route = this.#walk(requester, physical, kind, isTranslated);
    cache.keep(route);
    return route;
  }

  #walk(requester: number, physical: number, kind: AccessKind, isTranslated: boolean): Route {
    const translates = this.#iommu !== undefined;
    const walk = new RouteWalk(this.map, this.acs, this.#profile, kind, physical, translates);
    return isTranslated ? walk.walkTranslated(requester) : walk.walk(requester);
  }

  /** Carries one piece to where its route ends. Returns bytes lost. */
  #piece(
    requester: number,
    route: Route,
    physical: number,
    address: number,
    bytes: Bytes,
    offset: number,
    lengthBytes: number,
    kind: AccessKind,
  ): number {
    this.traffic.pass(route.passes, lengthBytes);
    const arrives = route.isCorrupted
      ? this.#carryCorrupted(route, physical, bytes, offset, lengthBytes, kind)
      : (kind === "read" ? carryRead : carryWrite)(route, physical, bytes, offset, lengthBytes);
    if (arrives) {
      return 0;
    }
    const at = route.hops[route.hops.length - 1]?.row ?? ROOT_COMPLEX;
    return this.#lose(requester, address, bytes, offset, lengthBytes, kind, {
      reason: route.loss ?? "NOTHING_BEHIND_BAR",
      at: at === ROOT_COMPLEX ? "root complex" : this.map.topology.bdfOf(at),
    });
  }

  #carryCorrupted(
    route: Route,
    physical: number,
    bytes: Bytes,
    offset: number,
    lengthBytes: number,
    kind: AccessKind,
  ): boolean {
    if (kind === "read") {
      const arrives = carryRead(route, physical, bytes, offset, lengthBytes);
      if (arrives) {
        this.#corruption.spoil(bytes, offset, physical, lengthBytes);
      }
      return arrives;
    }
    const spoiled = copyOf(bytes, offset, lengthBytes);
    this.#corruption.spoil(spoiled, 0, physical, lengthBytes);
    return carryWrite(route, physical, spoiled, 0, lengthBytes);
  }

  /** Counts and logs what reached nothing. Returns its length. */
  #lose(
    requester: number,
    address: number,
    bytes: Bytes,
    offset: number,
    lengthBytes: number,
    kind: AccessKind,
    { reason, at }: { readonly reason: LossReason; readonly at: string },
  ): number {
    if (kind === "read") {
      fillOnes(bytes, offset, lengthBytes);
    }
    this.traffic.lost(requester, kind, lengthBytes);
    this.#log.add({
      requester: requester === CPU ? "cpu" : this.map.topology.bdfOf(requester),
      address,
      lengthBytes,
      kind,
      reason,
      at,
      timeNs: this.#nowNs(),
    });
    return lengthBytes;
  }
}
