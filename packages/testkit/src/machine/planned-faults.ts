/**
 * Planned faults: faults of a machine, decided on before a run begins.
 *
 * A machine has hundreds of occasions for a fault in a run, most of them while hardware is started. Asked at each, a search would
 * hardly get beyond the first ones; so which fault, of which device, at which occasion is decided at once, each occasion with
 * the same chance. A fault whose occasion does not come does not happen.
 */
import { type FaultInjector, type FaultRule, injectFaults, type Machine } from "@peerbuf/machine";
import { FAULT_LABELS } from "../ground/fault-kind.ts";
import type { World } from "../ground/world.ts";

type Hardware = "iommu-fault" | "late-fence" | "lost-fence" | "dma-refused" | "map-exhausted";

/** What each kind is on a machine: one of these rules, at one of the first so many occasions. */
const RULES: Readonly<
  Record<Hardware, { readonly rules: readonly FaultRule[]; readonly occasions: number }>
> = {
  "iommu-fault": { rules: [{ fault: "iommu-fault" }], occasions: 96 },
  "late-fence": {
    rules: [{ fault: "delay", kind: "interrupt", delayNs: 1_000_000 }],
    occasions: 16,
  },
  "lost-fence": {
    rules: [
      { fault: "drop", kind: "interrupt" },
      { fault: "fence-stuck" },
      { fault: "engine-stall" },
    ],
    occasions: 24,
  },
  "dma-refused": { rules: [{ fault: "refuse-mapping" }], occasions: 12 },
  "map-exhausted": {
    rules: [{ fault: "refuse-memory" }, { fault: "refuse-coherent" }],
    occasions: 12,
  },
};

const KINDS = Object.keys(RULES) as Hardware[];

export class PlannedFaults {
  readonly injector: FaultInjector;
  readonly #world: World;
  readonly #open = new Set<string>();
  /** Requests that were stopped by a fault of ours, and not by a mistake: requester and address. */
  #stopped = "";
  #planned = 0;
  #isOver = false;

  constructor(world: World, machine: Machine) {
    this.#world = world;
    this.injector = injectFaults(machine, {
      choices: {
        choose: ({ count, fault }) => world.decisions.choose(count, `detail of ${fault}`),
      },
    });
    this.injector.events.subscribe(({ rule, device, address, text }) => {
      this.#stopped = `${device} ${address}`;
      this.#struck(rule as Hardware, `${device}: ${text}`);
    });
  }

  /** Decided on and not happened yet. */
  get count(): number {
    return this.#planned;
  }

  /** One that lasts may hold work back. */
  get hasHeldBack(): boolean {
    return this.injector.injectedCount > 0 && !this.#isOver;
  }

  /** Asks for each kind whether it is to happen. `devices`: those with a model. */
  plan(devices: readonly string[]): void {
    const { decisions } = this.#world;
    for (const kind of KINDS) {
      if (this.#world.mayFail(kind) && decisions.choose(2, FAULT_LABELS[kind]) === 1) {
        const { rules, occasions } = RULES[kind];
        const rule = rules[decisions.choose(rules.length, `how: ${kind}`)] as FaultRule;
        const device = devices[decisions.choose(devices.length, `which device: ${kind}`)] as string;
        const nth = 1 + decisions.choose(occasions, `which occasion: ${kind}`);
        this.#planned++;
        this.#open.add(kind);
        this.injector.add({ ...rule, name: kind, device, nth });
      }
    }
  }

  /** Was this request stopped by a fault that was put in? */
  hasStopped(requester: string, address: number): boolean {
    return this.#stopped === `${requester} ${address}`;
  }

  end(): void {
    this.#isOver = true;
    this.#planned = 0;
    this.injector.remove();
  }

  /** A fault that lasts strikes again and again: it happens once. */
  #struck(kind: Hardware, at: string): void {
    if (this.#open.delete(kind)) {
      this.#planned--;
      this.#world.failed(kind, at);
    }
  }
}
