/**
 * Record check: is one function record possible by itself?
 *
 * Answers with the cause as half a sentence, or undefined when the record is fine.
 */
import { ADDRESS_MAX } from "@peerbuf/core";
import { CONFIG_LENGTHS } from "./config-space.ts";
import {
  type AcsRecord,
  type BarRecord,
  type FunctionRecord,
  ID_UNKNOWN,
  PORT_TYPE_UNKNOWN,
  type ResizableBar,
  type WindowRecord,
} from "./function-record.ts";
import { BAR_SLOTS } from "./function-table.ts";

const INT32_MAX = 2 ** 31 - 1;
const ROOT_BUS_PATTERN = /^[0-9a-f]{4,8}:[0-9a-f]{2}$/i;

/** Inclusive limits of the plain numbers in a record. */
const LIMITS: readonly (readonly [keyof FunctionRecord, number, number])[] = [
  ["vendor", 0, ID_UNKNOWN],
  ["device", 0, ID_UNKNOWN],
  ["classCode", 0, 0xffffff],
  ["headerType", 0, 0x7f],
  ["portType", PORT_TYPE_UNKNOWN, 0xf],
  ["secondaryBus", 0, 0xff],
  ["subordinateBus", 0, 0xff],
  ["numaNode", -1, INT32_MAX],
  ["iommuGroup", -1, INT32_MAX],
];

/** Why the record cannot be, or undefined. Its BDF is checked by the builder. */
export function checkRecord(record: FunctionRecord): string | undefined {
  return (
    checkNumbers(record) ??
    checkBuses(record) ??
    checkBars(record.bars ?? []) ??
    checkWindows(record.windows ?? []) ??
    checkResizable(record.resizableBars ?? []) ??
    checkAcs(record.acs) ??
    checkLink(record) ??
    checkConfig(record.config)
  );
}

function checkNumbers(record: FunctionRecord): string | undefined {
  for (const [name, low, high] of LIMITS) {
    const value = record[name];
    if (value !== undefined && !isWhole(value, low, high)) {
      return `${name} is ${String(value)}, expected a whole number from ${low} to ${high}`;
    }
  }
  if (record.rootBus !== undefined && !ROOT_BUS_PATTERN.test(record.rootBus)) {
    return `root bus "${record.rootBus}" is not written as dddd:bb`;
  }
  return undefined;
}

function checkBuses({ secondaryBus = 0, subordinateBus }: FunctionRecord): string | undefined {
  return subordinateBus === undefined || subordinateBus === 0 || subordinateBus >= secondaryBus
    ? undefined
    : `the last bus below it is ${subordinateBus}, which comes before the first, ${secondaryBus}`;
}

function checkBars(bars: readonly BarRecord[]): string | undefined {
  const seen = new Set<number>();
  for (const bar of bars) {
    if (!isWhole(bar.index, 0, BAR_SLOTS - 1) || seen.has(bar.index)) {
      return `BAR ${bar.index} is given twice or does not exist (0 to 5, 6 for the ROM)`;
    }
    seen.add(bar.index);
    if (!isRange(bar.start, bar.size ?? 1)) {
      return `BAR ${bar.index} does not lie within 0 to 2^53 - 1: start ${bar.start}, size ${bar.size}`;
    }
  }
  return undefined;
}

function checkWindows(windows: readonly WindowRecord[]): string | undefined {
  const bad = windows.find((window) => !isRange(window.start, window.size));
  if (bad !== undefined) {
    return `the ${bad.kind} window does not lie within 0 to 2^53 - 1: start ${bad.start}, size ${bad.size}`;
  }
  const kinds = new Set(windows.map((window) => window.kind));
  return kinds.size === windows.length ? undefined : "a kind of bridge window is given twice";
}

function checkResizable(bars: readonly ResizableBar[]): string | undefined {
  const bad = bars.find(
    ({ index, size, sizesSupported }) =>
      !isWhole(index, 0, 5) ||
      ![size, ...sizesSupported].every((each) => isWhole(each, 1, ADDRESS_MAX)),
  );
  return bad === undefined
    ? undefined
    : `resizable BAR ${bad.index} is not one of 0 to 5 with sizes in whole bytes`;
}

function checkAcs(acs: AcsRecord | "absent" | undefined): string | undefined {
  if (acs === undefined || acs === "absent") {
    return undefined;
  }
  if (!isWhole(acs.capability, 0, 0xffff) || !isWhole(acs.control, 0, 0xffff)) {
    return `ACS registers hold 16 bits: capability ${acs.capability}, control ${acs.control}`;
  }
  const vectorBytes = acs.egressVector?.length ?? 0;
  return vectorBytes <= 32
    ? undefined
    : `the ACS egress vector has ${vectorBytes} bytes, at most 32 can be`;
}

function checkLink(record: FunctionRecord): string | undefined {
  const { speedMtps = 0, speedMaxMtps = 0, width = 0, widthMax = 0 } = record.link ?? {};
  if (!isWhole(speedMtps, 0, INT32_MAX) || !isWhole(speedMaxMtps, 0, INT32_MAX)) {
    return `link speeds are whole megatransfers a second: ${speedMtps} of ${speedMaxMtps}`;
  }
  return isWhole(width, 0, 255) && isWhole(widthMax, 0, 255)
    ? undefined
    : `link widths are 0 to 255 lanes: ${width} of ${widthMax}`;
}

function checkConfig(config: Uint8Array | undefined): string | undefined {
  return config === undefined || CONFIG_LENGTHS.includes(config.length)
    ? undefined
    : `config space has ${config.length} bytes, expected 64, 128, 256 or 4096`;
}

const isWhole = (value: unknown, low: number, high: number): boolean =>
  Number.isSafeInteger(value) && (value as number) >= low && (value as number) <= high;

const isRange = (start: number, size: number): boolean =>
  isWhole(start, 0, ADDRESS_MAX) &&
  isWhole(size, 1, ADDRESS_MAX) &&
  start <= ADDRESS_MAX - (size - 1);
