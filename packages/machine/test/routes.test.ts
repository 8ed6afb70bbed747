/** Routes on any machine, while its bits change under them, against an oracle that keeps nothing. */
import { createMachine, type Fault, type Machine, type RootComplexProfile } from "@peerbuf/machine";
import { ACS, ACS_PRESENT, generateFabric, type Topology } from "@peerbuf/topology";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { arrives, type OracleState } from "./route-oracle.ts";
import { MemoryDevice, MIB } from "./small-machines.ts";

const PROFILES: readonly RootComplexProfile[] = [
  "forwards",
  "same-host-bridge",
  "writes-only",
  "none",
];
const RAM_END = 65 * MIB;

const fabric = fc
  .record({
    seed: fc.nat(),
    endpoints: fc.integer({ min: 2, max: 12 }),
    switchLevels: fc.integer({ min: 0, max: 3 }),
    functions: fc.constant([1, 3] as const),
    virtualFunctionChance: fc.constantFrom(0, 0.4),
    acsChance: fc.constantFrom(0.5, 1),
    redirectChance: fc.constantFrom(0, 0.3),
  })
  .map((options) =>
    generateFabric({
      ...options,
      smallBarBytes: 4096,
      largeBarBytes: MIB,
      // Now and then a vector with some of its bits set, so that egress control has somebody to block.
      ...(options.seed % 2 === 0 && {
        acs: () => ({ capability: 0x207f, control: 0, egressVector: Uint8Array.of(0b0101_0110) }),
      }),
    }),
  );

const step = fc.record({
  what: fc.oneof(
    { arbitrary: fc.constant("access" as const), weight: 8 },
    { arbitrary: fc.constant("acs" as const), weight: 6 },
    {
      arbitrary: fc.constantFrom("command" as const, "plug" as const, "profile" as const),
      weight: 2,
    },
  ),
  row: fc.nat(),
  other: fc.nat(),
  bits: fc.nat(0x7f),
  offset: fc.nat(),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

class Bench {
  readonly machine: Machine;
  readonly state: OracleState;
  readonly #devices = new Map<number, MemoryDevice>();

  constructor(topology: Topology) {
    this.machine = createMachine({ topology, memoryBytesPerNode: [64 * MIB] });
    for (const row of topology.endpoints) {
      const device = new MemoryDevice();
      this.machine.place(topology.bdfOf(row), device);
      this.#devices.set(row, device);
    }
    const column = <T>(value: (row: number) => T): T[] =>
      Array.from({ length: topology.count }, (_, row) => value(row));
    this.state = {
      topology,
      memory: column(() => true),
      busMaster: column(() => true),
      present: column(() => true),
      acs: column((row) => topology.table.acsControl[row] as number),
      profile: "forwards",
    };
  }

  run({ what, row, other, bits, offset }: Step): void {
    const { topology } = this.state;
    const at = row % topology.count;
    switch (what) {
      case "access":
        this.#access(row, other, bits, offset);
        break;
      case "command":
        // Mostly on, or soon nothing would get anywhere.
        this.#command(at, (bits & 7) !== 0, (bits & 56) !== 0);
        break;
      case "acs":
        this.#acs(at, bits & (other | ACS.RR | ACS.CR));
        break;
      case "plug":
        this.#plug(at);
        break;
      case "profile":
        this.state.profile = PROFILES[bits % PROFILES.length] as RootComplexProfile;
        this.machine.setRootComplex(this.state.profile);
        break;
    }
  }

  #access(row: number, other: number, bits: number, offset: number): void {
    const { topology } = this.state;
    const from = topology.endpoints[row % topology.endpoints.length] as number;
    const bars = this.machine.inspect.bars();
    const bar = bars[other % (bars.length + 1)];
    const address = bar === undefined ? MIB + (offset % MIB) : bar.start + (offset % bar.sizeBytes);
    const attributes = { translated: (bits & 1) !== 0, relaxedOrdering: (bits & 2) !== 0 };
    const kind = (bits & 4) === 0 ? "read" : "write";
    const port = (this.#devices.get(from) as MemoryDevice).port.as(attributes);
    const byte = new Uint8Array(1);

    this.#clearErrors();
    // Twice: the second time by the route that was kept.
    const first = port[kind](address, byte, 0, 1).ok;
    const again = port[kind](address, byte, 0, 1).ok;

    const expected = arrives(this.state, { from, address, kind, attributes }, RAM_END);
    const { loss } = this.machine.inspect.trace(topology.bdfOf(from), address, kind, attributes);
    expect({ first, again, traced: loss === undefined }).toEqual({
      first: expected,
      again: expected,
      traced: expected,
    });
    const fault = expected ? undefined : this.machine.inspect.recentFaults().at(-1);
    expect({ fault, isLogged: this.#isLogged() }).toEqual({
      fault,
      isLogged: fault !== undefined && !isSilent(fault, this.state.topology),
    });
  }

  #clearErrors(): void {
    for (let row = 0; row < this.state.topology.count; row++) {
      this.machine.fabric.errors.clear(row);
    }
  }

  /** Has any function an error bit set? */
  #isLogged(): boolean {
    return this.state.topology.table.bdf.some((_, row) => {
      const { status, deviceStatus } = this.machine.fabric.errors.raw(row);
      return status + deviceStatus > 0;
    });
  }

  #command(row: number, memory: boolean, busMaster: boolean): void {
    this.state.memory[row] = memory;
    this.state.busMaster[row] = busMaster;
    this.machine.setCommand(this.state.topology.bdfOf(row), { memory, busMaster });
  }

  #acs(row: number, bits: number): void {
    const { topology, acs } = this.state;
    const { acsState, acsCapability } = topology.table;
    if (acsState[row] === ACS_PRESENT) {
      acs[row] = bits & (acsCapability[row] as number) & 0x7f;
      this.machine.setAcsControl(topology.bdfOf(row), bits);
    }
  }

  /** Takes a card out, or puts the one that is out back and enables it again. */
  #plug(wanted: number): void {
    const { topology, present } = this.state;
    // The one nearest to the root: what is in it comes along.
    const out = Array.from(present.keys()).filter((row) => present[row] === false);
    const row = out.find((each) => present[topology.upstreamOf(each)] !== false) ?? wanted;
    const bdf = topology.bdfOf(row);
    const isOut = present[row] === false;
    if (isOut) {
      this.machine.insert(bdf);
    } else {
      this.machine.surpriseRemove(bdf);
    }
    for (const at of this.machine.fabric.power.cardOf(row)) {
      present[at] = isOut;
      if (isOut) {
        this.#command(at, true, true);
      }
    }
  }
}

/** Losses of which no register tells: see docs/fabric.md. */
function isSilent({ reason, at, requester, kind }: Fault, topology: Topology): boolean {
  switch (reason) {
    case "ROOT_COMPLEX_DROPS":
      return true;
    case "BUS_MASTER_OFF":
    case "LINK_DOWN":
      return at === requester;
    case "UNCLAIMED": {
      // Of a write from a root bus: there is no port that could log it.
      const isOnRootBus = topology.upstreamOf(topology.require(requester)) < 0;
      return at === "root complex" && kind === "write" && isOnRootBus;
    }
    default:
      return false;
  }
}

describe("a route, whatever was changed since it was found", () => {
  it("leads where the tree of functions says, and a loss is logged unless hardware would be silent", () => {
    fc.assert(
      fc.property(fabric, fc.array(step, { minLength: 40, maxLength: 120 }), (topology, steps) => {
        const bench = new Bench(topology);
        for (const each of steps) {
          bench.run(each);
        }
      }),
      { numRuns: 300 },
    );
  });
});
