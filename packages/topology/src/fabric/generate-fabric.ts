/**
 * Generate fabric: a machine made from a seed, for tests, measurements and the modelled machine.
 *
 * The same options give the same machine, function by function. Bus numbers, windows and BARs are
 * consistent, so that requests can be routed by them.
 */
import { InputError } from "@peerbuf/core";
import { ACS } from "../acs.ts";
import { formatBdf, formatBus } from "../bdf.ts";
import { type AcsRecord, type FunctionRecord, ID_UNKNOWN, PORT_TYPE } from "../function-record.ts";
import { factsNamed, type MachineFacts } from "../machine-facts.ts";
import type { Topology } from "../topology.ts";
import { buildTopology, FUNCTION_COUNT_MAX } from "../topology-builder.ts";
import { type LaidOut, layOut } from "./fabric-layout.ts";
import {
  type FabricOptions,
  type FabricPlan,
  type FabricRole,
  type Id,
  withDefaults,
} from "./fabric-options.ts";
import { growHosts } from "./fabric-tree.ts";
import { Random } from "./random.ts";

/** Endpoints asked for, at most: each may need two bridges of its own. */
export const FABRIC_ENDPOINTS_MAX: number = FUNCTION_COUNT_MAX / 4;

const GENERATED_VENDOR = 0x1b36;
const DEVICE_BY_ROLE: Readonly<Record<FabricRole, Id>> = {
  host: [GENERATED_VENDOR, 0x0008],
  "integrated-endpoint": [GENERATED_VENDOR, 0x0010],
  "root-port": [GENERATED_VENDOR, 0x000c],
  "switch-upstream": [0x104c, 0x8232],
  "switch-downstream": [0x104c, 0x8233],
  endpoint: [GENERATED_VENDOR, 0x0010],
  "virtual-function": [GENERATED_VENDOR, 0x0010],
};
const CLASS_BY_ROLE: Readonly<Record<FabricRole, number>> = {
  host: 0x060000,
  "integrated-endpoint": 0x010802,
  "root-port": 0x060400,
  "switch-upstream": 0x060400,
  "switch-downstream": 0x060400,
  endpoint: 0x010802,
  "virtual-function": 0x010802,
};
const PORT_BY_ROLE: Readonly<Record<FabricRole, number>> = {
  host: PORT_TYPE.ROOT_COMPLEX_ENDPOINT,
  "integrated-endpoint": PORT_TYPE.ROOT_COMPLEX_ENDPOINT,
  "root-port": PORT_TYPE.ROOT_PORT,
  "switch-upstream": PORT_TYPE.SWITCH_UPSTREAM,
  "switch-downstream": PORT_TYPE.SWITCH_DOWNSTREAM,
  endpoint: PORT_TYPE.ENDPOINT,
  "virtual-function": PORT_TYPE.ENDPOINT,
};
/** A 16 GT/s x16 link everywhere: the fabric is about shape, not speed. */
const LINK = { speedMtps: 16_000, width: 16, speedMaxMtps: 16_000, widthMax: 16 } as const;

/** @throws InputError when the options ask for more than PCI has room for */
export function generateFabric(options: FabricOptions): Topology {
  const plan = withDefaults(options);
  checkPlan(plan);
  const random = new Random(plan.seed);
  const functions = layOut(growHosts(plan, random), plan);
  return buildTopology(
    factsOf(plan),
    functions.map((place) => recordOf(place, plan, random)),
  );
}

/**
 * The fabric that the project's measurements use: four root ports a host bridge, two levels of
 * switches with six ports each below every one, one function a device, no ACS redirect.
 */
export const regularFabric = (endpoints: number): Topology =>
  generateFabric({
    seed: 1,
    endpoints,
    rootPorts: [4, 4],
    switchPorts: [6, 6],
    switchLevels: 2,
    switchChance: 1,
    functions: [1, 1],
    virtualFunctionChance: 0,
    hostFunctionChance: 1,
    integratedChance: 0,
    redirectChance: 0,
  });

function checkPlan(plan: FabricPlan): void {
  const problem = problemOf(plan);
  if (problem !== undefined) {
    throw new InputError({
      source: "generated fabric",
      cause: problem,
      remedy: "Change the options; the documentation of FabricOptions has the limits",
    });
  }
}

function problemOf(plan: FabricPlan): string | undefined {
  const { endpoints, smallBarBytes, largeBarBytes } = plan;
  if (!Number.isInteger(endpoints) || endpoints < 1 || endpoints > FABRIC_ENDPOINTS_MAX) {
    return `endpoints is ${endpoints}, expected 1 to ${FABRIC_ENDPOINTS_MAX}`;
  }
  const spans = { rootPorts: [1, 31], switchPorts: [1, 32], functions: [1, 8] } as const;
  for (const [name, [low, high]] of Object.entries(spans)) {
    const [from, to] = plan[name as keyof typeof spans];
    if (!(from >= low && to >= from && to <= high)) {
      return `${name} is ${from} to ${to}, expected a span within ${low} to ${high}`;
    }
  }
  const isPower = (bytes: number): boolean => bytes === 0 || Number.isInteger(Math.log2(bytes));
  return isPower(smallBarBytes) && isPower(largeBarBytes)
    ? undefined
    : "BAR sizes must be powers of two";
}

const factsOf = (plan: FabricPlan): MachineFacts => ({
  ...factsNamed(`generated fabric (seed ${plan.seed}, ${plan.endpoints} endpoints)`),
  ...(plan.cpu !== "unknown" && { cpu: plan.cpu }),
});

function recordOf(place: LaidOut, plan: FabricPlan, random: Random): FunctionRecord {
  const { node, parent, domain, rootBus, bus, secondaryBus, subordinateBus } = place;
  const [vendor, device] = idOf(place, plan, random);
  const isKindKnown = !random.chance(plan.unknownChance);
  const acs = acsOf(node.role, plan, random);
  return {
    bdf: formatBdf({ domain, bus, devfn: node.devfn }),
    vendor,
    device,
    classCode: CLASS_BY_ROLE[node.role],
    parent: parent === undefined ? null : bdfOf(parent),
    rootBus: formatBus(domain, rootBus),
    bars: place.bars,
    windows: place.windows,
    link: LINK,
    ...(isKindKnown && { portType: PORT_BY_ROLE[node.role] }),
    ...(secondaryBus > 0 && { secondaryBus, subordinateBus }),
    ...(acs !== undefined && { acs }),
    ...(node.physicalDevfn !== undefined && {
      physicalFunction: formatBdf({ domain, bus, devfn: node.physicalDevfn }),
    }),
  };
}

const bdfOf = ({ domain, bus, node }: LaidOut): string =>
  formatBdf({ domain, bus, devfn: node.devfn });

/** Functions on a root bus may name the host bridge, so they get ids that the kernel's table knows or not. */
function idOf(place: LaidOut, plan: FabricPlan, random: Random): Id {
  const isOnRootBus = place.parent === undefined;
  if (isOnRootBus && random.chance(plan.unknownChance)) {
    return [ID_UNKNOWN, ID_UNKNOWN];
  }
  return isOnRootBus ? random.pick(plan.hostIds) : DEVICE_BY_ROLE[place.node.role];
}

/** ACS with all capabilities but egress control, whose vector a modelled port would have to obey. */
function acsOf(
  role: FabricRole,
  plan: FabricPlan,
  random: Random,
): AcsRecord | "absent" | undefined {
  const decided = plan.acs?.(role);
  if (decided !== undefined) {
    return decided;
  }
  if (random.chance(plan.unknownChance)) {
    return undefined;
  }
  if (!random.chance(plan.acsChance)) {
    return "absent";
  }
  const redirects = [ACS.RR, ACS.CR].filter(() => random.chance(plan.redirectChance));
  const harmless = [ACS.SV, ACS.TB, ACS.UF, ACS.DT].filter(() => random.chance(0.5));
  const control = [...redirects, ...harmless].reduce((bits, bit) => bits | bit, 0);
  return { capability: ACS.SV | ACS.TB | ACS.RR | ACS.CR | ACS.UF | ACS.DT, control };
}
