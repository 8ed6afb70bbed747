/**
 * Capability line: what `lspci -vv` prints of the capabilities that matter for peer traffic.
 *
 * PCI Express (port type, link), Access Control Services, resizable BARs, SR-IOV. A line that was cut
 * before its end says nothing: half an ACS register is not a register.
 */
import { ACS } from "../../acs.ts";

import { PORT_TYPE, type ResizableBar } from "../../function-record.ts";
import type { FunctionDraft } from "./function-draft.ts";
import { sizeOf } from "./region-line.ts";

/** As pciutils 2.2 to 3.13 name them; `(v2)` is left out by `-v`. The longer name first. */
const PORT_NAMES: readonly (readonly [string, number])[] = [
  ["Root Complex Integrated Endpoint", PORT_TYPE.ROOT_COMPLEX_ENDPOINT],
  ["Root Complex Event Collector", PORT_TYPE.EVENT_COLLECTOR],
  ["Legacy Endpoint", PORT_TYPE.LEGACY_ENDPOINT],
  ["Endpoint", PORT_TYPE.ENDPOINT],
  ["Root Port", PORT_TYPE.ROOT_PORT],
  ["Upstream Port", PORT_TYPE.SWITCH_UPSTREAM],
  ["Downstream Port", PORT_TYPE.SWITCH_DOWNSTREAM],
  ["PCI-Express to PCI/PCI-X Bridge", PORT_TYPE.PCIE_TO_PCI],
  ["PCI/PCI-X to PCI-Express Bridge", PORT_TYPE.PCI_TO_PCIE],
  ["PCI/PCI-X Bridge", PORT_TYPE.PCIE_TO_PCI],
];

const ACS_NAMES: readonly (readonly [string, number])[] = [
  ["SrcValid", ACS.SV],
  ["TransBlk", ACS.TB],
  ["ReqRedir", ACS.RR],
  ["CmpltRedir", ACS.CR],
  ["UpstreamFwd", ACS.UF],
  ["EgressCtrl", ACS.EC],
  ["DirectTrans", ACS.DT],
];

/** `[2a0 v1] Access Control Services`: notes that it is there, and answers with its name. */
export function readCapabilityHead(text: string, draft: FunctionDraft): string {
  if (text.startsWith("<access denied>")) {
    draft.capabilities = "denied";
    return "";
  }
  const match = /^\[([0-9a-f]{2,3})(?: v\d+)?\] (.*)$/i.exec(text);
  if (match === null) {
    return "";
  }
  const [, offset = "", name = ""] = match;
  draft.capabilities = "shown";
  draft.hasExtendedCapability ||= Number.parseInt(offset, 16) >= 0x100;
  draft.hasAcs ||= name.startsWith("Access Control Services");
  const express = /^Express (?:\(v\d+\) )?(.*)$/.exec(name)?.[1];
  if (express !== undefined) {
    draft.hasExpress = true;
    setPortType(express, draft);
  }
  return name;
}

function setPortType(words: string, draft: FunctionDraft): void {
  const type = PORT_NAMES.find(([name]) => words.startsWith(name))?.[1];
  if (type !== undefined) {
    draft.portType = type;
  }
}

/** All seven flags as a register, undefined when one is missing. */
export function acsRegister(text: string): number | undefined {
  let register = 0;
  for (const [name, bit] of ACS_NAMES) {
    const at = text.indexOf(name);
    const sign = text[at + name.length];
    if (at < 0 || (sign !== "+" && sign !== "-")) {
      return undefined;
    }
    register |= sign === "+" ? bit : 0;
  }
  return register;
}

/** `Speed 16GT/s (ok), Width x16`: megatransfers a second and lanes, each 0 when not shown. */
export function linkIn(text: string): { readonly speedMtps: number; readonly width: number } {
  const speed = /\bSpeed (\d{1,3}(?:\.\d)?)GT\/s/.exec(text)?.[1];
  const width = /\bWidth x(\d{1,2})\b/.exec(text)?.[1];
  return { speedMtps: Math.round(Number(speed ?? 0) * 1000), width: Number(width ?? 0) };
}

/** `current size: 64GB, supported: 64MB 128MB ...` of BAR `index`. */
export function resizableBarIn(index: number, text: string): ResizableBar | undefined {
  const match = /^current size: (\w+), supported:((?: \w+)+)/.exec(text);
  const size = sizeOf(match?.[1] ?? "");
  if (match === null || size === undefined) {
    return undefined;
  }
  const sizes = (match[2] ?? "").trim().split(" ").map(sizeOf);
  const sizesSupported = sizes.filter((each) => each !== undefined).sort((a, b) => a - b);
  return { index, size, sizesSupported };
}

/** `Initial VFs: 8, Total VFs: 8, Number of VFs: 4, ...` and `VF offset: 128, stride: 2, ...` */
export function readVirtualFunctions(text: string, draft: FunctionDraft): void {
  const count = /Number of VFs: (\d{1,5})/.exec(text)?.[1];
  const place = /VF offset: (\d{1,5}), stride: (\d{1,5})/.exec(text);
  draft.virtualFunctions = {
    ...draft.virtualFunctions,
    ...(count !== undefined && { count: Number(count) }),
    ...(place !== null && { firstOffset: Number(place[1]), stride: Number(place[2]) }),
  };
}
