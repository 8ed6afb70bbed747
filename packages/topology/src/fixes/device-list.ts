/**
 * Device list: how kernel parameters name PCI functions, e.g. in `pci=disable_acs_redir=`.
 *
 * Grammar (Documentation/admin-guide/kernel-parameters.txt under "pci=", drivers/pci/pci.c
 * `pci_dev_str_match` and `pci_dev_str_match_path`):
 *
 *     list   = device *( ";" device )
 *     device = path | id
 *     path   = [ domain ":" ] bus ":" dev "." fn *( "/" dev "." fn )
 *     id     = "pci:" vendor ":" device [ ":" subvendor ":" subdevice ]     ; 0 matches any
 *
 * A device that cannot be parsed ends the list: those before it still count, those behind it do not.
 */
import { dwordAt } from "../config-space.ts";
import type { Topology } from "../topology.ts";

/** A function by its place; the path form names bridges from the root down and survives new bus numbers. */
export interface DevicePath {
  readonly kind: "path";
  readonly domain: number;
  readonly bus: number;
  /** devfn of the first bridge and of each function below; the last one is meant. */
  readonly devfns: readonly number[];
}

/** Functions by their ids; 0 matches any. */
export interface DeviceId {
  readonly kind: "id";
  readonly vendor: number;
  readonly device: number;
  readonly subvendor: number;
  readonly subdevice: number;
}

export type DeviceSelector = DevicePath | DeviceId;

export interface DeviceList {
  readonly selectors: readonly DeviceSelector[];
  /** What the kernel could not parse, which ends its reading; undefined when all was read. */
  readonly rest?: string;
}

/** Functions in one list, at most: more do not fit on a command line. */
const SELECTOR_COUNT_MAX = 256;
const PATH =
  /^(?:(?:0x)?([0-9a-f]{1,8}):)?(?:0x)?([0-9a-f]{1,2}):((?:0x)?[0-9a-f]{1,2}\.[0-7](?:\/(?:0x)?[0-9a-f]{1,2}\.[0-7])*)$/i;
const ID = /^pci:([0-9a-f]{1,4}):([0-9a-f]{1,4})(?::([0-9a-f]{1,4}):([0-9a-f]{1,4}))?$/i;

export function parseDeviceList(text: string): DeviceList {
  const parts = text.split(";");
  const selectors: DeviceSelector[] = [];
  for (const [index, part] of parts.entries()) {
    // The kernel stops at the end of the string, so a semicolon at the end is no fault.
    if (part === "" && index === parts.length - 1 && index > 0) {
      break;
    }
    const selector = parseSelector(part);
    if (selector === undefined || selectors.length >= SELECTOR_COUNT_MAX) {
      return { selectors, rest: parts.slice(index).join(";") };
    }
    selectors.push(selector);
  }
  return { selectors };
}

export function parseSelector(text: string): DeviceSelector | undefined {
  const id = ID.exec(text);
  if (id !== null) {
    const [vendor = 0, device = 0, subvendor = 0, subdevice = 0] = id
      .slice(1)
      .map((digits) => Number.parseInt(digits ?? "0", 16));
    return { kind: "id", vendor, device, subvendor, subdevice };
  }
  const path = PATH.exec(text);
  if (path === null) {
    return undefined;
  }
  const [, domain = "0", bus = "", steps = ""] = path;
  const devfns = steps.split("/").map((step) => {
    const [device = "", fn = ""] = step.split(".");
    return Number.parseInt(device, 16) * 8 + Number(fn);
  });
  return {
    kind: "path",
    domain: Number.parseInt(domain, 16),
    bus: Number.parseInt(bus, 16),
    devfns,
  };
}

/** Does a selector mean this function? */
export const matches = (topology: Topology, row: number, selector: DeviceSelector): boolean =>
  selector.kind === "path"
    ? matchesPath(topology, row, selector)
    : matchesId(topology, row, selector);

/** From the last step upwards, as the kernel walks it. */
function matchesPath(topology: Topology, row: number, path: DevicePath): boolean {
  const { devfn, domain, bus } = topology.table;
  let at = row;
  for (const [index, wanted] of path.devfns.toReversed().entries()) {
    at = index === 0 ? row : topology.upstreamOf(at);
    if (at < 0 || devfn[at] !== wanted) {
      return false;
    }
  }
  return domain[at] === path.domain && bus[at] === path.bus;
}

/** Subsystem ids are at 0x2c of an endpoint's header; a function of which they were not captured is not matched by them. */
function matchesId(topology: Topology, row: number, id: DeviceId): boolean {
  const { vendor, device } = topology.table;
  const config = topology.configOf(row);
  const subsystem = config.length >= 0x30 ? dwordAt(config, 0x2c) : 0;
  const is = (wanted: number, found: number): boolean => wanted === 0 || wanted === found;
  return (
    is(id.vendor, vendor[row] as number) &&
    is(id.device, device[row] as number) &&
    is(id.subvendor, subsystem % 0x10000) &&
    is(id.subdevice, Math.floor(subsystem / 0x10000))
  );
}
