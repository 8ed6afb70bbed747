/**
 * Machines of published measurements: devices below one switch or each below its own root port.
 *
 * Each device has a memory BAR of 64 MiB and a small one for registers, and the link that the
 * publication states. What it does not state is left out and shows in the row.
 */
import { createMachine, type LinkOptions, type Machine } from "@peerbuf/machine";
import {
  buildTopology,
  type FunctionRecord,
  factsNamed,
  type MachineFacts,
  PORT_TYPE,
  type Topology,
} from "@peerbuf/topology";

const MIB = 2 ** 20;
const LARGE_BYTES = 64 * MIB;
const LARGE_START = 2 ** 40;
const SMALL_START = 0xc000_0000;

export interface LinkSpec {
  readonly speedMtps: number;
  readonly width: number;
}

export const GEN4_X16: LinkSpec = { speedMtps: 16_000, width: 16 };
export const GEN5_X16: LinkSpec = { speedMtps: 32_000, width: 16 };
export const GEN5_X8: LinkSpec = { speedMtps: 32_000, width: 8 };
export const GEN5_X4: LinkSpec = { speedMtps: 32_000, width: 4 };

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");

/** Where the large BAR of device `index` starts. */
export const largeBar = (index: number): number => LARGE_START + index * LARGE_BYTES;

function device(index: number, bus: number, link: LinkSpec): FunctionRecord {
  const small = { index: 0, start: SMALL_START + index * MIB, size: MIB, wide: false };
  const large = { index: 2, start: largeBar(index), size: LARGE_BYTES, wide: true };
  return {
    bdf: `0000:${hex(bus, 2)}:00.0`,
    portType: PORT_TYPE.ENDPOINT,
    acs: "absent",
    link,
    bars: [
      { ...small, kind: "memory", prefetchable: false },
      { ...large, kind: "memory", prefetchable: true },
    ],
  };
}

/** A port above the devices from `first` to `last`. */
function port(
  bdf: string,
  portType: number,
  buses: readonly [number, number],
  [first, last]: readonly [number, number],
): FunctionRecord {
  const count = last - first + 1;
  return {
    bdf,
    portType,
    headerType: 1,
    secondaryBus: buses[0],
    subordinateBus: buses[1],
    acs: "absent",
    windows: [
      { kind: "memory", start: SMALL_START + first * MIB, size: count * MIB },
      { kind: "prefetchable", start: largeBar(first), size: count * LARGE_BYTES },
    ],
  };
}

/** Bus of device `index` below the switch. */
const SWITCH_BUS = 3;

export function belowSwitch(links: readonly LinkSpec[]): Topology {
  const last = links.length - 1;
  const all = [0, last] as const;
  const end = SWITCH_BUS + last;
  return buildTopology("below one switch", [
    port("0000:00:01.0", PORT_TYPE.ROOT_PORT, [1, end], all),
    { ...port("0000:01:00.0", PORT_TYPE.SWITCH_UPSTREAM, [2, end], all), link: GEN5_X16 },
    ...links.flatMap((link, index) => {
      const bus = SWITCH_BUS + index;
      const bdf = `0000:02:${hex(index, 2)}.0`;
      return [
        port(bdf, PORT_TYPE.SWITCH_DOWNSTREAM, [bus, bus], [index, index]),
        device(index, bus, link),
      ];
    }),
  ]);
}

export function belowRootPorts(links: readonly LinkSpec[], cpu?: MachineFacts["cpu"]): Topology {
  const facts = { ...factsNamed("below root ports"), ...(cpu !== undefined && { cpu }) };
  return buildTopology(
    facts,
    links.flatMap((link, index) => {
      const bus = index + 1;
      const bdf = `0000:00:${hex(bus, 2)}.0`;
      return [port(bdf, PORT_TYPE.ROOT_PORT, [bus, bus], [index, index]), device(index, bus, link)];
    }),
  );
}

export const INTEL: MachineFacts["cpu"] = { vendor: "GenuineIntel", family: 6, model: 0x8f };
export const AMD: MachineFacts["cpu"] = { vendor: "AuthenticAMD", family: 0x19, model: 0x11 };

/** BDF of the devices, in order. */
export const devicesOf = (topology: Topology): string[] =>
  Array.from(topology.endpoints, (row) => topology.bdfOf(row));

export const machineOf = (topology: Topology, links: LinkOptions = {}): Machine =>
  createMachine({ topology, links, memoryBytesPerNode: 64 * MIB });
