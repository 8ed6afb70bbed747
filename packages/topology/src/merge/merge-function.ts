/**
 * Merge function: what several captures say of one PCI function, as one record.
 *
 * For every fact the first capture that knows it is believed.
 */
import { acsBits } from "../acs.ts";
import { hex } from "../bdf.ts";
import {
  type AcsRecord,
  type BarRecord,
  type FunctionRecord,
  ID_UNKNOWN,
  type LinkRecord,
  PORT_TYPE_UNKNOWN,
} from "../function-record.ts";
import type { Contradiction } from "../machine-facts.ts";
import { refusedMerge, type Witness } from "./witness.ts";

/** @throws InputError when two captures give it different ids or bus numbers */
export function mergeFunction(
  bdf: string,
  witnesses: readonly Witness[],
  contradictions: Contradiction[],
): FunctionRecord {
  const fixed = <T>(name: string, of: (record: FunctionRecord) => T | undefined, show: Show<T>) =>
    fixedFact(bdf, witnesses, { name, of, show });
  const changing = <T>(
    name: string,
    of: (record: FunctionRecord) => T | undefined,
    show: Show<T>,
  ) => changingFact(bdf, witnesses, { name, of, show }, contradictions);
  const vendor = fixed("vendor", ({ vendor: id }) => known(id, ID_UNKNOWN), hexWord);
  const device = fixed("device", ({ device: id }) => known(id, ID_UNKNOWN), hexWord);
  const kind = fixed("class", ({ classCode = 0 }) => known(classCode >> 8, 0), hexWord);
  const secondaryBus = fixed("secondary bus", (record) => known(record.secondaryBus, 0), hexByte);
  const subordinateBus = fixed("last bus", (record) => known(record.subordinateBus, 0), hexByte);
  const portType = changing(
    "port type",
    (record) => known(record.portType, PORT_TYPE_UNKNOWN),
    String,
  );
  const acs = changing("ACS", ({ acs: each }) => each, shownAcs);
  const numaNode = changing("NUMA node", (record) => known(record.numaNode, -1), String);
  const driver = changing("driver", (record) => known(record.driver, ""), String);
  const iommuGroup = changing("IOMMU group", (record) => known(record.iommuGroup, -1), String);
  const physicalFunction = changing(
    "physical function",
    (record) => record.physicalFunction,
    String,
  );
  const config = longest(witnesses);
  return {
    bdf,
    ...(vendor !== undefined && { vendor }),
    ...(device !== undefined && { device }),
    ...(kind !== undefined && { classCode: classCodeOf(witnesses) }),
    headerType: Math.max(...witnesses.map(({ record }) => record.headerType ?? 0)),
    ...(secondaryBus !== undefined && { secondaryBus }),
    ...(subordinateBus !== undefined && { subordinateBus }),
    ...(portType !== undefined && { portType }),
    ...(acs !== undefined && { acs }),
    ...(numaNode !== undefined && { numaNode }),
    ...(driver !== undefined && { driver }),
    ...(iommuGroup !== undefined && { iommuGroup }),
    ...(physicalFunction !== undefined && { physicalFunction }),
    ...(config !== undefined && { config }),
    link: mergeLinks(changing),
    bars: mergeBars(bdf, witnesses, contradictions),
    ...firstOf(witnesses, "windows"),
    ...firstOf(witnesses, "resizableBars"),
  };
}

type Show<T> = (value: T) => string;

interface Fact<T> {
  readonly name: string;
  /** Undefined: this capture does not know it. */
  readonly of: (record: FunctionRecord) => T | undefined;
  readonly show: Show<T>;
}

/** Undefined for the value that stands for "not known". */
const known = <T>(value: T | undefined, unknown: T): T | undefined =>
  value === unknown ? undefined : value;

const hexWord = (value: number): string => hex(value, 4);
const hexByte = (value: number): string => hex(value, 2);

/** The captures that know a fact, with how they show it. */
const knowing = <T>(witnesses: readonly Witness[], { of, show }: Fact<T>) =>
  witnesses.flatMap(({ source, record }) => {
    const value = of(record);
    return value === undefined ? [] : [{ source, value, shown: show(value) }];
  });

/** A fact that one machine has once and for all. */
function fixedFact<T>(bdf: string, witnesses: readonly Witness[], fact: Fact<T>): T | undefined {
  const said = knowing(witnesses, fact);
  const [first] = said;
  const other = said.find(({ shown }) => shown !== first?.shown);
  if (first !== undefined && other !== undefined) {
    const cause = `its ${fact.name} is ${first.shown} in the one and ${other.shown} in the other`;
    throw refusedMerge([first.source, other.source], bdf, cause);
  }
  return first?.value;
}

/** A fact that may have changed between two captures. */
function changingFact<T>(
  bdf: string,
  witnesses: readonly Witness[],
  fact: Fact<T>,
  contradictions: Contradiction[],
): T | undefined {
  const said = knowing(witnesses, fact);
  if (said.some(({ shown }) => shown !== said[0]?.shown)) {
    const values = said.map(({ source, shown }) => ({ source, value: shown }));
    contradictions.push({ fact: fact.name, at: bdf, values });
  }
  return said[0]?.value;
}

type Changing = <T>(
  name: string,
  of: (record: FunctionRecord) => T | undefined,
  show: Show<T>,
) => T | undefined;

function mergeLinks(changing: Changing): LinkRecord {
  const part = (name: string, member: keyof LinkRecord): LinkRecord => {
    const value = changing(name, ({ link }) => known(link?.[member], 0), String);
    return value === undefined ? {} : { [member]: value };
  };
  return {
    ...part("link speed (MT/s)", "speedMtps"),
    ...part("link width", "width"),
    ...part("link speed possible (MT/s)", "speedMaxMtps"),
    ...part("link width possible", "widthMax"),
  };
}

const bitsOf = (register: number): string => acsBits(register).join(" ") || "no bit";

const shownAcs = (acs: AcsRecord | "absent"): string =>
  acs === "absent" ? "no ACS" : `${bitsOf(acs.control)} set of ${bitsOf(acs.capability)}`;

/** hwloc knows the class without the programming interface; a capture that has one says more. */
function classCodeOf(witnesses: readonly Witness[]): number {
  const codes = witnesses.map(({ record }) => record.classCode ?? 0).filter((code) => code !== 0);
  return codes.find((code) => (code & 0xff) !== 0) ?? codes[0] ?? 0;
}

/** The most of config space that anybody read: another user's copy may end at the header. */
const longest = (witnesses: readonly Witness[]): Uint8Array | undefined =>
  witnesses
    .map(({ record }) => record.config)
    .reduce((best, each) => ((each?.length ?? 0) > (best?.length ?? 0) ? each : best), undefined);

function firstOf<Name extends "windows" | "resizableBars">(
  witnesses: readonly Witness[],
  name: Name,
): Pick<FunctionRecord, Name> | object {
  const value = witnesses.map(({ record }) => record[name]).find((each) => (each?.length ?? 0) > 0);
  return value === undefined ? {} : { [name]: value };
}

/** Each BAR from the first capture that has it, with the size from the first that knows it. */
function mergeBars(
  bdf: string,
  witnesses: readonly Witness[],
  contradictions: Contradiction[],
): BarRecord[] {
  const indexes = new Set(
    witnesses.flatMap(({ record }) => (record.bars ?? []).map(({ index }) => index)),
  );
  return [...indexes].sort().flatMap((index) => {
    const barIn = (record: FunctionRecord): BarRecord | undefined =>
      record.bars?.find((bar) => bar.index === index);
    const fact = <T>(name: string, of: (bar: BarRecord) => T | undefined) =>
      changingFact(
        bdf,
        witnesses,
        {
          name: `${name} of BAR ${index}`,
          of: (record) => {
            const bar = barIn(record);
            return bar === undefined ? undefined : of(bar);
          },
          show: String,
        },
        contradictions,
      );
    const size = fact("size", (bar) => bar.size);
    const start = fact("address", (bar) => (bar.assigned === false ? undefined : bar.start));
    const first = witnesses.map(({ record }) => barIn(record)).find((bar) => bar !== undefined);
    return first === undefined
      ? []
      : [
          {
            ...first,
            start: start ?? 0,
            assigned: start !== undefined,
            ...(size !== undefined && { size }),
          },
        ];
  });
}
