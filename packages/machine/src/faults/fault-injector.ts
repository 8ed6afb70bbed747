/**
 * Fault injector: puts faults between the devices, the bus and the drivers of one machine, and takes them
 * out again.
 *
 * Made of wrappers only: a port before each device's link (`fault-port.ts`) and a platform before the
 * drivers (`fault-platform.ts`). Models, fabric and drivers do not know of it. Without rules it changes nothing.
 */
import { PeerbufError, type Platform } from "@peerbuf/core";
import type { Observable } from "rxjs";
import type { DevicePort } from "../device-model.ts";
import type { Machine } from "../machine.ts";
import { ActiveRule, type Occasion } from "./active-rule.ts";
import { type ChoiceSource, SeededChoices } from "./choice-source.ts";
import { FaultPlatform } from "./fault-platform.ts";
import { FaultPort, type FaultSource } from "./fault-port.ts";
import { checkedRule, type FaultRule } from "./fault-rule.ts";
import { FunctionState } from "./function-state.ts";
import { type InjectedFault, InjectedFaults } from "./injected-fault.ts";

/** Rules at work at one time. */
export const FAULT_RULES_MAX = 256;

export interface FaultOptions {
  readonly rules?: readonly FaultRule[];
  /** Answers what the rules leave open; 1 unless told. */
  readonly seed?: number;
  /** Answers in place of a seed. */
  readonly choices?: ChoiceSource;
}

/** A rule at work. */
export interface ActiveFault {
  /** Takes it out: what it began ends, as when all are taken out. A second time does nothing. */
  remove(): void;
}

export interface FaultInjector extends Disposable {
  /** `InputError` for a rule that means nothing or names no function; `MEMORY_EXHAUSTED` for more than 256. */
  add(rule: FaultRule): ActiveFault;
  /** The platform for drivers, with what the rules refuse. */
  platform(inner: Platform): Platform;
  /** What was injected: the last 1,024, oldest first. */
  injected(): readonly InjectedFault[];
  /** All of it since the start. */
  readonly injectedCount: number;
  readonly events: Observable<InjectedFault>;
  /** Takes all rules and all wrappers out: late writes arrive, stalled engines get on, a lost device is put back. */
  remove(): void;
}

/** Faults in one machine. `InputError` for a rule that means nothing. */
export function injectFaults(machine: Machine, options: FaultOptions = {}): FaultInjector {
  return new LiveInjector(machine, options);
}

class LiveInjector implements FaultInjector {
  readonly #machine: Machine;
  readonly #choices: ChoiceSource;
  readonly #log = new InjectedFaults();
  readonly #functions = new Map<string, FunctionState>();
  /** Only while there are rules: without, every request goes its own way untouched. */
  #interposed: { remove(): void } | undefined;
  #rules: readonly ActiveRule[] = [];
  /** Those that last and have begun, by device. */
  readonly #begun = new Map<string, ActiveRule[]>();
  #added = 0;

  constructor(machine: Machine, { rules = [], seed = 1, choices }: FaultOptions) {
    this.#machine = machine;
    this.#choices = choices ?? new SeededChoices(seed);
    for (const rule of rules) {
      this.add(rule);
    }
  }

  get injectedCount(): number {
    return this.#log.count;
  }

  get events(): Observable<InjectedFault> {
    return this.#log.stream;
  }

  injected(): readonly InjectedFault[] {
    return this.#log.recent();
  }

  add(rule: FaultRule): ActiveFault {
    const { topology } = this.#machine;
    const bdf = (name: string): string => topology.bdfOf(topology.require(name));
    const { device, target } = rule;
    const checked = checkedRule({
      ...rule,
      ...(device !== undefined && { device: bdf(device) }),
      ...(target !== undefined && target !== "ram" && { target: bdf(target) }),
    });
    if (this.#rules.length === FAULT_RULES_MAX) {
      const text = `${FAULT_RULES_MAX} fault rules are at work: the limit`;
      throw new PeerbufError("MEMORY_EXHAUSTED", text);
    }
    const active = new ActiveRule(checked, this.#added++);
    this.#rules = [...this.#rules, active];
    this.#interposed ??= this.#machine.interpose((port) => this.#wrap(port));
    return { remove: () => this.#drop(active) };
  }

  platform(inner: Platform): Platform {
    return new FaultPlatform(inner, this.#source);
  }

  remove(): void {
    for (const active of this.#rules) {
      this.#drop(active);
    }
  }

  [Symbol.dispose](): void {
    this.remove();
  }

  #wrap(port: DevicePort): DevicePort {
    // The same function again when another wrapper comes or goes: what is held of it must not be lost.
    const { bdf, clock } = port;
    const state = this.#functions.get(bdf) ?? new FunctionState(clock, () => this.#isStalled(bdf));
    this.#functions.set(bdf, state);
    return new FaultPort(port, this.#source, state);
  }

  #drop(active: ActiveRule): void {
    this.#rules = this.#rules.filter((other) => other !== active);
    for (const [device, rules] of this.#begun) {
      if (rules.includes(active)) {
        const others = rules.filter((other) => other !== active);
        this.#begun.set(device, others);
        this.#end(active, device);
      }
    }
    if (this.#rules.length === 0) {
      this.#interposed?.remove();
      this.#interposed = undefined;
      this.#releaseAll();
    }
  }

  /** What lasted is over. */
  #end({ rule }: ActiveRule, device: string): void {
    this.#functions.get(device)?.release();
    if (rule.fault === "device-lost") {
      this.#putBack(device);
    }
  }

  #releaseAll(): void {
    for (const state of this.#functions.values()) {
      state.release();
    }
  }

  /** It may be gone already, with another function of its card. */
  #lose(device: string): void {
    if (this.#machine.inspect.command(device).present) {
      this.#machine.surpriseRemove(device);
    }
  }

  /** Its card, unless somebody else has put it back. */
  #putBack(device: string): void {
    if (!this.#machine.inspect.command(device).present) {
      this.#machine.insert(device);
    }
  }

  #strike(occasion: Occasion): ActiveRule | undefined {
    for (const rule of this.#rules) {
      if (rule.strikes(occasion, this.#choices)) {
        if (rule.rule.lasts) {
          this.#begun.set(occasion.device, [...(this.#begun.get(occasion.device) ?? []), rule]);
        }
        return rule;
      }
    }
    return undefined;
  }

  #isStalled(device: string): boolean {
    if (this.#source.lasting("engine-stall", device) !== undefined) {
      return true;
    }
    const occasion: Occasion = { kind: "event", device };
    const rule = this.#strike(occasion);
    if (rule !== undefined) {
      this.#source.report(rule, occasion, "the engine stands still from here on");
    }
    return rule !== undefined;
  }

  /** RAM, or memory behind a BAR: reading it twice has no side effect. */
  #isMemory(device: string, address: number): boolean {
    const { inspect, fabric, topology } = this.#machine;
    const { arrivesAt } = inspect.trace(device, address, "read");
    if (arrivesAt?.kind !== "bar") {
      return arrivesAt?.kind === "ram";
    }
    const { bdf, bar } = arrivesAt;
    const row = topology.indexOf(bdf);
    const slot = fabric.map.slots.find((each) => each.row === row && each.index === bar);
    return slot?.model?.kind === "memory";
  }

  readonly #source: FaultSource = {
    strike: (occasion) => this.#strike(occasion),
    detail: ({ rule: { fault } }, device, count) =>
      this.#choices.choose({ about: "detail", fault, device, count }),
    report: ({ rule, name }, { kind, device, address, lengthBytes }, text) =>
      this.#log.add({
        fault: rule.fault,
        rule: name,
        timeNs: this.#machine.clock.nowNs,
        device,
        kind,
        ...(address !== undefined && { address }),
        ...(lengthBytes !== undefined && { lengthBytes }),
        text,
      }),
    lasting: (fault, device) =>
      this.#begun.get(device)?.find((active) => active.rule.fault === fault),
    lose: (device) => this.#lose(device),
    logIommuFault: (requester, address, lengthBytes, kind) =>
      this.#machine.faultLog.add({
        requester,
        address,
        lengthBytes,
        kind,
        reason: "IOMMU_NOT_PRESENT",
        at: "iommu",
        timeNs: this.#machine.clock.nowNs,
      }),
    targetOf: (device, address, kind) => {
      const { arrivesAt } = this.#machine.inspect.trace(device, address, kind);
      return arrivesAt?.kind === "bar" ? arrivesAt.bdf : arrivesAt?.kind;
    },
    isMemory: (device, address) => this.#isMemory(device, address),
  };
}
