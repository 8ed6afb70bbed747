/**
 * Live registers: those of config space that the machine acts upon or sets, and what they stand for.
 */
import {
  ACS_PRESENT,
  CAPABILITY_PCI_EXPRESS,
  EXTENDED_ACS,
  EXTENDED_SRIOV,
  findCapability,
  findExtendedCapability,
} from "@peerbuf/topology";
import { EXTENDED_ATS } from "./ats.ts";
import { EXTENDED_AER } from "./error-registers.ts";
import type { Fabric } from "./fabric.ts";
import type { HotPlug } from "./hot-plug.ts";

export interface LiveRegister {
  readonly offset: number;
  readonly sizeBytes: 1 | 2 | 4;
  /** Ones that are written clear bits; zeros leave them. */
  readonly onesClear: boolean;
  read(): number;
  /** Left out: read only. */
  write?(value: number): void;
}

const MEMORY = 0x2;
const BUS_MASTER = 0x4;
const STATUS_ERRORS = 0x3800;
const DEVICE_ERRORS = 0x000f;
/** Device Capabilities bit 28 and Device Control bit 15. */
const RESET_CAPABLE = 0x10;
const INITIATE_RESET = 0x8000;
const ATS_ENABLE = 0x8000;
const VF_MEMORY = 0x8;
const HEADER_DOUBLE_WORDS = 4;

/** Config space of the function was captured; registers beyond the captured bytes are not there. */
export function liveRegisters(row: number, fabric: Fabric, hotPlug: HotPlug): LiveRegister[] {
  const config = fabric.topology.configOf(row);
  const registers = [
    command(row, fabric, config),
    status(row, fabric, config),
    ...express(row, fabric, hotPlug, config),
    ...errors(row, fabric, config),
    ...services(row, fabric, config),
  ];
  return registers.filter(({ offset, sizeBytes }) => offset + sizeBytes <= config.length);
}

const word = (config: Uint8Array, offset: number): number =>
  (config[offset] ?? 0) | ((config[offset + 1] ?? 0) << 8);

function command(row: number, fabric: Fabric, config: Uint8Array): LiveRegister {
  // A virtual function has no Memory Space Enable of its own.
  const isVirtual = (fabric.topology.table.physicalFunction[row] as number) >= 0;
  const rest = word(config, 0x04) & ~(MEMORY | BUS_MASTER);
  return {
    offset: 0x04,
    sizeBytes: 2,
    onesClear: false,
    read: () =>
      rest |
      (fabric.command.memory(row) && !isVirtual ? MEMORY : 0) |
      (fabric.command.busMaster(row) ? BUS_MASTER : 0),
    write: (value) =>
      fabric.setCommand([row], {
        ...(!isVirtual && { memory: (value & MEMORY) !== 0 }),
        busMaster: (value & BUS_MASTER) !== 0,
      }),
  };
}

function status(row: number, fabric: Fabric, config: Uint8Array): LiveRegister {
  const rest = word(config, 0x06) & ~STATUS_ERRORS;
  return {
    offset: 0x06,
    sizeBytes: 2,
    onesClear: true,
    read: () => rest | fabric.errors.raw(row).status,
    write: (value) => fabric.errors.clearBits(row, { status: value }),
  };
}

/** Device Control and Device Status. */
function express(
  row: number,
  fabric: Fabric,
  hotPlug: HotPlug,
  config: Uint8Array,
): LiveRegister[] {
  const at = findCapability(config, CAPABILITY_PCI_EXPRESS);
  if (at <= 0) {
    return [];
  }
  const control = word(config, at + 0x08);
  const rest = word(config, at + 0x0a) & ~DEVICE_ERRORS;
  const canReset = ((config[at + 0x07] ?? 0) & RESET_CAPABLE) !== 0;
  return [
    {
      offset: at + 0x08,
      sizeBytes: 2,
      onesClear: false,
      read: () => control & (canReset ? ~INITIATE_RESET : 0xffff),
      write(value) {
        if (canReset && (value & INITIATE_RESET) !== 0) {
          hotPlug.reset(row);
          fabric.setCommand([row], { memory: false });
        }
      },
    },
    {
      offset: at + 0x0a,
      sizeBytes: 2,
      onesClear: true,
      read: () => rest | fabric.errors.raw(row).deviceStatus,
      write: (value) => fabric.errors.clearBits(row, { deviceStatus: value }),
    },
  ];
}

/** Advanced Error Reporting. */
function errors(row: number, fabric: Fabric, config: Uint8Array): LiveRegister[] {
  const at = findExtendedCapability(config, EXTENDED_AER);
  if (at <= 0) {
    return [];
  }
  const capabilities = (config[at + 0x18] ?? 0) & ~0x1f;
  const headerLog = Array.from(
    { length: HEADER_DOUBLE_WORDS },
    (_, index): LiveRegister => ({
      offset: at + 0x1c + 4 * index,
      sizeBytes: 4,
      onesClear: false,
      read: () => fabric.errors.raw(row).headerLog[index] ?? 0,
    }),
  );
  return [
    {
      offset: at + 0x04,
      sizeBytes: 4,
      onesClear: true,
      read: () => fabric.errors.raw(row).uncorrectable,
      write: (value) => fabric.errors.clearBits(row, { uncorrectable: value }),
    },
    {
      offset: at + 0x10,
      sizeBytes: 4,
      onesClear: true,
      read: () => fabric.errors.raw(row).correctable,
      write: (value) => fabric.errors.clearBits(row, { correctable: value }),
    },
    {
      offset: at + 0x18,
      sizeBytes: 1,
      onesClear: false,
      read: () => capabilities | fabric.errors.raw(row).firstErrorPointer,
    },
    ...headerLog,
  ];
}

/** ACS, ATS and SR-IOV control. */
function services(row: number, fabric: Fabric, config: Uint8Array): LiveRegister[] {
  const { acsState, acsCapability, physicalFunction } = fabric.topology.table;
  const registers: LiveRegister[] = [];
  const acs = findExtendedCapability(config, EXTENDED_ACS);
  if (acs > 0 && acsState[row] === ACS_PRESENT) {
    const capable = (acsCapability[row] as number) & 0x7f;
    registers.push({
      offset: acs + 0x06,
      sizeBytes: 2,
      onesClear: false,
      read: () => fabric.acs.controlOf(row),
      write: (value) => fabric.setAcsControl(row, value & capable),
    });
  }
  const ats = findExtendedCapability(config, EXTENDED_ATS);
  if (ats > 0) {
    const rest = word(config, ats + 0x06) & ~ATS_ENABLE;
    registers.push({
      offset: ats + 0x06,
      sizeBytes: 2,
      onesClear: false,
      read: () => rest | (fabric.ats.isEnabled(row) ? ATS_ENABLE : 0),
      write: (value) => fabric.setAts(row, (value & ATS_ENABLE) !== 0),
    });
  }
  const sriov = findExtendedCapability(config, EXTENDED_SRIOV);
  const virtual = Array.from(physicalFunction.keys()).filter((at) => physicalFunction[at] === row);
  const [first] = virtual;
  if (sriov > 0 && first !== undefined) {
    const rest = word(config, sriov + 0x08) & ~VF_MEMORY;
    registers.push({
      offset: sriov + 0x08,
      sizeBytes: 2,
      onesClear: false,
      read: () => rest | (fabric.command.memory(first) ? VF_MEMORY : 0),
      write: (value) => fabric.setCommand(virtual, { memory: (value & VF_MEMORY) !== 0 }),
    });
  }
  return registers;
}
