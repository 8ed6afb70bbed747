/**
 * Region line: BARs and bridge windows as `lspci -vv` prints them.
 *
 * Addresses are the kernel's, as in sysfs. A size in brackets is exact: lspci shortens only what divides
 * evenly. What was cut off behind the address is not guessed.
 */
import { ADDRESS_MAX } from "@peerbuf/core";
import type { BarRecord, WindowKind, WindowRecord } from "../../function-record.ts";
import { BAR_ROM } from "../../function-table.ts";

const MEMORY =
  /^Memory at ([0-9a-f]{1,16}|<[^>]*>) \((\S+?), (non-prefetchable|prefetchable)\)(.*)$/i;
const PORTS = /^I\/O ports at ([0-9a-f]{1,16}|<[^>]*>)((?: \[.*)?)$/i;
const ROM = /^([0-9a-f]{1,16}|<[^>]*>)((?: \[.*)?)$/i;
const SUFFIXES = "KMGTPE";

/** `16K`, `64MB`, `8224M`, `256` in bytes; undefined when it is no size or beyond 2^53 - 1. */
export function sizeOf(text: string): number | undefined {
  const match = /^(\d{1,15})([KMGTPE]?)B?$/.exec(text);
  if (match === null) {
    return undefined;
  }
  const [, digits = "", suffix = ""] = match;
  const size = Number(digits) * 1024 ** (suffix === "" ? 0 : SUFFIXES.indexOf(suffix) + 1);
  return size > 0 && size <= ADDRESS_MAX ? size : undefined;
}

/** The BAR of `Region N: ...`, or undefined when the line does not say enough. */
export function barOfRegion(index: number, line: string): BarRecord | undefined {
  const text = line.replace(/^\[virtual\] /, ""); // pciutils before 3.7 put it first.
  const memory = MEMORY.exec(text);
  if (memory !== null) {
    const [, address = "", width = "", kind = "", rest = ""] = memory;
    return bar(index, address, rest, {
      kind: "memory",
      wide: width === "64-bit",
      prefetchable: kind === "prefetchable",
    });
  }
  const ports = PORTS.exec(text);
  return ports === null
    ? undefined
    : bar(index, ports[1] ?? "", ports[2] ?? "", { kind: "io", wide: false, prefetchable: false });
}

/** `Expansion ROM at ...`. Linux counts every ROM as prefetchable (pci_read_bases, 6.12). */
export function barOfRom(text: string): BarRecord | undefined {
  const match = ROM.exec(text);
  return match === null
    ? undefined
    : bar(BAR_ROM, match[1] ?? "", match[2] ?? "", {
        kind: "memory",
        wide: false,
        prefetchable: true,
      });
}

function bar(
  index: number,
  address: string,
  rest: string,
  kind: Pick<BarRecord, "kind" | "wide" | "prefetchable">,
): BarRecord | undefined {
  const assigned = !address.startsWith("<");
  const start = assigned ? Number.parseInt(address, 16) : 0;
  const size = sizeOf(/\[size=([^\]]{1,20})\]/.exec(rest)?.[1] ?? "");
  if (start > ADDRESS_MAX - (size ?? 1)) {
    return undefined;
  }
  return { index, start, ...kind, assigned, ...(size !== undefined && { size }) };
}

const WINDOW_KINDS: Readonly<Record<string, WindowKind>> = {
  "I/O behind bridge": "io",
  "Memory behind bridge": "memory",
  "Prefetchable memory behind bridge": "prefetchable",
};

/** An open window; closed ones (`None`, `[disabled]`, limit below base) and cut lines are left out. */
export function windowOf(key: string, text: string): WindowRecord | undefined {
  const kind = WINDOW_KINDS[key];
  const match = /^([0-9a-f]{1,16})-([0-9a-f]{4,16})((?: \[.*)?)$/i.exec(text);
  if (kind === undefined || match === null || match[3]?.includes("[disabled]")) {
    return undefined;
  }
  const start = Number.parseInt(match[1] ?? "", 16);
  const end = Number.parseInt(match[2] ?? "", 16);
  return start <= end && end <= ADDRESS_MAX - 1
    ? { kind, start, size: end - start + 1 }
    : undefined;
}
