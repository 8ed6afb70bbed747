/**
 * Completion walk: the way of a read's completion from the completer back to who asked.
 *
 * Completions are routed by the bus number in the requester id, not by address (PCIe base specification
 * 5.0, 2.2.4.2): up until a bridge on the bus has the number between its secondary and subordinate bus,
 * then down through such bridges. A bridge whose numbers were not captured leads to what is below it in the
 * tree. Completion Redirect sends them up from where they would turn towards a peer.
 *
 * One that arrives at somebody who did not ask is unexpected there, and who asked waits in vain.
 */
import type { Conditions } from "./conditions.ts";
import type { Requester } from "./requester.ts";
import { type AccessKind, rootComplexForwards } from "./root-complex.ts";
import { type Hop, type HopEvent, type LossReason, ROOT_COMPLEX } from "./route.ts";

const READ: AccessKind = "read";

export class CompletionWalk {
  readonly hops: Hop[] = [];
  readonly #conditions: Conditions;
  readonly #requester: Requester;
  #isRedirected = false;

  constructor(conditions: Conditions, requester: Requester) {
    this.#conditions = conditions;
    this.#requester = requester;
  }

  /** It was sent up and passed the root complex, where its request had not been. */
  get isRedirected(): boolean {
    return this.#isRedirected;
  }

  /** From the function that answers. `viaRoot`: the request came to it through the root complex. */
  fromFunction(completer: number, viaRoot: boolean): LossReason | undefined {
    const { topology } = this.#conditions.map;
    let row = completer;
    for (let bridge = topology.upstreamOf(row); bridge >= 0; bridge = topology.upstreamOf(row)) {
      const next = this.#nextBelow(topology.childrenOf(bridge));
      if (!this.#isRedirected && (next >= 0 || this.#isOn(bridge))) {
        if (!this.#conditions.acs.redirectsCompletion(row, this.#requester)) {
          return this.#toward(next);
        }
        this.#isRedirected = true;
        this.#hop(row, "completion-redirected");
      }
      row = bridge;
      if (!this.#passesUp(row)) {
        return this.#lost(row, "unexpected", "COMPLETION_LOST");
      }
      this.#hop(row, "up");
    }
    return this.#throughRoot(row, completer, viaRoot);
  }

  /** From the root complex, which answered itself. */
  fromRootComplex(): LossReason | undefined {
    this.#hop(ROOT_COMPLEX, "root-complex");
    return this.#fromTop();
  }

  /** A port sends what belongs below it up only if it was redirected there, and if ACS lets it. */
  #passesUp(bridge: number): boolean {
    const forwards = this.#conditions.acs.forwardsUp(bridge);
    return !this.#leads(bridge) || (forwards ?? this.#isRedirected);
  }

  #throughRoot(row: number, completer: number, viaRoot: boolean): LossReason | undefined {
    const { map, profile } = this.#conditions;
    const { rootBus } = map.topology.table;
    if (row === completer && this.#requester.idRow === completer) {
      return this.#toward(-1);
    }
    this.#hop(ROOT_COMPLEX, "root-complex");
    const root = rootBus[completer] as number;
    if (!viaRoot && !rootComplexForwards(profile, READ, root, root)) {
      return this.#lost(ROOT_COMPLEX, "dropped", "COMPLETION_DROPPED");
    }
    return this.#fromTop();
  }

  /** The root complex sends it down. */
  #fromTop(): LossReason | undefined {
    const { topology } = this.#conditions.map;
    const { idRow } = this.#requester;
    const next = topology.rootBuses.reduce(
      (found, { functions }) => (found >= 0 ? found : this.#nextBelow(functions)),
      -1,
    );
    const isOnRootBus = idRow >= 0 && topology.upstreamOf(idRow) < 0;
    return next < 0 && !isOnRootBus
      ? this.#lost(ROOT_COMPLEX, "unexpected", "COMPLETION_LOST")
      : this.#toward(next);
  }

  /** Down from this bridge, or (-1) to the function on the bus where it is. */
  #toward(bridge: number): LossReason | undefined {
    const { topology } = this.#conditions.map;
    for (let at = bridge; at >= 0; ) {
      this.#hop(at, "down");
      const next = this.#nextBelow(topology.childrenOf(at));
      if (next < 0 && !this.#isOn(at)) {
        return this.#lost(at, "unexpected", "COMPLETION_LOST");
      }
      at = next;
    }
    return this.#arrive();
  }

  #arrive(): LossReason | undefined {
    const { row, idRow } = this.#requester;
    if (!this.#conditions.power.isPresent(idRow)) {
      return this.#lost(idRow, "link-down", "COMPLETION_LOST");
    }
    if (idRow !== row) {
      return this.#lost(idRow, "unexpected", "COMPLETION_LOST");
    }
    this.#hop(idRow, "arrives");
    return undefined;
  }

  /** The function that bears the id stands on the bus below. */
  #isOn(bridge: number): boolean {
    const { idRow } = this.#requester;
    return idRow >= 0 && this.#conditions.map.topology.upstreamOf(idRow) === bridge;
  }

  /** The bridge among these functions that leads to the bus of the requester id; -1 for none. */
  #nextBelow(functions: Int32Array): number {
    const { topology } = this.#conditions.map;
    for (const row of functions) {
      if (topology.isBridge(row) && this.#leads(row)) {
        return row;
      }
    }
    return -1;
  }

  #leads(bridge: number): boolean {
    const { topology } = this.#conditions.map;
    const { domain, secondaryBus, subordinateBus } = topology.table;
    const first = secondaryBus[bridge] as number;
    const last = subordinateBus[bridge] as number;
    if (first > 0 && last > 0) {
      const { bus } = this.#requester;
      return domain[bridge] === this.#requester.domain && bus >= first && bus <= last;
    }
    let row = this.#requester.idRow;
    while (row >= 0 && row !== bridge) {
      row = topology.upstreamOf(row);
    }
    return row === bridge;
  }

  #hop(row: number, event: HopEvent): void {
    this.hops.push({ row, event });
  }

  #lost(row: number, event: HopEvent, reason: LossReason): LossReason {
    this.#hop(row, event);
    return reason;
  }
}
