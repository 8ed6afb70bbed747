/**
 * Command register: which functions answer for their memory, and which may issue requests.
 *
 * Two bits of each function (PCI local bus specification 3.0, 6.2.2; PCIe base specification 5.0, 7.5.1.1.3):
 * Memory Space Enable lets its BARs claim, and a bridge forward downwards; Bus Master Enable lets it issue
 * requests, and a bridge forward them upwards. Completions pass in any case.
 *
 * They start as captured, and enabled where config space was not. A virtual function has no Memory Space
 * Enable of its own; that of all of them is in its physical function's SR-IOV control (9.3.3.3).
 */
import { EXTENDED_SRIOV, findExtendedCapability, type Topology } from "@peerbuf/topology";

const COMMAND = 0x04;
const MEMORY = 0x2;
const BUS_MASTER = 0x4;
const SRIOV_CONTROL = 0x08;
const VF_MEMORY = 0x8;

/** What changes; what is left out stays. */
export interface CommandBits {
  /** Memory Space Enable. */
  readonly memory?: boolean;
  /** Bus Master Enable. */
  readonly busMaster?: boolean;
}

export class CommandRegisters {
  readonly #bits: Uint8Array;

  constructor(topology: Topology) {
    this.#bits = Uint8Array.from({ length: topology.count }, (_, row) => captured(topology, row));
  }

  memory(row: number): boolean {
    return ((this.#bits[row] as number) & MEMORY) !== 0;
  }

  busMaster(row: number): boolean {
    return ((this.#bits[row] as number) & BUS_MASTER) !== 0;
  }

  /** True when a bit is another one now. */
  set(row: number, bits: CommandBits): boolean {
    const { memory = this.memory(row), busMaster = this.busMaster(row) } = bits;
    const before = this.#bits[row];
    this.#bits[row] = (memory ? MEMORY : 0) | (busMaster ? BUS_MASTER : 0);
    return this.#bits[row] !== before;
  }
}

function captured(topology: Topology, row: number): number {
  const config = topology.configOf(row);
  const command = config.length > COMMAND ? (config[COMMAND] as number) : MEMORY | BUS_MASTER;
  const physical = topology.table.physicalFunction[row] as number;
  if (physical < 0) {
    return command & (MEMORY | BUS_MASTER);
  }
  return (command & BUS_MASTER) | (virtualMemory(topology, physical) ? MEMORY : 0);
}

function virtualMemory(topology: Topology, physical: number): boolean {
  const config = topology.configOf(physical);
  const sriov = findExtendedCapability(config, EXTENDED_SRIOV);
  return sriov <= 0 || ((config[sriov + SRIOV_CONTROL] as number) & VF_MEMORY) !== 0;
}
