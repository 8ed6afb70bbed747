/**
 * Small server: the machine on which the drivers that come with the project are explored.
 *
 * Generated: two root ports, each with a switch of up to four slots, and a register BAR and 128 KiB of memory BAR in every slot, so
 * that any model fits anywhere. Peers below one switch reach each other, those on two switches by way of the host bridge.
 */
import type { Judge } from "@peerbuf/core";
import {
  createJudge,
  generateFabric,
  KERNEL_DEFAULT,
  rulesForKernel,
  type Topology,
} from "@peerbuf/topology";

/** Below the first switch. */
export const HOME = "0000:03:00.0";
export const NEAR = "0000:04:00.0";
export const OTHER = "0000:05:00.0";
/** Below the second one. */
export const FAR = "0000:09:00.0";

/** Behind each memory BAR. */
export const BAR_BYTES: number = 2 ** 17;

export interface SmallServer {
  readonly topology: Topology;
  readonly judge: Judge;
}

export function smallServer(): SmallServer {
  const topology = generateFabric({
    seed: 1,
    endpoints: 7,
    rootPorts: [2, 2],
    switchPorts: [4, 4],
    switchLevels: 1,
    switchChance: 1,
    functions: [1, 1],
    virtualFunctionChance: 0,
    hostFunctionChance: 1,
    integratedChance: 0,
    acsChance: 0,
    largeBarBytes: BAR_BYTES,
  });
  return { topology, judge: createJudge(topology, rulesForKernel(KERNEL_DEFAULT)) };
}
