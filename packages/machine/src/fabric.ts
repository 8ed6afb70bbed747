/**
 * Fabric: moves the bytes of each request to where hardware would take it.
 *
 * A request carries the requester, a bus address and a length. It is cut where the fabric's answer
 * changes, and each piece arrives or is lost: a lost read gives all ones, a lost write vanishes, and
 * both are counted and logged. Routes are found by `route.ts` and kept per requester.
 *
 * The fabric knows no policy: not who may map what, nor what a kernel thinks of a path. It is not
 * cycle-true either: a request is served in one step, and devices add time of their own.
 */
import type { Topology } from "@peerbuf/topology";
import { AcsGate } from "./acs-gate.ts";
import type { FabricMap } from "./fabric-map.ts";
import type { FaultLog } from "./fault-log.ts";
import { readRegisters, writeRegisters } from "./register-access.ts";
import type { AccessKind, RootComplexProfile } from "./root-complex.ts";
import { CPU, type LossReason, ROOT_COMPLEX, type Route, RouteWalk } from "./route.ts";
import { RouteCache } from "./route-cache.ts";
import { SparseMemory } from "./sparse-memory.ts";
import { Traffic } from "./traffic.ts";

/** Bytes on the requester's side: an array, or a device's own memory. */
export type Bytes = Uint8Array | SparseMemory;

export class Fabric {
  readonly map: FabricMap;
  readonly traffic: Traffic;
  readonly acs: AcsGate;
  readonly #log: FaultLog;
  readonly #nowNs: () => number;
  /** Bus address minus physical address, by root bus. */
  readonly #offsets: Float64Array;
  readonly #reads: RouteCache[];
  readonly #writes: RouteCache[];
  #profile: RootComplexProfile;
  #generation = 0;

  constructor(
    map: FabricMap,
    profile: RootComplexProfile,
    offsets: Float64Array,
    log: FaultLog,
    nowNs: () => number,
  ) {
    this.map = map;
    this.acs = new AcsGate(map.topology);
    this.traffic = new Traffic(map.topology.count);
    this.#profile = profile;
    this.#offsets = offsets;
    this.#log = log;
    this.#nowNs = nowNs;
    const caches = () => Array.from({ length: map.topology.count + 1 }, () => new RouteCache());
    this.#reads = caches();
    this.#writes = caches();
  }

  get topology(): Topology {
    return this.map.topology;
  }

  get profile(): RootComplexProfile {
    return this.#profile;
  }

  setProfile(profile: RootComplexProfile): void {
    this.#profile = profile;
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
    const start = address - this.offsetOf(requester);
    this.traffic.request(requester, "read", lengthBytes);
    let lostBytes = 0;
    for (let done = 0; done < lengthBytes; ) {
      const route = this.#route(requester, start + done, "read");
      const piece = Math.min(lengthBytes - done, route.until - start - done);
      if (!this.#readPiece(route, start + done, target, targetOffset + done, piece)) {
        target.fill(0xff, targetOffset + done, endOf(target, targetOffset + done, piece));
        this.#lose(requester, route, address + done, piece, "read");
        lostBytes += piece;
      }
      done += piece;
    }
    return lostBytes;
  }

  /** Writes from `source`. Returns how many bytes were lost. */
  write(
    requester: number,
    address: number,
    source: Bytes,
    sourceOffset: number,
    lengthBytes: number,
  ): number {
    const start = address - this.offsetOf(requester);
    this.traffic.request(requester, "write", lengthBytes);
    let lostBytes = 0;
    for (let done = 0; done < lengthBytes; ) {
      const route = this.#route(requester, start + done, "write");
      const piece = Math.min(lengthBytes - done, route.until - start - done);
      if (!this.#writePiece(route, start + done, source, sourceOffset + done, piece)) {
        this.#lose(requester, route, address + done, piece, "write");
        lostBytes += piece;
      }
      done += piece;
    }
    return lostBytes;
  }

  /** The route of one address, walked afresh. */
  trace(requester: number, address: number, kind: AccessKind): Route {
    return this.#walk(requester, address - this.offsetOf(requester), kind);
  }

  #route(requester: number, physical: number, kind: AccessKind): Route {
    const cache = (kind === "read" ? this.#reads : this.#writes)[requester + 1] as RouteCache;
    if (cache.generation !== this.#generation) {
      cache.clear(this.#generation);
    }
    const known = cache.find(physical);
    if (known !== undefined) {
      return known;
    }
    const route = this.#walk(requester, physical, kind);
    cache.keep(route);
    return route;
  }

  #walk(requester: number, physical: number, kind: AccessKind): Route {
    return new RouteWalk(this.map, this.acs, this.#profile, kind, physical).walk(requester);
  }

  #readPiece(
    route: Route,
    physical: number,
    target: Bytes,
    targetOffset: number,
    lengthBytes: number,
  ): boolean {
    this.traffic.pass(route.passes, lengthBytes);
    const { bank, slot } = route;
    if (bank !== undefined) {
      readMemory(bank.memory, physical - bank.start, target, targetOffset, lengthBytes);
      return true;
    }
    const model = slot?.model;
    if (slot === undefined || model === undefined) {
      return false;
    }
    const offset = physical - slot.start;
    if (model.kind === "memory") {
      readMemory(model.memory, model.base + offset, target, targetOffset, lengthBytes);
    } else if (target instanceof SparseMemory) {
      const bytes = new Uint8Array(lengthBytes);
      readRegisters(model, offset, bytes, 0, lengthBytes);
      target.write(targetOffset, bytes);
    } else {
      readRegisters(model, offset, target, targetOffset, lengthBytes);
    }
    return true;
  }

  #writePiece(
    route: Route,
    physical: number,
    source: Bytes,
    sourceOffset: number,
    lengthBytes: number,
  ): boolean {
    this.traffic.pass(route.passes, lengthBytes);
    const { bank, slot } = route;
    if (bank !== undefined) {
      writeMemory(bank.memory, physical - bank.start, source, sourceOffset, lengthBytes);
      return true;
    }
    const model = slot?.model;
    if (slot === undefined || model === undefined) {
      return false;
    }
    const offset = physical - slot.start;
    if (model.kind === "memory") {
      writeMemory(model.memory, model.base + offset, source, sourceOffset, lengthBytes);
    } else if (source instanceof SparseMemory) {
      const bytes = new Uint8Array(lengthBytes);
      source.read(sourceOffset, bytes);
      writeRegisters(model, offset, bytes, 0, lengthBytes);
    } else {
      writeRegisters(model, offset, source, sourceOffset, lengthBytes);
    }
    return true;
  }

  #lose(
    requester: number,
    route: Route,
    address: number,
    lengthBytes: number,
    kind: AccessKind,
  ): void {
    this.traffic.lost(requester, kind, lengthBytes);
    const reason: LossReason = route.loss ?? "NOTHING_BEHIND_BAR";
    const at = route.hops[route.hops.length - 1]?.row ?? ROOT_COMPLEX;
    this.#log.add({
      requester: requester === CPU ? "cpu" : this.map.topology.bdfOf(requester),
      address,
      lengthBytes,
      kind,
      reason,
      at: at === ROOT_COMPLEX ? "root complex" : this.map.topology.bdfOf(at),
      timeNs: this.#nowNs(),
    });
  }
}

function readMemory(
  memory: SparseMemory,
  offset: number,
  target: Bytes,
  targetOffset: number,
  lengthBytes: number,
): void {
  if (target instanceof SparseMemory) {
    memory.copyTo(offset, target, targetOffset, lengthBytes);
  } else {
    memory.read(offset, target, targetOffset, lengthBytes);
  }
}

function writeMemory(
  memory: SparseMemory,
  offset: number,
  source: Bytes,
  sourceOffset: number,
  lengthBytes: number,
): void {
  if (source instanceof SparseMemory) {
    source.copyTo(sourceOffset, memory, offset, lengthBytes);
  } else {
    memory.write(offset, source, sourceOffset, lengthBytes);
  }
}

/** `fill` takes a length on a memory and an end on an array. */
const endOf = (bytes: Bytes, offset: number, lengthBytes: number): number =>
  bytes instanceof SparseMemory ? lengthBytes : offset + lengthBytes;
