/**
 * Request walk: one request through the fabric, step by step, as hardware would decide it.
 *
 * From the requester's bus upwards until somebody claims the address or the root complex decides,
 * then down through bridge windows to a BAR. Nobody here knows what a kernel would say about it.
 *
 * Peers on one bus (functions of a device, ports of a switch, devices of a conventional bus) reach
 * each other directly unless the ACS bits of where the request enters say otherwise. Root buses are
 * part of the root complex: between two functions there, its profile decides, and before it the egress
 * control of the root port where the request entered.
 */
import { BarSlot } from "./bar-slot.ts";
import { CompletionWalk } from "./completion-walk.ts";
import type { Conditions } from "./conditions.ts";
import type { FunctionClaim, RamClaim } from "./fabric-map.ts";
import type { Bank } from "./host-memory.ts";
import { CPU, type Requester } from "./requester.ts";
import { type AccessKind, rootComplexForwards } from "./root-complex.ts";
import { type Hop, type HopEvent, type LossReason, ROOT_COMPLEX, type Route } from "./route.ts";

/** Where a walk ended. */
type Ending = BarSlot | Bank | LossReason | typeof MEETS_IOMMU;

const MEETS_IOMMU = Symbol("meets the IOMMU");

const isPass = ({ event }: Hop): boolean =>
  event === "up" || event === "down" || event === "root-complex";

/** Made for one look-up; routes are kept, walks are not. */
export class RequestWalk {
  readonly #conditions: Conditions;
  readonly #requester: Requester;
  readonly #kind: AccessKind;
  readonly #address: number;
  readonly #hops: Hop[] = [];
  #completion: readonly Hop[] = [];
  #rootPort = -1;
  #isCorrupted = false;
  #from = Number.NEGATIVE_INFINITY;
  #until = Number.POSITIVE_INFINITY;

  /** `address`: physical. */
  constructor(conditions: Conditions, requester: Requester, kind: AccessKind, address: number) {
    this.#conditions = conditions;
    this.#requester = requester;
    this.#kind = kind;
    this.#address = address;
  }

  walk(): Route {
    const { row } = this.#requester;
    if (row === CPU) {
      this.#hop(ROOT_COMPLEX, "root-complex");
      return this.#route(this.#fromCpu());
    }
    this.#hop(row, "issues");
    return this.#route(this.#fromDevice(row));
  }

  /** From the root complex on, to the physical address that the IOMMU gave. */
  walkTranslated(): Route {
    const { rootComplex, topology } = this.#conditions.map;
    const claim = rootComplex.find(this.#address);
    this.#narrow(rootComplex);
    let row = this.#requester.row;
    while (topology.upstreamOf(row) >= 0) {
      row = topology.upstreamOf(row);
    }
    return this.#route(this.#through(claim, row));
  }

  #route(found: Ending): Route {
    const ending = this.#completed(found);
    const meetsIommu = ending === MEETS_IOMMU;
    const isSlot = ending instanceof BarSlot;
    const isLoss = typeof ending === "string";
    return {
      from: this.#from,
      until: this.#until,
      slot: isSlot ? ending : undefined,
      bank: isSlot || isLoss || meetsIommu ? undefined : ending,
      loss: isLoss ? ending : undefined,
      meetsIommu,
      isCorrupted: this.#isCorrupted,
      hops: this.#hops,
      completion: this.#completion,
      rootPort: this.#rootPort,
      passes: Int32Array.from(this.#hops.filter(isPass), ({ row }) => row),
    };
  }

  /** What a device reads has to find its way back. Completions to the processors go up, which is always possible. */
  #completed(ending: Ending): Ending {
    if (this.#kind === "write" || this.#requester.row === CPU || !isTarget(ending)) {
      return ending;
    }
    const walk = new CompletionWalk(this.#conditions, this.#requester);
    const loss =
      ending instanceof BarSlot
        ? walk.fromFunction(ending.row, this.#rootPort >= 0)
        : walk.fromRootComplex();
    this.#completion = walk.hops;
    if (walk.isRedirected) {
      this.#passRootComplex();
    }
    return loss ?? ending;
  }

  /** Up, bus by bus. `row` is where the request entered the bus. */
  #fromDevice(requester: number): Ending {
    const refusal = this.#mayIssue(requester);
    if (refusal !== undefined) {
      return refusal;
    }
    const { map } = this.#conditions;
    let row = requester;
    let redirected = false;
    for (let bus = map.busOf(row); bus !== undefined; bus = map.busOf(row)) {
      const claim = bus.claims.find(this.#address);
      this.#narrow(bus.claims);
      const gate = this.#enter(row, claim, redirected);
      if (gate !== "up" && gate !== "redirect") {
        return gate === "direct" ? this.#down(claim as FunctionClaim) : gate;
      }
      redirected ||= gate === "redirect";
      const loss = this.#comeFromBelow(bus.bridge);
      if (loss !== undefined) {
        return loss;
      }
      row = bus.bridge;
    }
    return this.#atRootComplex(row, redirected);
  }

  #mayIssue(row: number): LossReason | undefined {
    if (!this.#conditions.power.isPresent(row)) {
      return this.#lost(row, "link-down", "LINK_DOWN");
    }
    return this.#conditions.command.busMaster(row)
      ? undefined
      : this.#lost(row, "refused", "BUS_MASTER_OFF");
  }

  /** A bridge takes the request over from the bus below it. */
  #comeFromBelow(bridge: number): LossReason | undefined {
    const { acs, command } = this.#conditions;
    const violation = acs.violationFromBelow(bridge, this.#requester);
    if (violation !== undefined) {
      return this.#lost(bridge, "blocked", violation);
    }
    if (!command.busMaster(bridge)) {
      return this.#lost(bridge, "refused", "BUS_MASTER_OFF");
    }
    this.#hop(bridge, "up");
    return undefined;
  }

  /** The request is on the bus that it entered at `row`, where `claim` was found. */
  #enter(
    row: number,
    claim: FunctionClaim | undefined,
    redirected: boolean,
  ): "up" | "direct" | "redirect" | LossReason {
    if (claim?.row === row && claim.slot === undefined) {
      return this.#turnBack(row, redirected);
    }
    if (claim === undefined || redirected) {
      return "up";
    }
    const isTranslated = this.#requester.attributes.translated === true;
    const gate = this.#conditions.acs.request(row, claim.row, isTranslated);
    if (gate === "block") {
      return this.#lost(row, "blocked", "ACS_BLOCKED");
    }
    if (gate === "redirect") {
      this.#hop(row, "redirected");
    }
    return gate;
  }

  /** It came from below and belongs below: redirected there, or nobody claimed it. */
  #turnBack(row: number, redirected: boolean): "up" | "redirect" | LossReason {
    const forwards = this.#conditions.acs.forwardsUp(row);
    if (redirected) {
      return forwards === false ? this.#lost(row, "blocked", "ACS_NOT_FORWARDED") : "up";
    }
    if (forwards === true) {
      this.#hop(row, "redirected");
      return "redirect";
    }
    return this.#unclaimed(row, row);
  }

  /** `row` is the function of the root bus through which the request came. */
  #atRootComplex(row: number, redirected: boolean): Ending {
    const { map, translates, trustsTranslated } = this.#conditions;
    const claim = map.rootComplex.find(this.#address);
    this.#narrow(map.rootComplex);
    if (claim?.kind === "function" && claim.row === row) {
      const gate = this.#enter(row, claim, redirected);
      if (gate !== "up" && gate !== "redirect") {
        return gate === "direct" ? this.#down(claim) : gate;
      }
    }
    this.#rootPort = row;
    this.#hop(ROOT_COMPLEX, "root-complex");
    if (!translates) {
      return this.#through(claim, row);
    }
    if (this.#requester.attributes.translated !== true) {
      return MEETS_IOMMU;
    }
    return trustsTranslated(this.#requester.idRow)
      ? this.#through(claim, row)
      : this.#lost(ROOT_COMPLEX, "faulted", "IOMMU_TRANSLATED_BLOCKED");
  }

  /** The root complex has the request of a device and a physical address. `row`: where it came in. */
  #through(claim: FunctionClaim | RamClaim | undefined, row: number): Ending {
    this.#rootPort = row;
    if (claim === undefined) {
      return this.#unclaimed(ROOT_COMPLEX, ROOT_COMPLEX);
    }
    if (claim.kind === "ram") {
      return claim.bank;
    }
    if (claim.row !== row && this.#conditions.acs.request(row, claim.row) === "block") {
      return this.#lost(row, "blocked", "ACS_BLOCKED");
    }
    this.#passRootComplex();
    const { rootBus } = this.#conditions.map.topology.table;
    const passes = rootComplexForwards(
      this.#conditions.profile,
      this.#kind,
      rootBus[row] as number,
      rootBus[claim.row] as number,
    );
    return passes ? this.#down(claim) : this.#lost(ROOT_COMPLEX, "dropped", "ROOT_COMPLEX_DROPS");
  }

  /** Bytes of one device for another are in the root complex. */
  #passRootComplex(): void {
    const { translates, profile } = this.#conditions;
    this.#isCorrupted = translates && profile === "corrupts-until-pass-through";
  }

  #fromCpu(): Ending {
    const { rootComplex } = this.#conditions.map;
    const claim = rootComplex.find(this.#address);
    this.#narrow(rootComplex);
    if (claim === undefined) {
      return this.#unclaimed(ROOT_COMPLEX, ROOT_COMPLEX);
    }
    return claim.kind === "ram" ? claim.bank : this.#down(claim);
  }

  /** Through windows to a BAR. */
  #down(start: FunctionClaim): Ending {
    let claim = start;
    while (claim.slot === undefined) {
      this.#hop(claim.row, "down");
      const bus = this.#conditions.map.busBelow(claim.row);
      const next = bus?.claims.find(this.#address);
      if (bus !== undefined) {
        this.#narrow(bus.claims);
      }
      if (next === undefined) {
        return this.#unclaimed(claim.row, claim.row);
      }
      claim = next;
    }
    this.#hop(claim.row, "arrives");
    return claim.slot;
  }

  /** Nobody answers on the bus below `bridge`: because of whom, if of anybody. */
  #unclaimed(at: number, bridge: number): LossReason {
    const { map, power } = this.#conditions;
    if (bridge >= 0 && power.isLinkDown(bridge)) {
      return this.#lost(at, "link-down", "LINK_DOWN");
    }
    const silent = map.silentAt(bridge, this.#address);
    this.#narrow(silent);
    return silent.row >= 0 && power.isPresent(silent.row)
      ? this.#lost(silent.row, "refused", "MEMORY_OFF")
      : this.#lost(at, "unclaimed", "UNCLAIMED");
  }

  #hop(row: number, event: HopEvent): void {
    this.#hops.push({ row, event });
  }

  #lost(row: number, event: HopEvent, reason: LossReason): LossReason {
    this.#hop(row, event);
    return reason;
  }

  /** Keeps the stretch of addresses that goes the same way. */
  #narrow(table: { readonly from: number; readonly until: number }): void {
    this.#from = Math.max(this.#from, table.from);
    this.#until = Math.min(this.#until, table.until);
  }
}

const isTarget = (ending: Ending): ending is BarSlot | Bank =>
  typeof ending !== "string" && ending !== MEETS_IOMMU;
