/**
 * Fabric tree: host bridges, ports, switches and devices of a generated machine, still without
 * addresses.
 */
import type { FabricPlan, FabricRole } from "./fabric-options.ts";
import type { Random } from "./random.ts";

/** One function and what is on the bus below it. */
export interface FabricNode {
  readonly role: FabricRole;
  /** Device × 8 + function on its bus. */
  readonly devfn: number;
  readonly below: FabricNode[];
  /** Of a virtual function: devfn of its physical function on the same bus. */
  readonly physicalDevfn?: number;
}

/** A host bridge: the functions on its root bus, in bus list order. */
export interface FabricHost {
  readonly functions: FabricNode[];
  /** Bus numbers it takes, its root bus included. */
  readonly busCount: number;
}

export const isBridgeRole = (role: FabricRole): boolean =>
  role === "root-port" || role === "switch-upstream" || role === "switch-downstream";

/** Buses in a PCI domain. */
export const BUS_COUNT_MAX = 256;
const ROOT_PORT_FIRST_DEVICE = 1;

/** Grows host bridges until they have enough endpoints. */
export function growHosts(plan: FabricPlan, random: Random): FabricHost[] {
  const hosts: FabricHost[] = [];
  let endpointsLeft = plan.endpoints;
  while (endpointsLeft > 0) {
    const growth = new HostGrowth(plan, random, endpointsLeft);
    hosts.push(growth.grow());
    endpointsLeft = growth.endpointsLeft;
  }
  return hosts;
}

/** One host bridge while it grows, with what is left to spend. */
class HostGrowth {
  endpointsLeft: number;
  readonly #plan: FabricPlan;
  readonly #random: Random;
  #busesLeft: number = BUS_COUNT_MAX - 1;

  constructor(plan: FabricPlan, random: Random, endpointsLeft: number) {
    this.#plan = plan;
    this.#random = random;
    this.endpointsLeft = endpointsLeft;
  }

  grow(): FabricHost {
    const functions: FabricNode[] = [];
    if (this.#random.chance(this.#plan.hostFunctionChance)) {
      functions.push({ role: "host", devfn: 0, below: [] });
    }
    if (this.#random.chance(this.#plan.integratedChance)) {
      this.endpointsLeft -= 1;
      functions.push({ role: "integrated-endpoint", devfn: 1, below: [] });
    }
    const ports = this.#random.between(...this.#plan.rootPorts);
    for (let port = 0; port < ports && this.endpointsLeft > 0 && this.#busesLeft > 0; port++) {
      this.#busesLeft -= 1;
      const devfn = (ROOT_PORT_FIRST_DEVICE + port) * 8;
      functions.push({ role: "root-port", devfn, below: this.#belowPort(0) });
    }
    return { functions, busCount: BUS_COUNT_MAX - this.#busesLeft };
  }

  #belowPort(level: number): FabricNode[] {
    const mayBranch = level < this.#plan.switchLevels && this.#busesLeft > 1;
    return mayBranch && this.#random.chance(this.#plan.switchChance)
      ? [this.#switch(level + 1)]
      : this.#device();
  }

  #switch(level: number): FabricNode {
    this.#busesLeft -= 1;
    const below: FabricNode[] = [];
    const ports = this.#random.between(...this.#plan.switchPorts);
    for (let port = 0; port < ports && this.#busesLeft > 0; port++) {
      if (port > 0 && this.endpointsLeft <= 0) {
        break;
      }
      this.#busesLeft -= 1;
      below.push({ role: "switch-downstream", devfn: port * 8, below: this.#belowPort(level) });
    }
    return { role: "switch-upstream", devfn: 0, below };
  }

  #device(): FabricNode[] {
    const count = this.#random.between(...this.#plan.functions);
    const hasVfs = this.#random.chance(this.#plan.virtualFunctionChance);
    const nodes = Array.from({ length: count }, (_, devfn): FabricNode => {
      return hasVfs && devfn > 0
        ? { role: "virtual-function", devfn, below: [], physicalDevfn: 0 }
        : { role: "endpoint", devfn, below: [] };
    });
    this.endpointsLeft -= nodes.length;
    return nodes;
  }
}
