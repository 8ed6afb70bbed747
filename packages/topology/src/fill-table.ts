/**
 * Fill table: checked records into the flat columns of a `FunctionTable`.
 *
 * The only place that writes those columns.
 */
import type { Bdf } from "./bdf.ts";
import {
  type BarRecord,
  type FunctionRecord,
  ID_UNKNOWN,
  PORT_TYPE_UNKNOWN,
  type WindowKind,
} from "./function-record.ts";
import {
  ACS_ABSENT,
  ACS_PRESENT,
  ACS_UNKNOWN,
  BAR_EXISTS,
  BAR_IO,
  BAR_PREFETCHABLE,
  BAR_SLOTS,
  BAR_UNASSIGNED,
  BAR_WIDE,
  type FunctionTable,
  WINDOW_IO,
  WINDOW_MEMORY,
  WINDOW_PREFETCHABLE,
  WINDOW_SLOTS,
} from "./function-table.ts";
import type { RootBus } from "./topology.ts";
import type { PlacedRecord } from "./topology-builder.ts";
import { headerTypeOf } from "./tree-check.ts";

const WINDOW_SLOT: Readonly<Record<WindowKind, number>> = {
  io: WINDOW_IO,
  memory: WINDOW_MEMORY,
  prefetchable: WINDOW_PREFETCHABLE,
};

export function fillTable(
  placed: readonly PlacedRecord[],
  rootIds: readonly string[],
  rootBuses: readonly RootBus[],
): FunctionTable {
  const records = placed.map((place) => place.record);
  const addresses = placed.map((place) => place.address);
  const parent = Int32Array.from(placed, (place) => place.parent);
  return {
    count: placed.length,
    bdf: placed.map((place) => place.bdf),
    ...addressColumns(addresses),
    parent,
    physicalFunction: Int32Array.from(placed, (place) => place.physicalFunction),
    rootBus: rootColumn(rootIds, rootBuses),
    headerType: Uint8Array.from(placed, headerTypeOf),
    ...identityColumns(records),
    ...acsColumns(records),
    ...linkColumns(records),
    ...barColumns(records),
    ...windowColumns(records),
    resizableBars: new Map(
      records.flatMap(({ resizableBars }, row) =>
        resizableBars === undefined ? [] : [[row, resizableBars] as const],
      ),
    ),
    ...configColumns(records),
    ...childColumns(parent),
  };
}

function addressColumns(addresses: readonly Bdf[]) {
  return {
    domain: Uint32Array.from(addresses, (address) => address.domain),
    bus: Uint8Array.from(addresses, (address) => address.bus),
    devfn: Uint8Array.from(addresses, (address) => address.devfn),
  };
}

function rootColumn(rootIds: readonly string[], rootBuses: readonly RootBus[]): Uint16Array {
  const indexById = new Map(rootBuses.map((bus, index) => [bus.id, index]));
  return Uint16Array.from(rootIds, (id) => indexById.get(id) as number);
}

function identityColumns(records: readonly FunctionRecord[]) {
  return {
    vendor: Uint16Array.from(records, (record) => record.vendor ?? ID_UNKNOWN),
    device: Uint16Array.from(records, (record) => record.device ?? ID_UNKNOWN),
    classCode: Uint32Array.from(records, (record) => record.classCode ?? 0),
    portType: Int8Array.from(records, (record) => record.portType ?? PORT_TYPE_UNKNOWN),
    secondaryBus: Int16Array.from(records, (record) => record.secondaryBus || -1),
    subordinateBus: Int16Array.from(records, (record) => record.subordinateBus || -1),
    numaNode: Int32Array.from(records, (record) => record.numaNode ?? -1),
    iommuGroup: Int32Array.from(records, (record) => record.iommuGroup ?? -1),
    driver: records.map((record) => record.driver ?? ""),
  };
}

function acsColumns(records: readonly FunctionRecord[]) {
  const found = records.map(({ acs }) => (acs === "absent" ? undefined : acs));
  const egress = packed(found.map((acs) => acs?.egressVector));
  return {
    acsState: Uint8Array.from(records, ({ acs }) => acsState(acs)),
    acsCapability: Uint16Array.from(found, (acs) => acs?.capability ?? 0),
    acsControl: Uint16Array.from(found, (acs) => acs?.control ?? 0),
    egress: egress.bytes,
    egressOffset: egress.offset,
    egressLength: Uint8Array.from(egress.length),
  };
}

function acsState(acs: FunctionRecord["acs"]): number {
  if (acs === undefined) {
    return ACS_UNKNOWN;
  }
  return acs === "absent" ? ACS_ABSENT : ACS_PRESENT;
}

function linkColumns(records: readonly FunctionRecord[]) {
  return {
    linkSpeedMtps: Uint32Array.from(records, ({ link }) => link?.speedMtps ?? 0),
    linkWidth: Uint8Array.from(records, ({ link }) => link?.width ?? 0),
    linkSpeedMaxMtps: Uint32Array.from(records, ({ link }) => link?.speedMaxMtps ?? 0),
    linkWidthMax: Uint8Array.from(records, ({ link }) => link?.widthMax ?? 0),
  };
}

function barColumns(records: readonly FunctionRecord[]) {
  const barStart = new Float64Array(records.length * BAR_SLOTS);
  const barSize = new Float64Array(barStart.length);
  const barFlags = new Uint8Array(barStart.length);
  records.forEach((record, row) => {
    for (const bar of record.bars ?? []) {
      const slot = row * BAR_SLOTS + bar.index;
      barStart[slot] = bar.start;
      barSize[slot] = bar.size ?? 0;
      barFlags[slot] = flagsOf(bar);
    }
  });
  return { barStart, barSize, barFlags };
}

const flagsOf = (bar: BarRecord): number =>
  BAR_EXISTS |
  (bar.kind === "io" ? BAR_IO : 0) |
  (bar.wide ? BAR_WIDE : 0) |
  (bar.prefetchable ? BAR_PREFETCHABLE : 0) |
  (bar.assigned === false ? BAR_UNASSIGNED : 0);

function windowColumns(records: readonly FunctionRecord[]) {
  const windowStart = new Float64Array(records.length * WINDOW_SLOTS);
  const windowSize = new Float64Array(windowStart.length);
  records.forEach((record, row) => {
    for (const window of record.windows ?? []) {
      const slot = row * WINDOW_SLOTS + WINDOW_SLOT[window.kind];
      windowStart[slot] = window.start;
      windowSize[slot] = window.size;
    }
  });
  return { windowStart, windowSize };
}

function configColumns(records: readonly FunctionRecord[]) {
  const config = packed(records.map((record) => record.config));
  return {
    config: config.bytes,
    configOffset: config.offset,
    configLength: Uint16Array.from(config.length),
  };
}

/** Many byte strings in one buffer. */
function packed(parts: readonly (Uint8Array | undefined)[]) {
  const length = parts.map((part) => part?.length ?? 0);
  const offset = new Uint32Array(parts.length);
  let total = 0;
  length.forEach((bytes, row) => {
    offset[row] = total;
    total += bytes;
  });
  const bytes = new Uint8Array(total);
  parts.forEach((part, row) => {
    bytes.set(part ?? [], offset[row]);
  });
  return { bytes, offset, length };
}

/** Counting sort of rows by parent, which keeps the order of records on each bus. */
function childColumns(parent: Int32Array) {
  const childStart = new Int32Array(parent.length + 1);
  for (const bridge of parent) {
    if (bridge >= 0) {
      childStart[bridge + 1] = (childStart[bridge + 1] as number) + 1;
    }
  }
  for (let row = 0; row < parent.length; row++) {
    childStart[row + 1] = (childStart[row + 1] as number) + (childStart[row] as number);
  }
  const children = new Int32Array(childStart[parent.length] as number);
  const next = childStart.slice();
  parent.forEach((bridge, row) => {
    if (bridge >= 0) {
      const slot = next[bridge] as number;
      children[slot] = row;
      next[bridge] = slot + 1;
    }
  });
  return { childStart, children };
}
