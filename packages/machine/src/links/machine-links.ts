/**
 * Machine links: how long the transfers of a machine's devices take, and what they made of its links.
 *
 * Time only. A transfer moves no byte and asks nobody's leave: what the bytes meet when their time has come
 * is the fabric's business. Without time, and so not shared: register and BAR accesses of the processors,
 * interrupts, and each request that a model issues outside of a transfer.
 */
import type { ScheduledEvent } from "@peerbuf/core";
import { type LaneClock, LINKS_LANE, type MachineClock } from "../machine-clock.ts";
import { FlowNetwork } from "./flow-network.ts";
import { LinkMap } from "./link-map.ts";
import { checkedLinkOptions, type LinkOptions } from "./link-options.ts";
import { LoadBuilder } from "./load-builder.ts";
import { type ResourceName, ResourceTable } from "./resource-table.ts";
import { checkPlan, type TransferPlan } from "./transfer-plan.ts";
import { type Tracer, WayFinder } from "./way-finder.ts";

/** What went through a link, a socket link or a device's limit since the machine was made. */
export interface LinkUsage extends ResourceName {
  /** Units a nanosecond; for links bytes after line coding, so that 1 is 1 GB/s. */
  readonly perNs: number;
  /** Units carried for transfers that are sent. Links: packets with headers, framing and what acknowledges them. */
  readonly carried: number;
}

/** What a function's transfers came to. */
export interface TransferTimes {
  readonly count: number;
  /** Bytes of their legs. */
  readonly bytes: number;
  /** Begin of the first and arrival of the last, virtual nanoseconds. `bytes / (untilNs - sinceNs)` is GB/s. */
  readonly sinceNs: number;
  readonly untilNs: number;
}

interface Tally {
  count: number;
  bytes: number;
  sinceNs: number;
  untilNs: number;
}

export class MachineLinks {
  readonly #clock: MachineClock;
  readonly #fabric: Tracer;
  readonly #resources = new ResourceTable();
  readonly #network: FlowNetwork;
  readonly #builder: LoadBuilder;
  readonly #tallies = new Map<number, Tally>();

  /** `InputError` for options that are no rates or packet sizes. */
  constructor(fabric: Tracer, clock: MachineClock, options: LinkOptions) {
    const checked = checkedLinkOptions(options);
    const links = new LinkMap(fabric.topology, checked, this.#resources);
    const ways = new WayFinder(fabric, links, checked, this.#resources);
    this.#clock = clock;
    this.#fabric = fabric;
    this.#network = new FlowNetwork(clock.lane(LINKS_LANE), this.#resources.capacities);
    this.#builder = new LoadBuilder(links, ways, this.#resources);
  }

  /**
   * Begins a transfer of the function in `row`; `done` runs when all of it has arrived, as an event of `lane`, never within this
   * call.
   * `ARGUMENT_INVALID` for a plan that is none.
   */
  transfer(row: number, plan: TransferPlan, done: () => void, lane: LaneClock): ScheduledEvent {
    const device = this.#fabric.topology.bdfOf(row);
    checkPlan(plan, device);
    const load = this.#builder.build(row, device, plan);
    const tally = this.#tallyOf(row);
    const units = Math.max(1, load.payloadBytes);
    const key = `${row}:${load.resources.join(",")}`;
    const arrived = (): void => {
      tally.count++;
      tally.bytes += load.payloadBytes;
      tally.untilNs = this.#clock.nowNs;
      done();
    };
    return this.#network.start(key, load, units, load.latencyNs, arrived, lane);
  }

  /** Transfers of a function that have arrived. `InputError` for an unknown function. */
  timesOf(bdf: string): TransferTimes {
    const tally = this.#tallies.get(this.#fabric.topology.require(bdf));
    return tally === undefined ? { count: 0, bytes: 0, sinceNs: 0, untilNs: 0 } : { ...tally };
  }

  /** Everything that carried something. */
  usage(): LinkUsage[] {
    const { names, capacities } = this.#resources;
    return this.#network.carried.flatMap((carried, index) => [
      { ...(names[index] as ResourceName), perNs: capacities[index] as number, carried },
    ]);
  }

  #tallyOf(row: number): Tally {
    let tally = this.#tallies.get(row);
    if (tally === undefined) {
      const { nowNs } = this.#clock;
      tally = { count: 0, bytes: 0, sinceNs: nowNs, untilNs: nowNs };
      this.#tallies.set(row, tally);
    }
    return tally;
  }
}
