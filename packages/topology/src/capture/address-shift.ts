/**
 * Address shift: moves every memory address of a machine, so that its layout stays and its place does not.
 *
 * One distance for addresses below 4 GiB and one for those above; each a multiple of the largest BAR
 * there, so that every BAR stays aligned to its size and every window to its granule.
 */
import { barsOfConfig, headerTypeOfConfig, knownConfig, windowsOfConfig } from "../config-space.ts";

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const LIMIT_32 = 4 * GIB;
/** Below it lies what has the same address on every PC: VGA memory, ROMs. */
const LEGACY_END = 16 * MIB;
/** Where the upper part begins after the shift, unless a larger BAR asks for more alignment. */
const UPPER_BASE = 256 * GIB;

const MEMORY_FLAG = 0x200;

interface Range {
  readonly start: number;
  readonly end: number;
}

export class AddressShift {
  readonly #below: number;
  readonly #above: number;

  private constructor(below: number, above: number) {
    this.#below = below;
    this.#above = above;
  }

  /** The distances for a machine with these `resource` files and config spaces. */
  static over(resources: readonly string[], configs: readonly Uint8Array[]): AddressShift {
    const ranges = [...resources.flatMap(rangesOfResource), ...configs.flatMap(rangesOfConfig)];
    const below = ranges.filter(({ start }) => start >= LEGACY_END && start < LIMIT_32);
    const above = ranges.filter(({ start }) => start >= LIMIT_32);
    return new AddressShift(shiftBelow(below), shiftAbove(above));
  }

  /** Where an address has gone; 0, ports and legacy addresses stay. */
  of(address: number): number {
    if (address < LEGACY_END) {
      return address;
    }
    return address + (address < LIMIT_32 ? this.#below : this.#above);
  }

  /** A `resource` file with its memory lines moved. */
  resource(text: string): string {
    return text
      .split("\n")
      .map((line) => {
        const numbers = numbersOf(line);
        if (numbers === undefined || !isMemory(numbers.flags)) {
          return line;
        }
        const { start, end, flagsText } = numbers;
        const moved = this.of(start);
        return `${word(moved)} ${word(moved + (end - start))} ${flagsText}`;
      })
      .join("\n");
  }
}

const word = (value: number): string => `0x${value.toString(16).padStart(16, "0")}`;
const isMemory = (flags: number): boolean => Math.floor(flags / MEMORY_FLAG) % 2 === 1;

/** `start end flags`; undefined for a line that is none, or beyond what a number holds. */
function numbersOf(line: string) {
  const match = /^\s*(0x[0-9a-f]{1,16})\s+(0x[0-9a-f]{1,16})\s+(0x[0-9a-f]{1,16})\s*$/i.exec(line);
  const [start = 0, end = 0, flags = 0] = (match ?? []).slice(1).map(Number);
  return match !== null && Number.isSafeInteger(end + 1) && end >= start
    ? { start, end, flags, flagsText: match[3] as string }
    : undefined;
}

const rangesOfResource = (text: string): Range[] =>
  text.split("\n").flatMap((line) => {
    const numbers = numbersOf(line);
    return numbers !== undefined && isMemory(numbers.flags)
      ? [{ start: numbers.start, end: numbers.end + 1 }]
      : [];
  });

/** Registers, which may say what no `resource` file was captured for. A BAR register tells no size. */
function rangesOfConfig(bytes: Uint8Array): Range[] {
  const config = knownConfig(bytes);
  const kind = config.length === 0 ? 2 : headerTypeOfConfig(config);
  const bars = kind <= 1 ? barsOfConfig(config) : [];
  const windows = kind === 1 ? windowsOfConfig(config) : [];
  return [
    ...bars.filter((bar) => bar.kind === "memory").map(({ start }) => ({ start, end: start + 1 })),
    ...windows
      .filter((window) => window.kind !== "io")
      .map(({ start, size }) => ({ start, end: start + size })),
  ];
}

/** The largest power of two that any of them can be aligned to, being a BAR of that size. */
function alignmentOf(ranges: readonly Range[]): number {
  const sizes = ranges
    .map(({ start, end }) => end - start)
    .filter((size) => Number.isInteger(Math.log2(size)));
  return sizes.reduce((most, size) => Math.max(most, size), MIB);
}

const lowest = (ranges: readonly Range[], align: number): number =>
  Math.floor(ranges.reduce((least, { start }) => Math.min(least, start), Infinity) / align) * align;

/** As high below 4 GiB as alignment allows. */
function shiftBelow(ranges: readonly Range[]): number {
  if (ranges.length === 0) {
    return 0;
  }
  const align = alignmentOf(ranges);
  const first = lowest(ranges, align);
  const end = ranges.reduce((most, range) => Math.max(most, range.end), 0);
  const room = Math.floor((LIMIT_32 - end) / align) * align;
  // The room that is left is gone through backwards when nothing is: then the other end has some.
  return room > 0 ? room : -Math.max(0, Math.floor((first - LEGACY_END) / align / 2) * align);
}

function shiftAbove(ranges: readonly Range[]): number {
  if (ranges.length === 0) {
    return 0;
  }
  const align = alignmentOf(ranges);
  return Math.max(align, UPPER_BASE) - lowest(ranges, align);
}
