/**
 * Small machines: hand-made topologies in which each routing rule shows by itself.
 *
 * Every endpoint has one memory BAR of 1 MiB at an address that tells its bus: 0xc000_0000 + bus MiB.
 */

import type { DeviceModel, DevicePort } from "@peerbuf/machine";
import { type BarModel, type BarShape, SparseMemory } from "@peerbuf/machine";
import { buildTopology, type FunctionRecord, PORT_TYPE, type Topology } from "@peerbuf/topology";

export const MIB = 2 ** 20;
const MMIO = 0xc000_0000;

/** Where the BAR of the endpoint on this bus starts. */
export const barStart = (bus: number, fn = 0): number => MMIO + (bus * 8 + fn) * MIB;

type Extra = Partial<FunctionRecord>;

export const endpoint = (bdf: string, extra: Extra = {}): FunctionRecord => {
  const [, bus = "0", fn = "0"] = /^0000:([0-9a-f]{2}):..\.(\d)$/.exec(bdf) ?? [];
  const start = barStart(Number.parseInt(bus, 16), Number(fn));
  return {
    bdf,
    portType: PORT_TYPE.ENDPOINT,
    acs: "absent",
    bars: [{ index: 0, start, size: MIB, kind: "memory", wide: false, prefetchable: false }],
    ...extra,
  };
};

/** A bridge whose window covers the endpoints of the buses below it. */
export const bridge = (
  bdf: string,
  portType: number,
  buses: readonly [number, number],
  extra: Extra = {},
): FunctionRecord => ({
  bdf,
  portType,
  headerType: 1,
  secondaryBus: buses[0],
  subordinateBus: buses[1],
  acs: "absent",
  windows: [
    {
      kind: "memory",
      start: barStart(buses[0]),
      size: barStart(buses[1] + 1) - barStart(buses[0]),
    },
  ],
  ...extra,
});

/** Every ACS capability, and these control bits. */
export const acs = (control: number, egressVector?: Uint8Array): Extra => ({
  acs: {
    capability: 0x207f,
    control,
    ...(egressVector !== undefined && { egressVector }),
  },
});

/** Config space of a function: command register, a PCI Express capability at 0x40, extended ones as given. */
export function configOf({ command = 0x6, extended = [] as readonly number[] } = {}): Uint8Array {
  const config = new Uint8Array(4096);
  config[0x04] = command;
  config[0x06] = 0x10;
  config[0x34] = 0x40;
  config[0x40] = 0x10;
  extended.forEach((id, index) => {
    const at = 0x100 + index * 0x40;
    const next = index + 1 < extended.length ? at + 0x40 : 0;
    new DataView(config.buffer).setUint32(at, (next * 2 ** 20 + 0x10000 + id) >>> 0, true);
  });
  return config;
}

/** With Address Translation Services, on or off. */
export function atsConfig(isEnabled: boolean): Uint8Array {
  const config = configOf({ extended: [0x000f] });
  config[0x107] = isEnabled ? 0x80 : 0;
  return config;
}

/**
 * Two host bridges. Below 00:01.0 a switch with endpoints 03, 04 and 05; below 00:02.0 endpoint 06;
 * on the other root bus, 80:01.0 with endpoint 81.
 */
export function switchTopology(change: Readonly<Record<string, Extra>> = {}): Topology {
  const records = [
    bridge("0000:00:01.0", PORT_TYPE.ROOT_PORT, [1, 5]),
    bridge("0000:00:02.0", PORT_TYPE.ROOT_PORT, [6, 6]),
    bridge("0000:01:00.0", PORT_TYPE.SWITCH_UPSTREAM, [2, 5]),
    bridge("0000:02:00.0", PORT_TYPE.SWITCH_DOWNSTREAM, [3, 3]),
    bridge("0000:02:01.0", PORT_TYPE.SWITCH_DOWNSTREAM, [4, 4]),
    bridge("0000:02:02.0", PORT_TYPE.SWITCH_DOWNSTREAM, [5, 5]),
    endpoint("0000:03:00.0"),
    endpoint("0000:04:00.0"),
    endpoint("0000:05:00.0"),
    endpoint("0000:06:00.0"),
    bridge("0000:80:01.0", PORT_TYPE.ROOT_PORT, [0x81, 0x81], {
      windows: [{ kind: "memory", start: barStart(0x71), size: 8 * MIB }],
    }),
    endpoint("0000:81:00.0", {
      bars: [
        {
          index: 0,
          start: barStart(0x71),
          size: MIB,
          kind: "memory",
          wide: false,
          prefetchable: false,
        },
      ],
    }),
  ];
  return buildTopology(
    "a switch and two host bridges",
    records.map((record) => ({ ...record, ...change[record.bdf] })),
  );
}

/** One endpoint on the root bus. */
export const tinyTopology = (): Topology => buildTopology("tiny", [endpoint("0000:00:04.0")]);

/** Memory behind every BAR, and the port for tests to issue requests from. */
export class MemoryDevice implements DeviceModel {
  readonly name = "memory";
  readonly memories: SparseMemory[] = [];
  #port: DevicePort | undefined;

  get port(): DevicePort {
    if (this.#port === undefined) {
      throw new Error("place the device first");
    }
    return this.#port;
  }

  connect(port: DevicePort, bars: readonly BarShape[]): ReadonlyMap<number, BarModel> {
    this.#port = port;
    return new Map(
      bars.map(({ index, sizeBytes }): [number, BarModel] => {
        const memory = new SparseMemory(sizeBytes);
        this.memories.push(memory);
        return [index, { kind: "memory", memory, base: 0 }];
      }),
    );
  }

  reset(): void {
    for (const memory of this.memories) {
      memory.clear();
    }
  }
}
