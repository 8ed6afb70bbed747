/**
 * IOMMU groups: which functions the kernel would put into one group, from the tree and from ACS.
 *
 * Follows `pci_device_group()` (drivers/iommu/iommu.c) and `pci_acs_enabled()` (drivers/pci/pci.c) of 6.12:
 * requester ids that a bridge takes over, then up to where ACS protects from peers, then functions of one
 * slot without ACS. Functions are taken in the order in which the kernel finds them, because a group that
 * exists is joined. Of the kernel's device-specific exceptions, the one for integrated endpoints of Intel root
 * complexes is known here (VT-d specification 3.16); others are ports of chipsets and NICs that isolate without
 * saying so, and would make groups smaller than computed.
 */
import { ACS } from "../acs.ts";
import { byteAt } from "../config-space.ts";
import { PORT_TYPE, PORT_TYPE_NONE, PORT_TYPE_UNKNOWN } from "../function-record.ts";
import { ACS_PRESENT, ACS_UNKNOWN } from "../function-table.ts";
import type { Topology } from "../topology.ts";

const INTEL = 0x8086;
/** REQ_ACS_FLAGS. */
const ISOLATING = ACS.SV | ACS.RR | ACS.CR | ACS.UF;

/** Group by row, numbered from 0 in order of discovery; undefined where the capture lacks what they follow from. */
export function iommuGroupsOf(topology: Topology): Int32Array | undefined {
  const { acsState, portType } = topology.table;
  const isKnown =
    topology.facts.tree === "whole" &&
    !acsState.includes(ACS_UNKNOWN) &&
    !portType.includes(PORT_TYPE_UNKNOWN);
  return isKnown ? new Grouping(topology).groups() : undefined;
}

class Grouping {
  readonly #topology: Topology;
  readonly #isMultifunction: Uint8Array;
  readonly #group: Int32Array;
  #count = 0;

  constructor(topology: Topology) {
    this.#topology = topology;
    this.#isMultifunction = multifunctionOf(topology);
    this.#group = new Int32Array(topology.count).fill(-1);
  }

  groups(): Int32Array {
    for (const row of scanOrder(this.#topology)) {
      this.#group[row] = this.#groupFor(row);
    }
    return this.#group;
  }

  #groupFor(row: number): number {
    const alias = this.#aliasOf(row);
    let top = alias.row;
    if (alias.group >= 0) {
      return alias.group;
    }
    for (let bridge = this.#topology.parentOf(top); bridge >= 0; ) {
      if (this.#isPathIsolated(bridge)) {
        break;
      }
      top = bridge;
      const group = this.#group[top] as number;
      if (group >= 0) {
        return group;
      }
      bridge = this.#topology.parentOf(bridge);
    }
    return this.#groupOfSlot(top) ?? this.#count++;
  }

  /** The highest bridge that takes over the function's requester id, or a function on the way that has a group. */
  #aliasOf(row: number): { row: number; group: number } {
    let top = row;
    const { portType } = this.#topology.table;
    for (let bridge = this.#topology.parentOf(row); bridge >= 0; ) {
      const type = portType[bridge];
      const takesOver =
        type === PORT_TYPE_NONE || type === PORT_TYPE.PCIE_TO_PCI || type === PORT_TYPE.PCI_TO_PCIE;
      if (takesOver) {
        top = bridge;
        const group = this.#group[bridge] as number;
        if (group >= 0) {
          return { row: top, group };
        }
      }
      bridge = this.#topology.parentOf(bridge);
    }
    return { row: top, group: -1 };
  }

  /** `pci_acs_path_enabled` up to the root bus. */
  #isPathIsolated(start: number): boolean {
    for (let row = start; row >= 0; row = this.#topology.parentOf(row)) {
      if (!this.#isIsolating(row)) {
        return false;
      }
    }
    return true;
  }

  /** `pci_acs_enabled` for all flags that isolate. */
  #isIsolating(row: number): boolean {
    const { portType, vendor } = this.#topology.table;
    switch (portType[row]) {
      case PORT_TYPE.ROOT_PORT:
      case PORT_TYPE.SWITCH_DOWNSTREAM:
        return this.#hasFlags(row);
      case PORT_TYPE.ROOT_COMPLEX_ENDPOINT:
        return vendor[row] === INTEL || this.#isAloneOrHasFlags(row);
      case PORT_TYPE.ENDPOINT:
      case PORT_TYPE.LEGACY_ENDPOINT:
      case PORT_TYPE.SWITCH_UPSTREAM:
        return this.#isAloneOrHasFlags(row);
      default:
        return false;
    }
  }

  #isAloneOrHasFlags(row: number): boolean {
    return this.#isMultifunction[row] === 0 || this.#hasFlags(row);
  }

  /** A feature that is not in the capability is taken to be wired on. */
  #hasFlags(row: number): boolean {
    const { acsState, acsCapability, acsControl } = this.#topology.table;
    const wanted = ISOLATING & (acsCapability[row] as number);
    return acsState[row] === ACS_PRESENT && ((acsControl[row] as number) & wanted) === wanted;
  }

  /** Group of another function in the slot that is not isolated either. */
  #groupOfSlot(row: number): number | undefined {
    if (this.#isMultifunction[row] === 0 || this.#isIsolating(row)) {
      return undefined;
    }
    for (const other of neighbours(this.#topology, row)) {
      const group = this.#group[other] as number;
      if (other !== row && group >= 0 && !this.#isIsolating(other)) {
        return group;
      }
    }
    return undefined;
  }
}

/** Functions on the same bus in the same slot, itself included. */
function neighbours(topology: Topology, row: number): number[] {
  const { bus, domain, devfn } = topology.table;
  const parent = topology.parentOf(row);
  const siblings = parent < 0 ? topology.rootBusOf(row).functions : topology.childrenOf(parent);
  return [...siblings].filter(
    (other) =>
      (devfn[other] as number) >> 3 === (devfn[row] as number) >> 3 &&
      bus[other] === bus[row] &&
      domain[other] === domain[row],
  );
}

/** The header type's bit 7, and every function but the first of a slot (pci_scan_slot). */
function multifunctionOf(topology: Topology): Uint8Array {
  const { devfn } = topology.table;
  return Uint8Array.from({ length: topology.count }, (_, row) => {
    const config = topology.configOf(row);
    const isMarked = config.length > 0x0e && (byteAt(config, 0x0e) & 0x80) !== 0;
    return isMarked || ((devfn[row] as number) & 7) > 0 ? 1 : 0;
  });
}

/** All functions of a bus, then those below its bridges (pci_scan_child_bus); virtual functions come last. */
function scanOrder(topology: Topology): number[] {
  const order: number[] = [];
  const visit = (rows: Iterable<number>): void => {
    const bus = [...rows].filter((row) => (topology.table.physicalFunction[row] as number) < 0);
    order.push(...bus);
    for (const row of bus) {
      visit(topology.childrenOf(row));
    }
  };
  for (const root of topology.rootBuses) {
    visit(root.functions);
  }
  const seen = new Set(order);
  for (let row = 0; row < topology.count; row++) {
    if (!seen.has(row)) {
      order.push(row);
    }
  }
  return order;
}
