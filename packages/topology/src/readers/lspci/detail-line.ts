/**
 * Detail line: one line below a header, told apart by its first words.
 *
 * Depth of indentation is not asked: pasted text often has lost it. A capability's own lines are known
 * by the capability they follow.
 */
import {
  acsRegister,
  linkIn,
  readCapabilityHead,
  readVirtualFunctions,
  resizableBarIn,
} from "./capability-line.ts";
import type { FunctionDraft } from "./function-draft.ts";
import { readWords } from "./header-line.ts";
import { barOfRegion, barOfRom, windowOf } from "./region-line.ts";

/** Where in a block we are: the capability whose lines follow, "" before the first. */
export interface BlockPlace {
  capability: string;
}

type Read = (value: string, draft: FunctionDraft, place: BlockPlace) => void;

const whole = (text: string): number | undefined =>
  /^\d{1,9}$/.test(text) ? Number(text) : undefined;

const window: (key: string) => Read = (key) => (value, draft) => {
  const open = windowOf(key, value);
  if (open !== undefined && !draft.windows.some(({ kind }) => kind === open.kind)) {
    draft.windows.push(open);
  }
};

function readBuses(value: string, draft: FunctionDraft): void {
  // The comma behind the last number shows that it was not cut.
  const match = /^primary=[0-9a-f]{2}, secondary=([0-9a-f]{2}), subordinate=([0-9a-f]{2}),/i.exec(
    value,
  );
  if (match !== null) {
    draft.secondaryBus = Number.parseInt(match[1] ?? "", 16);
    draft.subordinateBus = Number.parseInt(match[2] ?? "", 16);
  }
}

function readSubsystem(value: string, draft: FunctionDraft): void {
  const ids = /(?:^|\[)([0-9a-f]{4}):([0-9a-f]{4})(?:\]|$)/i.exec(value);
  if (ids !== null) {
    draft.subsystemVendor ??= Number.parseInt(ids[1] ?? "", 16);
    draft.subsystemDevice ??= Number.parseInt(ids[2] ?? "", 16);
  }
}

function readStatus(value: string, draft: FunctionDraft, place: BlockPlace): void {
  const list = /^Cap([+-]) /.exec(value)?.[1];
  if (list !== undefined && place.capability === "") {
    draft.hasCapabilityList = list === "+";
    draft.isDetailed = true;
  }
}

function readLinkStatus(value: string, draft: FunctionDraft): void {
  const { speedMtps, width } = linkIn(value);
  draft.speedMtps ??= speedMtps;
  draft.width ??= width;
}

function readLinkCapability(value: string, draft: FunctionDraft): void {
  const { speedMtps, width } = linkIn(value);
  draft.speedMaxMtps ??= speedMtps;
  draft.widthMax ??= width;
}

function readControl(value: string, draft: FunctionDraft): void {
  const control = acsRegister(value);
  if (control !== undefined) {
    draft.acsControl ??= control;
  }
}

function readAcsCapability(value: string, draft: FunctionDraft): void {
  const capability = acsRegister(value);
  if (capability !== undefined) {
    draft.acsCapability ??= capability;
  }
}

function readDriver(value: string, draft: FunctionDraft): void {
  const name = /^[\w.-]+/.exec(value)?.[0];
  if (name !== undefined) {
    draft.driver = name;
  }
  draft.isFinished = true;
}

function readNode(value: string, draft: FunctionDraft): void {
  const node = whole(value);
  if (node !== undefined) {
    draft.numaNode = node;
  }
}

function readGroup(value: string, draft: FunctionDraft): void {
  const group = whole(value);
  if (group !== undefined) {
    draft.iommuGroup = group;
  }
}

const detailed: Read = (_, draft, place) => {
  draft.isDetailed ||= place.capability === "";
};
const finished: Read = (_, draft) => {
  draft.isFinished = true;
};

/** By what stands before the first colon. The second half are the words of `-vmm`. */
const READERS: ReadonlyMap<string, Read> = new Map<string, Read>([
  ["Flags", detailed],
  ["Status", readStatus],
  ["Subsystem", readSubsystem],
  ["Bus", readBuses],
  ["I/O behind bridge", window("I/O behind bridge")],
  ["Memory behind bridge", window("Memory behind bridge")],
  ["Prefetchable memory behind bridge", window("Prefetchable memory behind bridge")],
  [
    "Capabilities",
    (value, draft, place) => {
      place.capability = readCapabilityHead(value, draft) || "unknown";
    },
  ],
  ["ACSCap", readAcsCapability],
  ["ACSCtl", readControl],
  ["LnkCap", readLinkCapability],
  ["LnkSta", readLinkStatus],
  ["Initial VFs", (value, draft) => readVirtualFunctions(`Initial VFs: ${value}`, draft)],
  ["VF offset", (value, draft) => readVirtualFunctions(`VF offset: ${value}`, draft)],
  ["NUMA node", readNode],
  ["IOMMU group", readGroup],
  ["Kernel driver in use", readDriver],
  ["Kernel modules", finished],
  ["Class", (value, draft) => readWords({ kind: value }, draft)],
  ["Vendor", (value, draft) => readWords({ vendor: value }, draft)],
  ["Device", (value, draft) => readWords({ device: value }, draft)],
  ["Driver", readDriver],
  ["NUMANode", readNode],
  ["IOMMUGroup", readGroup],
  [
    "ProgIf",
    (value, draft) => {
      draft.programmingInterface = Number.parseInt(/^[0-9a-f]{2}$/i.exec(value)?.[0] ?? "0", 16);
    },
  ],
]);

/** Words that start a detail line though nothing is read from it: such a line continues no other. */
const OTHER_STARTS =
  /^(?:\w+:\t|Control|Latency|Interrupt|DeviceName|Physical Slot|Secondary status|BridgeCtl|Region \d|Expansion ROM|BIST|Memory at|I\/O ports|DevCap|DevCtl|DevSta|LnkCtl|SltC|SltS|Root[CS]|UE[SM]|CE[SM]|AERCap|HeaderLog|BAR \d)/;

export function startsDetail(text: string): boolean {
  return READERS.has(text.slice(0, Math.max(text.indexOf(":"), 0))) || OTHER_STARTS.test(text);
}

/** Reads one whole detail line (without leading blanks) into the draft. Unknown lines say nothing. */
export function readDetail(text: string, draft: FunctionDraft, place: BlockPlace): void {
  const colon = text.indexOf(":");
  if (colon < 0) {
    readWithoutColon(text, draft, place);
    return;
  }
  const key = text.slice(0, colon);
  const value = text.slice(colon + 1).trim();
  const read = READERS.get(key);
  if (read !== undefined) {
    read(value, draft, place);
    return;
  }
  const index = /^(Region|BAR) (\d)$/.exec(key);
  if (index !== null) {
    readNumbered(index[1] === "BAR", Number(index[2]), value, draft, place);
  } else {
    readWithoutColon(text, draft, place);
  }
}

function readNumbered(
  isResizable: boolean,
  index: number,
  value: string,
  draft: FunctionDraft,
  place: BlockPlace,
): void {
  // Regions below a capability are those of virtual functions, not the function's own.
  if (!isResizable && place.capability === "" && index < 6) {
    addBar(draft, barOfRegion(index, value));
  }
  if (isResizable && /^(?:Physical )?Resizable BAR/.test(place.capability) && index < 6) {
    const bar = resizableBarIn(index, value);
    if (bar !== undefined && !draft.resizableBars.some((each) => each.index === index)) {
      draft.resizableBars.push(bar);
    }
  }
}

function readWithoutColon(text: string, draft: FunctionDraft, place: BlockPlace): void {
  const rom = /^(?:\[virtual\] )?Expansion ROM at (.*)$/.exec(text)?.[1];
  if (rom !== undefined && place.capability === "") {
    addBar(draft, barOfRom(rom));
  }
}

function addBar(draft: FunctionDraft, bar: FunctionDraft["bars"][number] | undefined): void {
  if (bar !== undefined && !draft.bars.some(({ index }) => index === bar.index)) {
    draft.bars.push(bar);
  }
}
