/**
 * Virtual functions: which physical function owns a virtual one in a listing.
 *
 * lspci prints no owner. The SR-IOV capability of the physical function gives it: routing id of the
 * first virtual function, distance to the next, and how many are switched on (PCIe 9.3.3.9 to 9.3.3.11).
 */
import { formatBdf, parseBdf } from "../../bdf.ts";
import { sriovOfConfig } from "../../capabilities.ts";
import type { FunctionRecord } from "../../function-record.ts";
import { isBridgeHeader } from "../../function-table.ts";
import type { FunctionDraft, VirtualFunctions } from "./function-draft.ts";

/** Routing ids in a domain, so as many virtual functions at most. */
const ROUTING_ID_COUNT = 0x10000;

/** Physical function by virtual function, BDFs; only for functions that are in the listing. */
export function ownersOf(
  drafts: readonly FunctionDraft[],
  records: readonly FunctionRecord[],
  refuse: (line: number, cause: string) => Error,
): ReadonlyMap<string, string> {
  const recordByBdf = new Map(records.map((record) => [record.bdf, record]));
  const switchedOn = drafts.flatMap((draft) => {
    const found = virtualFunctionsOf(draft, recordByBdf.get(draft.bdf));
    return found === undefined || found.count === 0 ? [] : [{ draft, found }];
  });
  const physical = new Set(switchedOn.map(({ draft }) => draft.bdf));
  const owners = new Map<string, string>();
  let claimed = 0;
  for (const { draft, found } of switchedOn) {
    claimed += found.count;
    if (claimed > ROUTING_ID_COUNT) {
      throw refuse(draft.line, `the file claims more than ${ROUTING_ID_COUNT} virtual functions`);
    }
    for (const bdf of addressesOf(draft.bdf, found)) {
      const record = recordByBdf.get(bdf);
      const isFree = record !== undefined && !physical.has(bdf) && !owners.has(bdf);
      if (isFree && !isBridgeHeader(record.headerType ?? 0)) {
        owners.set(bdf, draft.bdf);
      }
    }
  }
  return owners;
}

function virtualFunctionsOf(
  { virtualFunctions }: FunctionDraft,
  record: FunctionRecord | undefined,
): VirtualFunctions | undefined {
  const dumped = sriovOfConfig(record?.config ?? new Uint8Array(0));
  if (typeof dumped === "object") {
    return { count: dumped.enabledVfs, firstOffset: dumped.firstVfOffset, stride: dumped.vfStride };
  }
  const { count, firstOffset, stride } = virtualFunctions ?? {};
  return count === undefined || firstOffset === undefined || stride === undefined
    ? undefined
    : { count, firstOffset, stride };
}

/** Addresses of the virtual functions of `bdf`, as far as they lie in its domain. */
function addressesOf(bdf: string, { count, firstOffset, stride }: VirtualFunctions): string[] {
  const { domain = 0, bus = 0, devfn = 0 } = parseBdf(bdf) ?? {};
  const first = bus * 256 + devfn + firstOffset;
  const isApart = stride > 0 || count === 1;
  return Array.from(
    { length: isApart && firstOffset > 0 ? count : 0 },
    (_, index) => first + index * stride,
  )
    .filter((id) => id < ROUTING_ID_COUNT)
    .map((id) => formatBdf({ domain, bus: id >> 8, devfn: id & 0xff }));
}
