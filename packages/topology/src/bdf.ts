/**
 * BDF: the address of a PCI function, `dddd:bb:dd.f`, as Linux prints it.
 *
 * One canonical spelling (lower case, at least four domain digits) is used everywhere as the name of
 * a function, so that comparing names is comparing strings. Domains may have more than four digits:
 * Intel VMD and Hyper-V hand out `10000:` and above.
 */

/** The numbers in a BDF. `devfn` is device × 8 + function, as in the kernel and in config requests. */
export interface Bdf {
  readonly domain: number;
  readonly bus: number;
  readonly devfn: number;
}

/** A domain is a 32-bit number in the kernel (`pci_domain_nr`), so at most eight hex digits. */
const BDF_PATTERN: RegExp = /^(?:([0-9a-f]{1,8}):)?([0-9a-f]{1,2}):([01]?[0-9a-f])\.([0-7])$/i;

/** Reads a BDF; without a domain it is domain 0, as for lspci. Undefined when it is no BDF. */
export function parseBdf(text: string): Bdf | undefined {
  const match = BDF_PATTERN.exec(text.trim());
  if (match === null) {
    return undefined;
  }
  const [, domain = "0", bus = "", device = "", fn = ""] = match;
  return {
    domain: Number.parseInt(domain, 16),
    bus: Number.parseInt(bus, 16),
    devfn: Number.parseInt(device, 16) * 8 + Number(fn),
  };
}

/** The canonical spelling. */
export function formatBdf(bdf: Bdf): string {
  const device = hex(bdf.devfn >> 3, 2);
  return `${formatBus(bdf.domain, bdf.bus)}:${device}.${bdf.devfn & 7}`;
}

/** The canonical name of a bus, `dddd:bb`. */
export const formatBus = (domain: number, bus: number): string =>
  `${hex(domain, 4)}:${hex(bus, 2)}`;

/** Hexadecimal without a prefix, lower case, padded to `digits`. */
export const hex = (value: number, digits: number): string =>
  value.toString(16).padStart(digits, "0");
