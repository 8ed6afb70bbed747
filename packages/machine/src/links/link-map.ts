/**
 * Link map: the PCIe links of a machine, one below each root port and each downstream port of a switch.
 *
 * Speed and width are what was negotiated when the machine was captured, read at the lower end (link
 * status register), or at the port where only that was captured; or the speed of which both ends are capable. Packet sizes are what the kernel and
 * firmware set in Device Control. A conventional bus has no link here: how fast it is, nothing says.
 */
import { InputError } from "@peerbuf/core";
import {
  CAPABILITY_PCI_EXPRESS,
  findCapability,
  PORT_TYPE,
  type Topology,
} from "@peerbuf/topology";
import {
  type LinkOptions,
  type LinkSpeed,
  PAYLOAD_BYTES_DEFAULT,
  READ_REQUEST_BYTES_DEFAULT,
} from "./link-options.ts";
import { isFlitMode, linkBytesPerNs } from "./link-rate.ts";
import type { ResourceTable } from "./resource-table.ts";

/** Device Control, within the PCI Express capability (PCIe 7.5.3.4). */
const DEVICE_CONTROL = 0x08;
/** No link below this function, or nobody knows how fast it is. */
const NO_LINK = -1;

export class LinkMap {
  /** By row of a port: its link away from the root complex, or -1. The other direction is beside it. */
  readonly #down: Int32Array;
  /** By row of a port: the link is in flit mode. */
  readonly #isFlit: Uint8Array;
  /** By row of a function: bytes of payload of the packets it sends, and of its read requests. */
  readonly #payload: Uint16Array;
  readonly #readRequest: Uint16Array;

  constructor(topology: Topology, options: LinkOptions, resources: ResourceTable) {
    this.#down = new Int32Array(topology.count).fill(NO_LINK);
    this.#isFlit = new Uint8Array(topology.count);
    this.#payload = new Uint16Array(topology.count);
    this.#readRequest = new Uint16Array(topology.count);
    const stated = statedLinks(topology, options);
    for (let row = 0; row < topology.count; row++) {
      const control = deviceControl(topology, ownerOf(topology, row));
      this.#payload[row] = sizeOf(control, 5) ?? options.payloadBytes ?? PAYLOAD_BYTES_DEFAULT;
      this.#readRequest[row] =
        sizeOf(control, 12) ?? options.readRequestBytes ?? READ_REQUEST_BYTES_DEFAULT;
      const speed =
        stated.get(row) ??
        speedBelow(topology, row, options.speed === "capable") ??
        (isPort(topology, row) ? options.assumed : undefined);
      if (speed !== undefined) {
        this.#addLink(row, topology.bdfOf(row), speed, resources);
      }
    }
  }

  /** Resource of the link below a port, away from the root complex; -1 when there is none or its speed is not known. */
  downOf(port: number): number {
    return this.#down[port] as number;
  }

  /** In flit mode packets are not framed one by one. */
  isFlit(port: number): boolean {
    return this.#isFlit[port] === 1;
  }

  payloadOf(row: number): number {
    return this.#payload[row] as number;
  }

  readRequestOf(row: number): number {
    return this.#readRequest[row] as number;
  }

  #addLink(
    row: number,
    name: string,
    { speedMtps, width }: LinkSpeed,
    resources: ResourceTable,
  ): void {
    this.#down[row] = resources.addPair(
      { kind: "link", name, direction: "down" },
      { kind: "link", name, direction: "up" },
      linkBytesPerNs(speedMtps, width),
    );
    this.#isFlit[row] = isFlitMode(speedMtps) ? 1 : 0;
  }
}

const isPort = ({ table }: Topology, row: number): boolean =>
  table.portType[row] === PORT_TYPE.ROOT_PORT ||
  table.portType[row] === PORT_TYPE.SWITCH_DOWNSTREAM;

/** By row of the port, the links that the options state. `InputError` for functions that there are not, or without a link, and for a link stated twice. */
function statedLinks(topology: Topology, { byFunction = {} }: LinkOptions): Map<number, LinkSpeed> {
  const stated = new Map<number, LinkSpeed>();
  for (const [bdf, speed] of Object.entries(byFunction)) {
    const row = topology.require(bdf);
    const port = isPort(topology, row) ? row : topology.upstreamOf(row);
    if (port < 0 || !isPort(topology, port)) {
      throw new InputError({
        source: "links",
        place: `byFunction ${bdf}`,
        cause: "this function is on no PCIe link below a port",
        remedy: "Name a device or a switch's upstream port, or the port above it",
      });
    }
    if (stated.has(port)) {
      throw new InputError({
        source: "links",
        place: `byFunction ${bdf}`,
        cause: `the link below ${topology.bdfOf(port)} is stated already`,
        remedy: "Name one of the functions of a link",
      });
    }
    stated.set(port, speed);
  }
  return stated;
}

/** What was negotiated on the link below a port. */
function speedBelow(topology: Topology, port: number, isCapable: boolean): LinkSpeed | undefined {
  if (!isPort(topology, port)) {
    return undefined;
  }
  const { linkSpeedMtps, linkWidth, physicalFunction } = topology.table;
  for (const row of [...topology.childrenOf(port), port]) {
    const speedMtps = linkSpeedMtps[row] as number;
    const width = linkWidth[row] as number;
    // A virtual function has no link of its own (SR-IOV specification: its link fields are reserved).
    if (speedMtps > 0 && width > 0 && (physicalFunction[row] as number) < 0) {
      return { speedMtps: isCapable ? capableMtps(topology, port, row) : speedMtps, width };
    }
  }
  return undefined;
}

/** The highest speed of both ends; that of one where only its own was captured, and the present one where none was. */
function capableMtps({ table }: Topology, port: number, row: number): number {
  const { linkSpeedMaxMtps, linkSpeedMtps } = table;
  const highest = [linkSpeedMaxMtps[port] as number, linkSpeedMaxMtps[row] as number];
  const known = highest.filter((speedMtps) => speedMtps > 0);
  return known.length === 0 ? (linkSpeedMtps[row] as number) : Math.min(...known);
}

/** A virtual function sends as its physical function does (SR-IOV specification: its fields are reserved). */
function ownerOf({ table }: Topology, row: number): number {
  const physical = table.physicalFunction[row] as number;
  return physical < 0 ? row : physical;
}

/** Undefined where it was not captured. */
function deviceControl(topology: Topology, row: number): number | undefined {
  const config = topology.configOf(row);
  const express = findCapability(config, CAPABILITY_PCI_EXPRESS);
  const at = express + DEVICE_CONTROL;
  return express <= 0 || at + 2 > config.length
    ? undefined
    : (config[at] as number) | ((config[at + 1] as number) << 8);
}

/** 128 bytes times 2 to the power of the three bits at `shift`; 6 and 7 are reserved. */
function sizeOf(control: number | undefined, shift: number): number | undefined {
  const code = control === undefined ? 7 : (control >> shift) & 7;
  return code > 5 ? undefined : 128 * 2 ** code;
}
