/**
 * Through root: what becomes of pairs that have to pass the root complex, for every pair of root buses.
 */
import type { PathType } from "@peerbuf/core";
import type { Topology } from "../topology.ts";
import {
  type Answer,
  cpuAnswer,
  hostBridgesOf,
  passAnswer,
  whitelistAnswer,
} from "./host-bridge.ts";
import type { KernelRules } from "./kernel-rules.ts";

/** Path types by the number that stands for them in tables. */
export const PATH_TYPES: readonly PathType[] = [
  "bus-addr",
  "host-bridge",
  "unsupported",
  "unknown",
];
export const BUS_ADDR = 0;
export const HOST_BRIDGE = 1;
export const UNSUPPORTED = 2;
export const UNKNOWN = 3;

const NUMBER_OF_PASS: Readonly<Record<Answer, number>> = {
  yes: HOST_BRIDGE,
  no: UNSUPPORTED,
  unknown: UNKNOWN,
};

/** Type numbers by provider's root bus × client's root bus, row by row. */
export function throughRootTypes(topology: Topology, rules: KernelRules): Uint8Array {
  const cpu = cpuAnswer(topology, rules);
  const bridges = hostBridgesOf(topology, rules);
  return Uint8Array.from(
    bridges.flatMap((provider) =>
      bridges.map((client) => NUMBER_OF_PASS[passAnswer(cpu, whitelistAnswer(provider, client))]),
    ),
  );
}
