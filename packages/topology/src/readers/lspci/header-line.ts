/**
 * Header line: the line that starts a function in a listing, in the dialects of lspci.
 *
 * `00:01.0 PCI bridge: Vendor Model (rev 02)`, with `-nn` `PCI bridge [0604]: Vendor Model [8086:340a]`, with
 * `-n` `0604: 8086:340a`, with `-mm` quoted words; `-D` adds the domain, `-PP` the bridges above.
 */
import { formatBdf, parseBdf } from "../../bdf.ts";
import { classOfName } from "../../names/class-names.ts";
import { vendorOfName } from "../../names/vendor-names.ts";
import type { FunctionDraft } from "./function-draft.ts";

const FUNCTION = "[0-9a-f]{2}:[01][0-9a-f]\\.[0-7]";
const SLOT = new RegExp(`^((?:[0-9a-f]{4,8}:)?${FUNCTION}(?:/${FUNCTION})*)(?:\\s+(\\S.*))?$`, "i");
/** `lspci -P`: bridges as device and function only, which hides the bus numbers. */
const BUSLESS_SLOT: RegExp = new RegExp(
  `^(?:[0-9a-f]{4,8}:)?${FUNCTION}(?:/[01][0-9a-f]\\.[0-7])+\\s`,
  "i",
);

export interface Slot {
  /** From the root bus down to the function itself; only the function where the form shows no path. */
  readonly path: readonly string[];
  /** What follows the address. */
  readonly rest: string;
}

/** The address at the start of a line without leading blanks, or undefined when it is no header. */
export function slotOf(text: string): Slot | undefined {
  const match = SLOT.exec(text);
  if (match === null) {
    return undefined;
  }
  const [, slots = "", rest = ""] = match;
  const [first = "", ...below] = slots.split("/");
  const top = parseBdf(first);
  const path = [first, ...below].map((slot) => parseBdf(slot));
  return {
    path: path.flatMap((bdf) =>
      bdf === undefined ? [] : [formatBdf({ ...bdf, domain: top?.domain ?? 0 })],
    ),
    rest: rest.trim(),
  };
}

export const isBuslessSlot = (text: string): boolean => BUSLESS_SLOT.test(text);

/** Characters of a model's name that are kept; the longest in the PCI id list has about 150. */
const NAME_CHARS_MAX = 200;

/** Single blanks only: what follows then takes time in proportion to the line. */
const singleSpaced = (text: string): string => text.replace(/\s+/g, " ").trim();

/** Fills in what the line says besides the address. */
export function readHeader(line: string, draft: FunctionDraft): void {
  const rest = singleSpaced(line);
  if (rest.startsWith('"')) {
    readQuoted(rest, draft);
    return;
  }
  const bare = withoutTail(rest, draft);
  const numbers = /^(?:Class )?([0-9a-f]{4}): ([0-9a-f]{4}):([0-9a-f]{4})$/i.exec(bare);
  if (numbers !== null) {
    setIds(draft, { kind: numbers[1], vendor: numbers[2], device: numbers[3] });
    return;
  }
  const both = /^(.+?) \[([0-9a-f]{4})\]: (.*)$/i.exec(bare);
  const [className = "", words = ""] = both === null ? cutOnce(bare, ": ") : [both[1], both[3]];
  setIds(draft, { kind: both?.[2] });
  draft.classKind ??= classOfName(className);
  readModel(words, draft);
}

/** Vendor and model, with `[vvvv:dddd]` at the end where `-nn` was given. */
export function readModel(line: string, draft: FunctionDraft): void {
  const words = singleSpaced(line);
  const match = /^(.*?)\s*\[([0-9a-f]{4}):([0-9a-f]{4})\]$/i.exec(words);
  const name = (match?.[1] ?? words).trim().slice(0, NAME_CHARS_MAX);
  setIds(draft, { vendor: match?.[2], device: match?.[3] });
  if (name === "") {
    return;
  }
  draft.modelName ??= name;
  // A model that lspci has no name for is printed as its number.
  const number = / Device ([0-9a-f]{4})$/i.exec(name)?.[1];
  const vendor = vendorOfName(name);
  if (match === null && vendor !== undefined) {
    setIds(draft, { vendor: vendor.toString(16), device: number });
  }
}

/** Takes `(rev 02)` and `(prog-if 02 [NVM Express])` off the end. */
function withoutTail(rest: string, draft: FunctionDraft): string {
  const tail = /(?:\s*\((?:rev|prog-if) [^()]*(?:\([^()]*\)[^()]*)*\))+\s*$/.exec(rest);
  const code = /\(prog-if ([0-9a-f]{2})/i.exec(tail?.[0] ?? "")?.[1];
  // A function that does not answer (asleep, or gone) reads as ones, which is no interface.
  if (code !== undefined && !/\(rev ff\)/i.test(tail?.[0] ?? "")) {
    draft.programmingInterface = Number.parseInt(code, 16);
  }
  return tail === null ? rest.trim() : rest.slice(0, tail.index).trim();
}

/** `"Host bridge [0600]" "Intel Corporation [8086]" "Model [29c0]" -r02 -p00 "..." "..."` */
function readQuoted(rest: string, draft: FunctionDraft): void {
  const words = Array.from(rest.matchAll(/"([^"]*)"/g), ([, word = ""]) => word);
  const [kind = "", vendor = "", device = ""] = words;
  readWords({ kind, vendor, device }, draft);
  const code = / -p([0-9a-f]{2})(?: |$)/i.exec(rest)?.[1];
  if (code !== undefined) {
    draft.programmingInterface = Number.parseInt(code, 16);
  }
}

/** Class, vendor and model as words, numbers, or words with their numbers in brackets. */
export function readWords(
  words: { readonly kind?: string; readonly vendor?: string; readonly device?: string },
  draft: FunctionDraft,
): void {
  const { kind = "", vendor = "", device = "" } = words;
  setIds(draft, { kind: numberIn(kind), vendor: numberIn(vendor), device: numberIn(device) });
  draft.classKind ??= classOfName(kind);
  draft.vendor ??= vendorOfName(vendor);
  if (device.startsWith("Device ")) {
    setIds(draft, { device: /^Device ([0-9a-f]{4})$/i.exec(device)?.[1] });
  }
  const name = [vendor, device].map(nameIn).filter((part) => part !== "");
  if (name.length > 0) {
    const parts = [draft.modelName, ...name].filter((part) => part !== undefined);
    draft.modelName = parts.join(" ").slice(0, NAME_CHARS_MAX);
  }
}

const numberIn = (word: string): string | undefined =>
  /^([0-9a-f]{4})$/i.exec(word)?.[1] ?? / ?\[([0-9a-f]{4})\]$/i.exec(word)?.[1];
const nameIn = (word: string): string =>
  /^[0-9a-f]{4}$/i.test(word) ? "" : word.replace(/ ?\[[0-9a-f]{4}\]$/i, "");

/** `ffff` is what a virtual function's own registers say, so it is no id (PCIe 9.3.4.1). */
function setIds(
  draft: FunctionDraft,
  ids: {
    readonly kind?: string | undefined;
    readonly vendor?: string | undefined;
    readonly device?: string | undefined;
  },
): void {
  if (ids.kind !== undefined) {
    draft.classKind ??= Number.parseInt(ids.kind, 16);
  }
  if (ids.vendor !== undefined && ids.vendor !== "ffff") {
    draft.vendor ??= Number.parseInt(ids.vendor, 16);
  }
  if (ids.device !== undefined && ids.device !== "ffff") {
    draft.device ??= Number.parseInt(ids.device, 16);
  }
}

function cutOnce(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + mark.length)];
}
