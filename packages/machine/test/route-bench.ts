/**
 * Route bench: machines with memory in every endpoint, and requests to see where they end up.
 */
import {
  createMachine,
  type DevicePort,
  type Machine,
  type MachineOptions,
  type RequestAttributes,
} from "@peerbuf/machine";
import type { Topology } from "@peerbuf/topology";
import { MemoryDevice, MIB } from "./small-machines.ts";

export const DATA = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
export const ONES = new Uint8Array(8).fill(0xff);
export const ZEROS = new Uint8Array(8);

export interface Bench {
  readonly machine: Machine;
  readonly devices: ReadonlyMap<string, MemoryDevice>;
}

export function start(topology: Topology, options: Omit<MachineOptions, "topology"> = {}): Bench {
  const machine = createMachine({ topology, memoryBytesPerNode: 64 * MIB, ...options });
  const devices = new Map<string, MemoryDevice>();
  for (const row of topology.endpoints) {
    const device = new MemoryDevice();
    machine.place(topology.bdfOf(row), device);
    devices.set(topology.bdfOf(row), device);
  }
  return { machine, devices };
}

export const portOf = ({ devices }: Bench, bdf: string) => (devices.get(bdf) as MemoryDevice).port;

export function peek({ machine }: Bench, address: number): Uint8Array {
  const found = new Uint8Array(8);
  machine.inspect.peek(address, found);
  return found;
}

/** Does a write arrive, and does a read bring back what stands there? */
export const tryBoth = (bench: Bench, from: string, address: number, physical = address) =>
  tryPort(bench, portOf(bench, from), address, physical);

/** The same with requests that bear these attributes. */
export const tryAs = (bench: Bench, from: string, address: number, attributes: RequestAttributes) =>
  tryPort(bench, portOf(bench, from).as(attributes), address, address);

function tryPort(bench: Bench, port: DevicePort, address: number, physical: number) {
  bench.machine.inspect.poke(physical, ZEROS);
  const write = port.write(address, DATA, 0, 8);
  const arrived = peek(bench, physical);
  bench.machine.inspect.poke(physical, DATA);
  const read = new Uint8Array(8);
  const completion = port.read(address, read, 0, 8);
  return {
    write: write.ok && Buffer.compare(arrived, DATA) === 0,
    read: completion.ok && Buffer.compare(read, DATA) === 0,
  };
}

export const BOTH = { write: true, read: true };
export const NONE = { write: false, read: false };

export const events = (
  bench: Bench,
  from: string,
  address: number,
  kind: "read" | "write" = "write",
) => bench.machine.inspect.trace(from, address, kind).hops.map(({ at, event }) => `${at} ${event}`);

/** The way of the completion of a read. */
export const wayBack = (
  bench: Bench,
  from: string,
  address: number,
  attributes: RequestAttributes = {},
) =>
  bench.machine.inspect
    .trace(from, address, "read", attributes)
    .completion.map(({ at, event }) => `${at} ${event}`);
