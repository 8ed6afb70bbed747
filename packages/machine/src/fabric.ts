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
 * The fabric knows no policy: not who may map what, nor what a kernel thinks of a path. It knows no time
 * either: a request is served in one step, and how long a transfer takes is for `links/` to say.
 */
import { assert } from "@peerbuf/core";
import type { Topology } from "@peerbuf/topology";
import { AcsGate } from "./acs-gate.ts";
import { AtsControl } from "./ats.ts";
import { type Bytes, carryRead, carryWrite, fillOnes } from "./carry.ts";
import { type CommandBits, CommandRegisters } from "./command-register.ts";
import type { Conditions } from "./conditions.ts";
import type { Corruption } from "./corruption.ts";
import { ErrorRegisters } from "./error-registers.ts";
import { FabricMap } from "./fabric-map.ts";
import type { FaultLog } from "./fault-log.ts";
import type { Bank } from "./host-memory.ts";
import { faultOf, type Iommu } from "./iommu/iommu.ts";
import { type LostRequest, reportLoss } from "./loss-report.ts";
import { RequestWalk } from "./request-walk.ts";
import { CPU, type RequestAttributes, Requester } from "./requester.ts";
import type { AccessKind, RootComplexProfile } from "./root-complex.ts";
import { type Hop, type LossReason, lostAt, ROOT_COMPLEX, type Route } from "./route.ts";
import { SlotPower } from "./slot-power.ts";
import { Traffic } from "./traffic.ts";

/** Where a request would end, and how it gets there. */
export interface TracedRoute {
  readonly route: Route;
  readonly hops: readonly Hop[];
  /** After translation, if there is one. */
  readonly physical: number;
  readonly loss: LossReason | undefined;
}

export class Fabric {
  readonly map: FabricMap;
  readonly traffic: Traffic;
  readonly acs: AcsGate;
  readonly ats: AtsControl;
  readonly command: CommandRegisters;
  readonly power: SlotPower;
  readonly errors: ErrorRegisters;
  /** For requests of the processors. */
  readonly processors: Requester;
  readonly #log: FaultLog;
  readonly #nowNs: () => number;
  /** Bus address minus physical address, by root bus. */
  readonly #offsets: Float64Array;
  readonly #corruption: Corruption;
  #conditions: Conditions;
  #iommu: Iommu | undefined;
  #generation = 0;

  constructor(
    topology: Topology,
    banks: readonly Bank[],
    profile: RootComplexProfile,
    offsets: Float64Array,
    corruption: Corruption,
    log: FaultLog,
    nowNs: () => number,
  ) {
    this.acs = new AcsGate(topology);
    this.ats = new AtsControl(topology);
    this.command = new CommandRegisters(topology);
    this.power = new SlotPower(topology);
    this.errors = new ErrorRegisters(topology);
    this.traffic = new Traffic(topology.count);
    this.processors = new Requester(topology, CPU);
    this.map = new FabricMap(
      topology,
      banks,
      (row) => this.command.memory(row) && this.power.isPresent(row),
    );
    this.#conditions = {
      map: this.map,
      acs: this.acs,
      command: this.command,
      power: this.power,
      profile,
      translates: false,
      trustsTranslated: (row) => this.ats.isEnabled(row),
    };
    this.#offsets = offsets;
    this.#corruption = corruption;
    this.#log = log;
    this.#nowNs = nowNs;
  }

  get topology(): Topology {
    return this.map.topology;
  }

  /** Changes whenever something did that decides where requests go. */
  get generation(): number {
    return this.#generation;
  }

  get profile(): RootComplexProfile {
    return this.#conditions.profile;
  }

  setProfile(profile: RootComplexProfile): void {
    this.#conditions = { ...this.#conditions, profile };
    this.#generation++;
  }

  /** What translates requests of devices; undefined when nothing does. */
  get iommu(): Iommu | undefined {
    return this.#iommu;
  }

  setIommu(iommu: Iommu | undefined): void {
    this.#iommu = iommu;
    this.#conditions = { ...this.#conditions, translates: iommu !== undefined };
    this.#generation++;
  }

  /** Changes a function's ACS control bits, as `setpci` would. The caller has checked that it has ACS. */
  setAcsControl(row: number, bits: number): void {
    this.acs.setControl(row, bits);
    this.#generation++;
  }

  /** Changes a function's ATS Enable. The caller has checked that it has ATS. */
  setAts(row: number, isEnabled: boolean): void {
    this.ats.set(row, isEnabled);
    this.#generation++;
  }

  /** Changes command register bits of these functions, all alike. */
  setCommand(rows: readonly number[], bits: CommandBits): void {
    const changed = rows.filter((row) => this.command.set(row, bits));
    if (changed.length > 0) {
      this.map.update(changed);
      this.#generation++;
    }
  }

  /** These functions are taken out, or put back. */
  setPresent(rows: readonly number[], isPresent: boolean): void {
    this.power.setPresent(rows, isPresent);
    this.map.update(rows);
    this.#generation++;
  }

  /** Bus address minus physical address, for requests of this function; 0 for the processors. */
  offsetOf(requester: number): number {
    return requester === CPU
      ? 0
      : (this.#offsets[this.map.topology.table.rootBus[requester] as number] as number);
  }

  /** The function is there and a bus master: what it sends leaves it. */
  mayIssue(row: number): boolean {
    return this.power.isPresent(row) && this.command.busMaster(row);
  }

  /** Reads into `target`. Returns how many bytes the requester knows to be lost; they read as all ones. */
  read(
    requester: Requester,
    address: number,
    target: Bytes,
    targetOffset: number,
    lengthBytes: number,
  ): number {
    return this.#request(requester, address, target, targetOffset, lengthBytes, "read");
  }

  /** Writes from `source`. Returns how many bytes were lost. */
  write(
    requester: Requester,
    address: number,
    source: Bytes,
    sourceOffset: number,
    lengthBytes: number,
  ): number {
    return this.#request(requester, address, source, sourceOffset, lengthBytes, "write");
  }

  /** The way of one address from a function, or `CPU`, walked afresh; nothing is moved, counted or remembered. */
  trace(
    row: number,
    address: number,
    kind: AccessKind,
    attributes: RequestAttributes = {},
  ): TracedRoute {
    const requester = new Requester(this.topology, row, attributes);
    const physical = address - this.offsetOf(row);
    const route = new RequestWalk(this.#conditions, requester, kind, physical).walk();
    const { hops, loss } = route;
    if (!route.meetsIommu) {
      return { route, hops, physical, loss };
    }
    const answer = (this.#iommu as Iommu).peek(requester.idRow, address, kind);
    if (answer < 0) {
      const faulted: Hop = { row: ROOT_COMPLEX, event: "faulted" };
      return { route, hops: [...hops, faulted], physical, loss: faultOf(answer) };
    }
    const onward = new RequestWalk(this.#conditions, requester, kind, answer).walkTranslated();
    const translated: Hop = { row: ROOT_COMPLEX, event: "translated" };
    const all = [...hops, translated, ...onward.hops];
    return { route: onward, hops: all, physical: answer, loss: onward.loss };
  }

  #request(
    requester: Requester,
    address: number,
    bytes: Bytes,
    offset: number,
    lengthBytes: number,
    kind: AccessKind,
  ): number {
    const start = address - this.offsetOf(requester.row);
    this.traffic.request(requester.row, kind, lengthBytes);
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
    requester: Requester,
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
      const physical = iommu.translate(requester.idRow, at, kind, lengthBytes - done);
      let piece = iommu.reachBytes;
      if (physical < 0) {
        const lost = { requester, kind, address: at, lengthBytes: piece };
        lostBytes += this.#lose(lost, bytes, offset + done, faultOf(physical), up, "iommu");
      } else {
        const route = this.#route(requester, physical, kind, true);
        piece = Math.min(piece, route.until - physical);
        lostBytes += this.#piece(requester, route, physical, at, bytes, offset + done, piece, kind);
      }
      done += piece;
    }
    return lostBytes;
  }

  #route(requester: Requester, physical: number, kind: AccessKind, isTranslated: boolean): Route {
    const routes = kind === "read" ? requester.reads : requester.writes;
    const cache = isTranslated ? routes.translated : routes.fromDevice;
    if (cache.generation !== this.#generation) {
      cache.clear(this.#generation);
    }
    const known = cache.find(physical);
    if (known !== undefined) {
      return known;
    }
    const walk = new RequestWalk(this.#conditions, requester, kind, physical);
    const route = isTranslated ? walk.walkTranslated() : walk.walk();
    assert(physical >= route.from && physical < route.until, "a route holds for its address");
    cache.keep(route);
    return route;
  }

  /** Carries one piece to where its route ends. Returns bytes lost. */
  #piece(
    requester: Requester,
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
      ? this.#corruption.carry(route, physical, bytes, offset, lengthBytes, kind)
      : (kind === "read" ? carryRead : carryWrite)(route, physical, bytes, offset, lengthBytes);
    if (arrives) {
      if (route.bank !== undefined && requester.row !== CPU) {
        this.traffic.memory(kind, lengthBytes);
      }
      return 0;
    }
    const hasModel = route.slot?.model !== undefined;
    const reason = route.loss ?? (hasModel ? "COMPLETER_ABORT" : "NOTHING_BEHIND_BAR");
    const at = lostAt(route);
    const top = reason === "IOMMU_TRANSLATED_BLOCKED" ? "iommu" : "root complex";
    const place = at === ROOT_COMPLEX ? top : this.topology.bdfOf(at);
    const lost = { requester, kind, address, lengthBytes };
    return this.#lose(lost, bytes, offset, reason, route, place);
  }

  /** Counts and logs what reached nothing. Returns how much of it the requester is told. */
  #lose(
    lost: LostRequest,
    bytes: Bytes,
    offset: number,
    reason: LossReason,
    route: Route,
    at: string,
  ): number {
    const { requester, kind, address, lengthBytes } = lost;
    if (kind === "read") {
      fillOnes(bytes, offset, lengthBytes);
    }
    this.traffic.lost(requester.row, kind, lengthBytes);
    reportLoss(this.errors, this.topology, lost, reason, route);
    this.#log.add({
      requester: requester.name,
      address,
      lengthBytes,
      kind,
      reason,
      at,
      timeNs: this.#nowNs(),
    });
    const isTold = reason !== "ROOT_COMPLEX_DROPS" || this.profile !== "answers-ones";
    return isTold ? lengthBytes : 0;
  }
}
