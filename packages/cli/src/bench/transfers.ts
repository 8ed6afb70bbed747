/**
 * Transfers: how many timed transfers a second the links serve, with devices that compete.
 *
 * Four engines of four devices write to one and the same device, each with many transfers under way, so that every
 * transfer shares a link. No byte moves: it is the cost of time alone.
 */
import { createMachine, type DevicePort } from "@peerbuf/machine";
import type { Topology } from "@peerbuf/topology";
import { type Bench, type BenchResult, meets, rounded } from "./bench.ts";
import { elapsedNs, medianOf } from "./measure.ts";
import { largeBar, switchWith } from "./two-devices.ts";

const SOURCES = 4;
const DEPTH = 64;
const TRANSFER_BYTES = 4096;
const BAR = { value: ">= 100000" };

export const timedTransfers: Bench = {
  name: "machine.transfers",
  run({ quick }): BenchResult {
    const count = quick ? 1000 : 100_000;
    const perSecond = (): number => count / (elapsedNs(() => moveAll(count)) / 1e9);
    perSecond(); // Warms up.
    const value = medianOf(Array.from({ length: quick ? 1 : 7 }, perSecond));
    return {
      name: this.name,
      unit: "transfers/s",
      value: rounded(value),
      bar: BAR,
      ok: meets(BAR, value, undefined),
    };
  },
};

function moveAll(count: number): void {
  const topology = switchWith(SOURCES + 1);
  const machine = createMachine({ topology, links: { assumed: { speedMtps: 32_000, width: 16 } } });
  const ports = placeEngines(machine, topology);
  const { start: address } = largeBar(topology);
  let left = count;
  const next = (port: DevicePort): void => {
    if (left-- > 0) {
      const legs = [{ kind: "write" as const, runs: [address, TRANSFER_BYTES] }];
      port.transfer({ legs }, () => next(port));
    }
  };
  for (const port of ports) {
    for (let index = 0; index < DEPTH; index++) {
      next(port);
    }
  }
  machine.clock.run();
}

function placeEngines(machine: ReturnType<typeof createMachine>, topology: Topology): DevicePort[] {
  const ports: DevicePort[] = [];
  for (const row of topology.endpoints.subarray(1)) {
    machine.place(topology.bdfOf(row), {
      name: "engine",
      connect(port) {
        ports.push(port);
        return new Map();
      },
      reset: () => undefined,
    });
  }
  return ports;
}
