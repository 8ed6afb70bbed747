/**
 * Route: where a request at one address goes, step by step, as hardware would decide it.
 *
 * From the requester's bus upwards until somebody claims the address or the root complex decides,
 * then down through bridge windows to a BAR. Nobody here knows what a kernel would say about it.
 *
 * Peers on one bus (functions of a device, ports of a switch, devices of a conventional bus) reach
 * each other directly unless the ACS bits of where the request enters say otherwise. Root buses are
 * part of the root complex: between two functions there, its profile decides.
 */
import type { AcsGate } from "./acs-gate.ts";
import { BarSlot } from "./bar-slot.ts";
import type { FabricMap, FunctionClaim, RamClaim } from "./fabric-map.ts";
import type { Bank } from "./host-memory.ts";
import type { IommuFault } from "./iommu/iommu.ts";
import { type AccessKind, type RootComplexProfile, rootComplexForwards } from "./root-complex.ts";

/** Row that stands for the root complex in hops. */
export const ROOT_COMPLEX = -1;
/** Requester that stands for the processors: starts at the root complex and may reach everything below. */
export const CPU = -1;

export type HopEvent =
  | "issues"
  | "up"
  | "redirected"
  | "blocked"
  | "root-complex"
  | "translated"
  | "faulted"
  | "down"
  | "unclaimed"
  | "dropped"
  | "completion-redirected"
  | "arrives";

export interface Hop {
  /** Row of the function, or `ROOT_COMPLEX`. */
  readonly row: number;
  readonly event: HopEvent;
}

/** Why a request reached nothing. */
export type LossReason =
  /** Nothing claims the address. */
  | "UNCLAIMED"
  /** ACS egress control. */
  | "ACS_BLOCKED"
  /** The root complex does not forward it to another device. */
  | "ROOT_COMPLEX_DROPS"
  /** The completion was sent up (ACS), and the root complex does not forward it. */
  | "COMPLETION_DROPPED"
  /** The function's BAR claims it, but no model was placed there. */
  | "NOTHING_BEHIND_BAR"
  /** The IOMMU: the function has no domain, nothing is mapped there, or not for this kind of access. */
  | IommuFault
  /** The guard: no mapping of this device holds the address. */
  | "NOT_MAPPED";

export interface Route {
  /** Physical addresses from here ... */
  readonly from: number;
  /** ... up to before here go this way. */
  readonly until: number;
  readonly slot: BarSlot | undefined;
  readonly bank: Bank | undefined;
  /** Undefined: arrives, or meets the IOMMU. */
  readonly loss: LossReason | undefined;
  /** The root complex has to translate the address first; the way from there on is a route of its own. */
  readonly meetsIommu: boolean;
  /** The root complex changes the bytes. */
  readonly isCorrupted: boolean;
  readonly hops: readonly Hop[];
  /** Rows of the bridges, and `ROOT_COMPLEX`, that the bytes pass: for counting. */
  readonly passes: Int32Array;
}

/** Where a walk ended. */
type Ending = BarSlot | Bank | LossReason | typeof MEETS_IOMMU;

const MEETS_IOMMU = Symbol("meets the IOMMU");

const isPass = ({ event }: Hop): boolean =>
  event === "up" || event === "down" || event === "root-complex";

/** One walk through the fabric. Made for one look-up; routes are kept, walks are not. */
export class RouteWalk {
  readonly #map: FabricMap;
  readonly #acs: AcsGate;
  readonly #profile: RootComplexProfile;
  readonly #kind: AccessKind;
  readonly #address: number;
  /** An IOMMU translates what comes to the root complex from below. */
  readonly #translates: boolean;
  readonly #hops: Hop[] = [];
  #isCorrupted = false;
  #from = Number.NEGATIVE_INFINITY;
  #until = Number.POSITIVE_INFINITY;

  constructor(
    map: FabricMap,
    acs: AcsGate,
    profile: RootComplexProfile,
    kind: AccessKind,
    address: number,
    translates: boolean,
  ) {
    this.#map = map;
    this.#acs = acs;
    this.#profile = profile;
    this.#kind = kind;
    this.#address = address;
    this.#translates = translates;
  }

  /** `requester` is a row, or `CPU`. */
  walk(requester: number): Route {
    if (requester === CPU) {
      this.#hop(ROOT_COMPLEX, "root-complex");
      return this.#route(this.#fromCpu());
    }
    this.#hop(requester, "issues");
    return this.#route(this.#fromDevice(requester));
  }

  /** From the root complex on, to the physical address that the IOMMU gave. */
  walkTranslated(requester: number): Route {
    const claim = this.#map.rootComplex.find(this.#address);
    this.#narrow(this.#map.rootComplex);
    return this.#route(this.#through(claim, requester));
  }

  #route(ending: Ending): Route {
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
      passes: Int32Array.from(this.#hops.filter(isPass), ({ row }) => row),
    };
  }

  /** Up, bus by bus. `row` is where the request entered the bus. */
  #fromDevice(requester: number): Ending {
    let row = requester;
    let redirected = false;
    for (let bus = this.#map.busOf(row); bus !== undefined; bus = this.#map.busOf(row)) {
      const claim = redirected ? undefined : bus.claims.find(this.#address);
      if (!redirected) {
        this.#narrow(bus.claims);
      }
      if (claim !== undefined) {
        const gate = this.#enter(row, claim);
        if (gate !== "redirect") {
          return gate === "direct" ? this.#direct(claim, row) : gate;
        }
        redirected = true;
      }
      row = bus.bridge;
      this.#hop(row, "up");
    }
    return this.#atRootComplex(row, redirected);
  }

  /** A claim was found on the bus that the request entered at `row`. */
  #enter(row: number, claim: FunctionClaim): "direct" | "redirect" | LossReason {
    if (claim.row === row && claim.slot === undefined) {
      // Its own window: the request came from below, where nobody claimed the address.
      return this.#lost(row, "unclaimed", "UNCLAIMED");
    }
    const gate = this.#acs.request(row, claim.row);
    if (gate === "block") {
      return this.#lost(row, "blocked", "ACS_BLOCKED");
    }
    if (gate === "redirect") {
      this.#hop(row, "redirected");
    }
    return gate;
  }

  /** From peer to peer below the root complex. Only the completion of a read may still take the long way. */
  #direct(claim: FunctionClaim, requester: number): Ending {
    const ending = this.#down(claim);
    if (typeof ending === "string" || this.#kind === "write") {
      return ending;
    }
    if (!this.#acs.redirectsCompletion(claim.row)) {
      return ending;
    }
    this.#hop(claim.row, "completion-redirected");
    const root = this.#rootOf(requester);
    this.#passRootComplex();
    return rootComplexForwards(this.#profile, "read", root, root)
      ? ending
      : this.#lost(ROOT_COMPLEX, "dropped", "COMPLETION_DROPPED");
  }

  /** `row` is the function of the root bus through which the request came. */
  #atRootComplex(row: number, redirected: boolean): Ending {
    const claim = this.#map.rootComplex.find(this.#address);
    this.#narrow(this.#map.rootComplex);
    if (claim?.kind === "function" && claim.row === row && !redirected) {
      const gate = this.#enter(row, claim);
      if (gate !== "redirect") {
        return gate === "direct" ? this.#direct(claim, row) : gate;
      }
    }
    this.#hop(ROOT_COMPLEX, "root-complex");
    return this.#translates ? MEETS_IOMMU : this.#through(claim, row);
  }

  /** The root complex has the request of a device and a physical address. */
  #through(claim: FunctionClaim | RamClaim | undefined, row: number): Ending {
    if (claim === undefined) {
      return this.#lost(ROOT_COMPLEX, "unclaimed", "UNCLAIMED");
    }
    if (claim.kind === "ram") {
      return claim.bank;
    }
    this.#passRootComplex();
    const passes = rootComplexForwards(
      this.#profile,
      this.#kind,
      this.#rootOf(row),
      this.#rootOf(claim.row),
    );
    return passes ? this.#down(claim) : this.#lost(ROOT_COMPLEX, "dropped", "ROOT_COMPLEX_DROPS");
  }

  /** Bytes of one device for another are in the root complex. */
  #passRootComplex(): void {
    this.#isCorrupted = this.#translates && this.#profile === "corrupts-until-pass-through";
  }

  #fromCpu(): Ending {
    const claim = this.#map.rootComplex.find(this.#address);
    this.#narrow(this.#map.rootComplex);
    if (claim === undefined) {
      return this.#lost(ROOT_COMPLEX, "unclaimed", "UNCLAIMED");
    }
    return claim.kind === "ram" ? claim.bank : this.#down(claim);
  }

  /** Through windows to a BAR. */
  #down(start: FunctionClaim): Ending {
    let claim = start;
    while (claim.slot === undefined) {
      this.#hop(claim.row, "down");
      const bus = this.#map.busBelow(claim.row);
      const next = bus?.claims.find(this.#address);
      if (bus !== undefined) {
        this.#narrow(bus.claims);
      }
      if (next === undefined) {
        return this.#lost(claim.row, "unclaimed", "UNCLAIMED");
      }
      claim = next;
    }
    this.#hop(claim.row, "arrives");
    return claim.slot;
  }

  #rootOf(row: number): number {
    return this.#map.topology.table.rootBus[row] as number;
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
