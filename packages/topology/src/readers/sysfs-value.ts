/**
 * Sysfs values: the text of one attribute as the number or ranges it stands for.
 *
 * Formats are those of drivers/pci/pci-sysfs.c (6.12). Text that cannot be what the attribute holds
 * is an `InputError` that names the file in the capture.
 */
import { InputError } from "@peerbuf/core";
import type { BarRecord, WindowKind, WindowRecord } from "../function-record.ts";
import { BAR_ROM } from "../function-table.ts";
import type { SysfsTree } from "./sysfs-tree.ts";

/** Resource flags (include/linux/ioport.h). */
const IO = 0x100;
const MEMORY = 0x200;
const PREFETCHABLE = 0x2000;
const MEMORY_64 = 0x100000;
const UNSET = 0x20000000;
/** Bits 3:0 are those of the register; older kernels mark 64-bit BARs only there. */
const REGISTER_64 = 0x4;

export function refused(tree: SysfsTree, place: string, cause: string): InputError {
  return new InputError({
    source: tree.source,
    place,
    cause,
    remedy: "Capture the machine again, or correct this file",
  });
}

/** A number as sysfs prints it, decimal or with 0x, within limits; undefined when not captured. */
export function readNumber(
  tree: SysfsTree,
  path: string,
  low: number,
  high: number,
): number | undefined {
  const text = tree.text(path);
  if (text === undefined || text === "") {
    return undefined;
  }
  const value = /^(-?\d+|0x[0-9a-f]+)$/i.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value) || value < low || value > high) {
    throw refused(tree, path, `"${shown(text)}" is not a number from ${low} to ${high}`);
  }
  return value;
}

/** `16.0 GT/s PCIe` in megatransfers a second; undefined for `Unknown`. */
export function readSpeed(tree: SysfsTree, path: string): number | undefined {
  const match = /^(\d{1,4}(?:\.\d+)?) GT\/s/.exec(tree.text(path) ?? "");
  return match === null ? undefined : Math.round(Number(match[1]) * 1000);
}

/** Lanes; the kernel prints 255 or 0 for an unknown width. */
export function readWidth(tree: SysfsTree, path: string): number | undefined {
  const width = readNumber(tree, path, 0, 255);
  return width === 255 || width === 0 ? undefined : width;
}

/** One row of a `resource` file. */
interface ResourceRow {
  readonly start: number;
  readonly size: number;
  readonly flags: number;
}

/** BARs and bridge windows of a function as the kernel has them. */
export interface Resources {
  readonly bars: BarRecord[];
  readonly windows: WindowRecord[];
}

/**
 * Rows 0 to 5 are BARs, 6 the ROM. Then, with SR-IOV in the kernel, six for VF BARs; bridges add
 * four windows at the end (kernels before about 5.9 without SR-IOV: 11 or 12 rows; with: 17).
 */
export function readResources(tree: SysfsTree, path: string): Resources | undefined {
  const text = tree.text(path);
  if (text === undefined || text === "") {
    return undefined;
  }
  const rows = text.split("\n").map((line, index) => resourceRow(tree, path, line, index));
  const firstWindow = rows.length >= 16 ? 13 : 7;
  const kinds: readonly WindowKind[] = ["io", "memory", "prefetchable"];
  return {
    bars: rows.slice(0, BAR_ROM + 1).flatMap((row, index) => barOf(row, index)),
    windows:
      rows.length === 7 || rows.length === 13
        ? []
        : kinds.flatMap((kind, index) => windowOf(rows[firstWindow + index], kind)),
  };
}

function resourceRow(tree: SysfsTree, path: string, line: string, index: number): ResourceRow {
  const match = /^0x([0-9a-f]{1,16}) 0x([0-9a-f]{1,16}) 0x([0-9a-f]{1,16})$/i.exec(line.trim());
  if (match === null) {
    throw refused(tree, `${path}:${index + 1}`, `"${shown(line)}" is not "start end flags"`);
  }
  const [start, end, flags] = match.slice(1).map((digits) => Number.parseInt(digits, 16));
  const row = {
    start: start as number,
    size: (end as number) - (start as number) + 1,
    flags: flags as number,
  };
  if (row.flags !== 0 && !Number.isSafeInteger((end as number) + 1)) {
    throw refused(tree, `${path}:${index + 1}`, "the address is beyond 2^53 - 1");
  }
  return row;
}

/** Bit test for flags, which may have more than 32 bits. */
const has = (flags: number, bit: number): boolean => Math.floor(flags / bit) % 2 === 1;

function barOf(row: ResourceRow, index: number): BarRecord[] {
  const isMemory = has(row.flags, MEMORY);
  if ((!isMemory && !has(row.flags, IO)) || row.size < 1) {
    return [];
  }
  const isAssigned = !has(row.flags, UNSET);
  return [
    {
      index,
      start: isAssigned ? row.start : 0,
      size: row.size,
      kind: isMemory ? "memory" : "io",
      wide:
        isMemory && index !== BAR_ROM && (has(row.flags, MEMORY_64) || has(row.flags, REGISTER_64)),
      prefetchable: has(row.flags, PREFETCHABLE),
      assigned: isAssigned,
    },
  ];
}

function windowOf(row: ResourceRow | undefined, kind: WindowKind): WindowRecord[] {
  if (row === undefined || row.size < 1 || has(row.flags, UNSET)) {
    return [];
  }
  const isOpen = has(row.flags, kind === "io" ? IO : MEMORY);
  return isOpen ? [{ kind, start: row.start, size: row.size }] : [];
}

/** Strange text in a message: short, and nothing a terminal would obey. */
export const shown = (text: string): string => JSON.stringify(text.slice(0, 40)).slice(1, -1);
