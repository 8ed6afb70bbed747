/**
 * Fabric options: what a generated machine looks like. Everything has a default but the seed and size.
 */
import type { AcsRecord } from "../function-record.ts";
import type { CpuFacts } from "../machine-facts.ts";

export type FabricRole =
  | "host"
  | "integrated-endpoint"
  | "root-port"
  | "switch-upstream"
  | "switch-downstream"
  | "endpoint"
  | "virtual-function";

/** A whole number between two ends, both included; the same twice means exactly that many. */
export type Span = readonly [low: number, high: number];

export interface FabricOptions {
  readonly seed: number;
  /** Non-bridge functions below ports, at least; the last device may add a few functions. */
  readonly endpoints: number;
  /** Root ports a host bridge. */
  readonly rootPorts?: Span;
  /** Downstream ports a switch, at most 32. */
  readonly switchPorts?: Span;
  /** Levels of switches below one another, at most. */
  readonly switchLevels?: number;
  /** Chance that a port has a switch below and not a device. */
  readonly switchChance?: number;
  /** Functions a device, at most 8. */
  readonly functions?: Span;
  /** Chance that a device is an SR-IOV physical function with virtual functions beside it. */
  readonly virtualFunctionChance?: number;
  /** Chance that a host bridge has a function at 00.0; without one a root port or nothing names it. */
  readonly hostFunctionChance?: number;
  /** Chance that a root bus has an endpoint of its own; at 00.1, so that it takes the host's name away where no 00.0 is. */
  readonly integratedChance?: number;
  /** Vendor and device of functions that name host bridges, chosen at random. */
  readonly hostIds?: readonly [Id, ...Id[]];
  /** Chance that a function has ACS, and that each of its redirecting bits is set. */
  readonly acsChance?: number;
  readonly redirectChance?: number;
  /** Chance that ACS, the kind of a port or a host's id is not captured. */
  readonly unknownChance?: number;
  /** Decides the ACS of a function instead of chance; undefined leaves it to chance. */
  readonly acs?: (role: FabricRole) => AcsRecord | "absent" | undefined;
  readonly cpu?: CpuFacts | "unknown";
  /** Bytes, powers of two; 0 leaves the BAR out. */
  readonly smallBarBytes?: number;
  readonly largeBarBytes?: number;
}

/** Options of which only the ACS decision may be left to chance. */
export type FabricPlan = Required<Omit<FabricOptions, "acs">> & Pick<FabricOptions, "acs">;

export type Id = readonly [vendor: number, device: number];

const LISTED: Id = [0x8086, 0x09a2];
const SAME_ONLY: Id = [0x8086, 0x2f01];
const NOT_LISTED: Id = [0x8086, 0x4c43];

const MIB = 2 ** 20;
/** A port's 32-bit window takes 1 MiB at least, so a large fabric has no room for small BARs below 4 GiB. */
const SMALL_BAR_ENDPOINTS_MAX = 512;

/** The options with every default filled in. */
export const withDefaults = (options: FabricOptions): FabricPlan => ({
  rootPorts: [1, 4],
  switchPorts: [2, 6],
  switchLevels: 3,
  switchChance: 0.5,
  functions: [1, 2],
  virtualFunctionChance: 0.1,
  hostFunctionChance: 0.8,
  integratedChance: 0.3,
  hostIds: [LISTED, SAME_ONLY, NOT_LISTED],
  acsChance: 0.5,
  redirectChance: 0.2,
  unknownChance: 0,
  cpu: { vendor: "GenuineIntel", family: 6 },
  smallBarBytes: options.endpoints > SMALL_BAR_ENDPOINTS_MAX ? 0 : 64 * 1024,
  largeBarBytes: 256 * MIB,
  ...options,
});
