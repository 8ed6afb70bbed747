/**
 * Capabilities: the standard and extended capability lists of a PCI function.
 *
 * The lists are walked as Linux walks them (drivers/pci/pci.c, 6.12: at most 48 standard entries and
 * 480 extended ones, an id of 0xff or a pointer into the header ends the list), because the
 * kernel's verdict rests on what the kernel finds. Reads stay within the captured bytes: where the
 * capture ends before the answer, the answer is `NOT_CAPTURED`.
 */
import {
  byteAt,
  CONFIG_BYTES,
  CONFIG_STANDARD_BYTES,
  dwordAt,
  firstCapability,
  wordAt,
} from "./config-space.ts";
import {
  type AcsRecord,
  type LinkRecord,
  PORT_TYPE_NONE,
  PORT_TYPE_UNKNOWN,
  type ResizableBar,
} from "./function-record.ts";

export const CAPABILITY_PCI_EXPRESS = 0x10;
export const EXTENDED_ACS = 0x000d;
export const EXTENDED_SRIOV = 0x0010;
export const EXTENDED_RESIZABLE_BAR = 0x0015;

/** Looked for, and known not to be there. No capability can stand at offset 0. */
export const NOT_PRESENT = 0;
/** The capture ends before the answer. */
export const NOT_CAPTURED = -1;

const STANDARD_COUNT_MAX = 48;
const EXTENDED_COUNT_MAX = (CONFIG_BYTES - CONFIG_STANDARD_BYTES) / 8;
const EXTENDED_START = CONFIG_STANDARD_BYTES;
const MIB = 2 ** 20;

/** Offset of a standard capability in known config space, `NOT_PRESENT` or `NOT_CAPTURED`. */
export function findCapability(config: Uint8Array, id: number): number {
  if (config.length === 0) {
    return NOT_CAPTURED;
  }
  let offset = firstCapability(config);
  for (let seen = 0; seen < STANDARD_COUNT_MAX && offset >= 0x40; seen++) {
    if (offset + 2 > config.length) {
      return NOT_CAPTURED;
    }
    const found = byteAt(config, offset);
    if (found === id || found === 0xff) {
      return found === id ? offset : NOT_PRESENT;
    }
    offset = byteAt(config, offset + 1) & ~3;
  }
  return NOT_PRESENT;
}

/** Offset of an extended capability in known config space, `NOT_PRESENT` or `NOT_CAPTURED`. */
export function findExtendedCapability(config: Uint8Array, id: number): number {
  if (config.length < CONFIG_BYTES) {
    return isConventional(config) ? NOT_PRESENT : NOT_CAPTURED;
  }
  let offset = EXTENDED_START;
  for (let seen = 0; seen < EXTENDED_COUNT_MAX && offset >= EXTENDED_START; seen++) {
    const header = dwordAt(config, offset);
    if (header === 0) {
      return NOT_PRESENT;
    }
    if (header % 0x10000 === id) {
      return offset;
    }
    offset = Math.floor(header / 0x100000) & ~3;
  }
  return NOT_PRESENT;
}

/**
 * True when the function is known to have no extended config space. Linux looks for one only on
 * PCI Express functions and on host bridges (`pci_cfg_space_size`), and gives the `config` file 256
 * bytes without one; a host bridge of which only the header was read is thus not known.
 */
function isConventional(config: Uint8Array): boolean {
  const isHostBridge = wordAt(config, 0x0a) === 0x0600;
  if (isHostBridge && config.length < CONFIG_STANDARD_BYTES) {
    return false;
  }
  return findCapability(config, CAPABILITY_PCI_EXPRESS) === NOT_PRESENT;
}

/** Device/port type, `PORT_TYPE_NONE` or `PORT_TYPE_UNKNOWN`. */
export function portTypeOfConfig(config: Uint8Array): number {
  const express = findCapability(config, CAPABILITY_PCI_EXPRESS);
  if (express === NOT_PRESENT) {
    return PORT_TYPE_NONE;
  }
  return express === NOT_CAPTURED || express + 4 > config.length
    ? PORT_TYPE_UNKNOWN
    : (wordAt(config, express + 2) >> 4) & 0xf;
}

/** ACS registers, `"absent"`, or undefined where the capture does not reach. */
export function acsOfConfig(config: Uint8Array): AcsRecord | "absent" | undefined {
  const offset = findExtendedCapability(config, EXTENDED_ACS);
  if (offset === NOT_PRESENT) {
    return "absent";
  }
  if (offset === NOT_CAPTURED || offset + 8 > config.length) {
    return undefined;
  }
  const capability = wordAt(config, offset + 4);
  const vectorStart = offset + 8;
  return {
    capability,
    control: wordAt(config, offset + 6),
    egressVector: config.slice(vectorStart, vectorStart + egressVectorBytes(capability)),
  };
}

/** Whole dwords for the bits that capability bits 15:8 announce; 0 there means 256 (PCIe 7.7.11.2). */
function egressVectorBytes(capability: number): number {
  const hasEgressControl = (capability & 0x20) !== 0;
  return hasEgressControl ? Math.ceil((capability >> 8 || 256) / 32) * 4 : 0;
}

const SPEEDS_MTPS: readonly number[] = [0, 2500, 5000, 8000, 16_000, 32_000, 64_000];

/** Link registers of the PCI Express capability (PCIe 7.5.3.6 to 7.5.3.8); empty where not captured. */
export function linkOfConfig(config: Uint8Array): LinkRecord {
  const express = findCapability(config, CAPABILITY_PCI_EXPRESS);
  if (express <= 0 || express + 0x14 > config.length) {
    return {};
  }
  const capabilities = dwordAt(config, express + 0x0c);
  const status = wordAt(config, express + 0x12);
  return {
    speedMtps: SPEEDS_MTPS[status & 0xf] ?? 0,
    width: (status >> 4) & 0x3f,
    speedMaxMtps: SPEEDS_MTPS[capabilities & 0xf] ?? 0,
    widthMax: (capabilities >> 4) & 0x3f,
  };
}

/** SR-IOV of a physical function (PCIe 9.3.3). */
export interface SriovFacts {
  readonly totalVfs: number;
  readonly enabledVfs: number;
  /** Routing id of the first VF, and from one to the next, relative to the physical function. */
  readonly firstVfOffset: number;
  readonly vfStride: number;
  readonly vfDevice: number;
}

/** SR-IOV registers, `"absent"`, or undefined where the capture does not reach. */
export function sriovOfConfig(config: Uint8Array): SriovFacts | "absent" | undefined {
  const offset = findExtendedCapability(config, EXTENDED_SRIOV);
  if (offset === NOT_PRESENT) {
    return "absent";
  }
  if (offset === NOT_CAPTURED || offset + 0x40 > config.length) {
    return undefined;
  }
  return {
    totalVfs: wordAt(config, offset + 0x0e),
    enabledVfs: wordAt(config, offset + 0x10),
    firstVfOffset: wordAt(config, offset + 0x14),
    vfStride: wordAt(config, offset + 0x16),
    vfDevice: wordAt(config, offset + 0x1a),
  };
}

/** Resizable BARs, empty when there are none, undefined where the capture does not reach. */
export function resizableBarsOfConfig(config: Uint8Array): ResizableBar[] | undefined {
  const offset = findExtendedCapability(config, EXTENDED_RESIZABLE_BAR);
  if (offset === NOT_PRESENT) {
    return [];
  }
  if (offset === NOT_CAPTURED || offset + 12 > config.length) {
    return undefined;
  }
  const count = Math.min(6, (dwordAt(config, offset + 8) >>> 5) & 7);
  const bars = Array.from({ length: count }, (_, entry) => offset + entry * 8);
  return bars.filter((at) => at + 12 <= config.length).map((at) => resizableBarAt(config, at));
}

function resizableBarAt(config: Uint8Array, at: number): ResizableBar {
  const supported = dwordAt(config, at + 4);
  const control = dwordAt(config, at + 8);
  const exponents = Array.from({ length: 28 }, (_, exponent) => exponent);
  return {
    index: control & 7,
    size: MIB * 2 ** ((control >>> 8) & 0x3f),
    sizesSupported: exponents
      .filter((exponent) => ((supported >>> (exponent + 4)) & 1) !== 0)
      .map((exponent) => MIB * 2 ** exponent),
  };
}
