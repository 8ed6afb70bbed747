/**
 * PCI id list: the file `pci.ids` (pci-ids.ucw.cz) of this system, asked for one name at a time.
 *
 * The list has about 36,000 lines, of which a machine needs a few dozen. Only where each vendor starts
 * is found when the file is opened; the rest is searched when it is asked for, and kept. Lines that are not
 * in the list's form are as good as not there: a damaged list has fewer names.
 */
import { readFileSync, statSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { hex } from "../bdf.ts";

/** Bytes of a list, unpacked, at most; the list of 2026 has 1.6 MB. */
const LIST_BYTES_MAX = 2 ** 24;
/** Characters of a name that are kept; the longest real one has about 150. */
const NAME_CHARS_MAX = 200;

/** Where distributions put it: hwdata, Debian's pci.ids, pciutils itself and its updates. */
export const SYSTEM_PCI_IDS: readonly string[] = [
  "/usr/share/hwdata/pci.ids",
  "/usr/share/misc/pci.ids",
  "/usr/share/pci.ids",
  "/var/lib/pciutils/pci.ids.gz",
  "/usr/share/misc/pci.ids.gz",
];

export class PciIdList {
  readonly #text: string;
  /** First and last character of each vendor's part, its own line included. */
  readonly #vendors: ReadonlyMap<number, readonly [number, number]>;
  readonly #kept = new Map<string, string>();

  constructor(text: string) {
    this.#text = text;
    this.#vendors = vendorParts(text);
  }

  vendor(id: number): string | undefined {
    const [start = -1] = this.#vendors.get(id) ?? [];
    return start < 0 ? undefined : nameAt(this.#text, start + "1022  ".length);
  }

  device(vendor: number, device: number): string | undefined {
    return this.#find(`${vendor}/${device}`, () => {
      const at = this.#deviceAt(vendor, device);
      return at < 0 ? "" : nameAt(this.#text, at + "\n\t1480  ".length);
    });
  }

  /** Name of a card by the ids that its maker gave it. */
  subsystem(
    vendor: number,
    device: number,
    subsystemVendor: number,
    subsystemDevice: number,
  ): string | undefined {
    return this.#find(`${vendor}/${device}/${subsystemVendor}/${subsystemDevice}`, () => {
      const start = this.#deviceAt(vendor, device);
      if (start < 0) {
        return "";
      }
      const end = endOfDevice(this.#text, start + 1);
      const mark = `\n\t\t${hex(subsystemVendor, 4)} ${hex(subsystemDevice, 4)}  `;
      const at = this.#text.slice(start, end).indexOf(mark);
      return at < 0 ? "" : nameAt(this.#text, start + at + mark.length);
    });
  }

  #deviceAt(vendor: number, device: number): number {
    const [start = -1, end = -1] = this.#vendors.get(vendor) ?? [];
    const at = start < 0 ? -1 : this.#text.indexOf(`\n\t${hex(device, 4)}  `, start);
    return at >= end ? -1 : at;
  }

  #find(key: string, search: () => string): string | undefined {
    const name = this.#kept.get(key) ?? search();
    this.#kept.set(key, name);
    return name === "" ? undefined : name;
  }
}

/** The first list that is there and can be read, with its path; undefined when there is none. */
export function openPciIdList(
  paths: readonly string[],
): { readonly path: string; readonly list: PciIdList } | undefined {
  for (const path of paths) {
    const text = listText(path);
    if (text !== undefined) {
      return { path, list: new PciIdList(text) };
    }
  }
  return undefined;
}

/** Names are a comfort: a list that cannot be read is no reason to fail. */
function listText(path: string): string | undefined {
  try {
    if (statSync(path).size > LIST_BYTES_MAX) {
      return undefined;
    }
    const bytes = readFileSync(path);
    const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
    return `${isGzip ? gunzipSync(bytes, { maxOutputLength: LIST_BYTES_MAX }) : bytes}`;
  } catch {
    return undefined;
  }
}

function vendorParts(text: string): Map<number, readonly [number, number]> {
  const parts = new Map<number, readonly [number, number]>();
  const starts: (readonly [number, number])[] = [];
  let end = text.length;
  for (const match of text.matchAll(/^(?:([0-9a-f]{4}) {2}|C 00 {2})/gm)) {
    if (match[1] === undefined) {
      end = match.index; // Classes follow the last vendor.
      break;
    }
    starts.push([Number.parseInt(match[1], 16), match.index]);
  }
  starts.forEach(([id, start], index) => {
    parts.set(id, [start, starts[index + 1]?.[1] ?? end]);
  });
  return parts;
}

/** Where the lines of cards below a device end: at a line that is neither theirs nor a comment. */
function endOfDevice(text: string, start: number): number {
  let at = text.indexOf("\n", start);
  while (at >= 0 && (text.startsWith("\n\t\t", at) || text.startsWith("\n#", at))) {
    at = text.indexOf("\n", at + 1);
  }
  return at < 0 ? text.length : at;
}

function nameAt(text: string, start: number): string {
  const end = text.indexOf("\n", start);
  return text.slice(start, Math.min(end < 0 ? text.length : end, start + NAME_CHARS_MAX)).trim();
}
