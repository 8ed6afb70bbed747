/** Devices below one switch, the first with a large BAR: the ground of the P2P measurements. */
import { assert } from "@peerbuf/core";
import { type BarRecord, generateFabric, type Topology } from "@peerbuf/topology";

/** In bytes. */
export const LARGE_BAR_BYTES: number = 256 * 2 ** 20;

export const switchWithTwo = (): Topology => switchWith(2);

export const switchWith = (endpoints: number): Topology =>
  generateFabric({
    seed: 1,
    endpoints,
    rootPorts: [1, 1],
    switchPorts: [endpoints, endpoints],
    switchLevels: 1,
    switchChance: 1,
    functions: [1, 1],
    virtualFunctionChance: 0,
    hostFunctionChance: 0,
    integratedChance: 0,
    redirectChance: 0,
    largeBarBytes: LARGE_BAR_BYTES,
  });

/** The large BAR of the first device. */
export function largeBar(topology: Topology): BarRecord {
  const bars = topology.barsOf(topology.endpoints[0] as number);
  const bar = bars.find(({ size }) => size === LARGE_BAR_BYTES);
  assert(bar !== undefined, "the fabric was asked for large BARs");
  return bar;
}
