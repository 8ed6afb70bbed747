/**
 * Draft record: what a listing said of a function, as a record of the topology.
 *
 * Config space wins where it was dumped; the words fill in what the dump does not hold (sizes, drivers,
 * ids of virtual functions) or does not reach. Words and dump that contradict each other are refused:
 * lspci makes both from one reading.
 */
import { acsBits } from "../../acs.ts";
import { hex } from "../../bdf.ts";
import { acsOfConfig, linkOfConfig, portTypeOfConfig } from "../../capabilities.ts";
import {
  barsOfConfig,
  byteAt,
  headerTypeOfConfig,
  knownConfig,
  windowsOfConfig,
  wordAt,
} from "../../config-space.ts";
import {
  type AcsRecord,
  type BarRecord,
  type FunctionRecord,
  ID_UNKNOWN,
  type LinkRecord,
  PORT_TYPE_NONE,
  PORT_TYPE_UNKNOWN,
} from "../../function-record.ts";
import { isBridgeHeader } from "../../function-table.ts";
import type { FunctionDraft } from "./function-draft.ts";

/** What the rest of the listing tells about every function in it. */
export interface ListingContext {
  /** Domains in which extended capabilities were printed, so that their absence is an answer. */
  readonly extendedDomains: ReadonlySet<string>;
  readonly refuse: (line: number, cause: string) => Error;
}

const BRIDGE_KIND = 0x0604;
const CARDBUS_KIND = 0x0607;
const HOST_BRIDGE_KIND = 0x0600;
const NO_CONFIG = new Uint8Array(0);

export const domainOf = (bdf: string): string => bdf.slice(0, bdf.indexOf(":"));

/** The record of a draft; its physical function is found by `virtual-functions.ts`. */
export function recordOf(draft: FunctionDraft, context: ListingContext): FunctionRecord {
  const config = knownConfig(draft.rows?.bytes ?? NO_CONFIG);
  requireOneStory(draft, config, context);
  const headerType = headerTypeOf(draft, config);
  const acs = acsOf(draft, config, context);
  return {
    bdf: draft.bdf,
    ...idsOf(draft, config),
    classCode: classCodeOf(draft, config),
    headerType,
    portType: portTypeOf(draft, config),
    ...(draft.parent !== undefined && { parent: draft.parent }),
    ...(isBridgeHeader(headerType) && busesOf(draft, config)),
    bars: barsOf(draft, config),
    windows: draft.secondaryBus === undefined ? windowsIn(config) : draft.windows,
    link: linkOf(draft, config),
    config,
    ...(draft.resizableBars.length > 0 && { resizableBars: draft.resizableBars }),
    ...(acs !== undefined && { acs }),
    ...(draft.driver !== undefined && { driver: draft.driver }),
    ...(draft.numaNode !== undefined && { numaNode: draft.numaNode }),
    ...(draft.iommuGroup !== undefined && { iommuGroup: draft.iommuGroup }),
  };
}

function idsOf(draft: FunctionDraft, config: Uint8Array) {
  const isKnown = config.length > 0;
  return {
    vendor: draft.vendor ?? (isKnown ? wordAt(config, 0) : ID_UNKNOWN),
    device: draft.device ?? (isKnown ? wordAt(config, 2) : ID_UNKNOWN),
  };
}

/** The kernel's class, with the programming interface of the words or, for the same class, of the dump. */
function classCodeOf(draft: FunctionDraft, config: Uint8Array): number {
  const dumped = config.length > 0 ? wordAt(config, 0x0a) * 0x100 + byteAt(config, 0x09) : 0;
  if (draft.classKind === undefined) {
    return dumped;
  }
  const isSame = config.length > 0 && dumped >> 8 === draft.classKind;
  return isSame ? dumped : draft.classKind * 0x100 + (draft.programmingInterface ?? 0);
}

function headerTypeOf(draft: FunctionDraft, config: Uint8Array): number {
  if (config.length > 0) {
    return headerTypeOfConfig(config);
  }
  if (draft.classKind === CARDBUS_KIND) {
    return 2;
  }
  const isBridge = draft.secondaryBus !== undefined || draft.isBridge === true;
  return isBridge || draft.classKind === BRIDGE_KIND ? 1 : 0;
}

function busesOf(draft: FunctionDraft, config: Uint8Array): Partial<FunctionRecord> {
  const isKnown = config.length > 0;
  const secondaryBus = draft.secondaryBus ?? (isKnown ? byteAt(config, 0x19) : undefined);
  const subordinateBus = draft.subordinateBus ?? (isKnown ? byteAt(config, 0x1a) : undefined);
  return {
    ...(secondaryBus !== undefined && { secondaryBus }),
    ...(subordinateBus !== undefined && { subordinateBus }),
  };
}

function portTypeOf(draft: FunctionDraft, config: Uint8Array): number {
  const dumped = portTypeOfConfig(config);
  if (dumped !== PORT_TYPE_UNKNOWN) {
    return dumped;
  }
  const isConventional = draft.hasAllCapabilities && !draft.hasExpress;
  return draft.portType ?? (isConventional ? PORT_TYPE_NONE : PORT_TYPE_UNKNOWN);
}

function acsOf(
  draft: FunctionDraft,
  config: Uint8Array,
  { extendedDomains }: ListingContext,
): AcsRecord | "absent" | undefined {
  const dumped = acsOfConfig(config);
  if (dumped !== undefined) {
    return dumped;
  }
  if (draft.acsControl !== undefined) {
    // Without the capability line: what is set can be set, and more is not known.
    return { capability: draft.acsCapability ?? draft.acsControl, control: draft.acsControl };
  }
  return lacksAcs(draft, extendedDomains) ? "absent" : undefined;
}

/**
 * True when the words show that there is no ACS capability. lspci looks for extended capabilities on
 * PCI Express functions, and prints none where it could not read them, so another function of the
 * domain must show some. Linux looks on host bridges too (`pci_cfg_space_size`), lspci does not.
 */
function lacksAcs(draft: FunctionDraft, extendedDomains: ReadonlySet<string>): boolean {
  if (!draft.hasAllCapabilities || draft.hasAcs) {
    return false;
  }
  return draft.hasExpress
    ? extendedDomains.has(domainOf(draft.bdf))
    : draft.classKind !== undefined && draft.classKind !== HOST_BRIDGE_KIND;
}

function linkOf(draft: FunctionDraft, config: Uint8Array): LinkRecord {
  const { speedMtps, width, speedMaxMtps, widthMax } = draft;
  return {
    ...(speedMtps !== undefined && { speedMtps }),
    ...(width !== undefined && { width }),
    ...(speedMaxMtps !== undefined && { speedMaxMtps }),
    ...(widthMax !== undefined && { widthMax }),
    ...linkOfConfig(config),
  };
}

/** `-vv` prints every BAR (and then a status); a dump tells addresses without sizes. */
const barsOf = (draft: FunctionDraft, config: Uint8Array): BarRecord[] =>
  draft.hasCapabilityList !== undefined || config.length === 0 || headerTypeOfConfig(config) > 1
    ? draft.bars
    : barsOfConfig(config);

const windowsIn = (config: Uint8Array) =>
  config.length > 0 && headerTypeOfConfig(config) === 1 ? windowsOfConfig(config) : [];

function requireOneStory(
  draft: FunctionDraft,
  config: Uint8Array,
  { refuse }: ListingContext,
): void {
  if (config.length === 0) {
    return;
  }
  const [vendor, device] = [wordAt(config, 0), wordAt(config, 2)];
  const isBridge = isBridgeHeader(headerTypeOfConfig(config));
  const secondary = isBridge ? byteAt(config, 0x19) : undefined;
  const portType = portTypeOfConfig(config);
  const acs = acsOfConfig(config);
  const facts: readonly (readonly [string, number | undefined, number | undefined])[] = [
    // A virtual function's registers hold ffff; the kernel knows its ids from the physical function.
    ["vendor id", draft.vendor, vendor === ID_UNKNOWN ? undefined : vendor],
    ["device id", draft.device, device === ID_UNKNOWN ? undefined : device],
    ["bus below", draft.secondaryBus, secondary],
    ["kind of port", draft.portType, portType < 0 ? undefined : portType],
    ["ACS control", draft.acsControl, typeof acs === "object" ? acs.control & 0x7f : undefined],
  ];
  for (const [name, told, dumped] of facts) {
    if (told !== undefined && dumped !== undefined && told !== dumped) {
      const values = `the words say ${shownValue(name, told)}, the config space ${shownValue(name, dumped)}`;
      throw refuse(draft.line, `${name} of ${draft.bdf}: ${values}`);
    }
  }
}

const shownValue = (name: string, value: number): string =>
  name === "ACS control"
    ? `${acsBits(value).join(" ") || "no bit"} (0x${hex(value, 2)})`
    : `0x${hex(value, 2)}`;
