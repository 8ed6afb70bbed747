/**
 * Listing: the lines of an lspci text, put together function by function.
 *
 * Takes lines in any of lspci's forms, mixed in one file, with whatever people paste around them. A
 * long line that a mail program wrapped is put together again. What a later part says of a function
 * completes what an earlier part said; the two must not contradict each other.
 */
import { InputError } from "@peerbuf/core";
import { FUNCTION_COUNT_MAX } from "../../topology-builder.ts";
import { acsRegister } from "./capability-line.ts";
import { type BlockPlace, readDetail, startsDetail } from "./detail-line.ts";
import { draftAt, type FunctionDraft } from "./function-draft.ts";
import { isBuslessSlot, readHeader, type Slot, slotOf } from "./header-line.ts";
import { ConfigRows, hexRowStart } from "./hex-row.ts";
import { completeDraft } from "./second-listing.ts";
import { LINE_CHARS_MAX } from "./text-lines.ts";
import { isTreeLine, TreeReader } from "./tree-line.ts";

/** A block of lines about one function. */
interface Block {
  readonly draft: FunctionDraft;
  readonly place: BlockPlace;
  /** The line being put together: header or detail, without leading blanks. */
  pending: string;
  isHeaderPending: boolean;
  readonly headerRest: string;
  /** A blank line was the last one. */
  isClosed: boolean;
  /** Details followed a blank line: then blank lines end nothing (text pasted with doubled line ends). */
  isLoose: boolean;
}

export class LspciListing {
  readonly source: string;
  readonly #drafts = new Map<string, FunctionDraft>();
  readonly #tree: TreeReader;
  #block: Block | undefined;
  /** ACS control registers of nobody knows which function. */
  #loneAcs: number[] = [];

  constructor(source: string) {
    this.source = source;
    this.#tree = new TreeReader({
      draft: (bdf, line) => this.#draftOf(bdf, line),
      refuse: (line, cause) => this.refused(line, cause),
    });
  }

  /** Takes the next line of the file, cleaned. */
  take(line: string, number: number): void {
    let at = 0;
    while (line.charCodeAt(at) === 0x20 || line.charCodeAt(at) === 0x09) {
      at += 1;
    }
    const rowStart = hexRowStart(line, at);
    if (rowStart >= 0) {
      this.#takeRow(line, at, rowStart);
    } else if (at === line.length) {
      this.#takeBlank();
    } else {
      this.#takeText(line, at, number);
    }
  }

  /** The functions, after the last line, in the order of the file; none when there are only ACS lines. */
  finish(): FunctionDraft[] {
    this.#endBlock(false);
    this.#tree.finish();
    if (this.#drafts.size === 0 && this.#loneAcs.length === 0) {
      throw new InputError({
        source: this.source,
        cause: "there are no PCI functions in it",
        remedy: "Capture with sudo lspci -Dvvvxxxx -nn > lspci.txt",
      });
    }
    return [...this.#drafts.values()];
  }

  /**
   * What the ACS control lines outside any function say (`lspci -vvv | grep ACSCtl`), undefined without
   * any: how many there are, and how many redirect; never of which function.
   */
  get loneAcs(): { readonly count: number; readonly redirecting: number } | undefined {
    const count = this.#loneAcs.length;
    // Redirect and egress control, as the kernel counts them (p2pdma.c pci_bridge_has_acs_redir, 6.12).
    const redirecting = this.#loneAcs.filter((control) => (control & 0x2c) !== 0).length;
    return count === 0 ? undefined : { count, redirecting };
  }

  refused(line: number, cause: string): InputError {
    return new InputError({
      source: this.source,
      place: `line ${line}`,
      cause,
      remedy: "Capture again with sudo lspci -Dvvvxxxx -nn > lspci.txt, and send the file as it is",
    });
  }

  #takeRow(line: string, at: number, start: number): void {
    const block = this.#block;
    if (block !== undefined) {
      this.#flush(block);
      block.draft.isFinished = true;
      block.draft.rows ??= new ConfigRows();
      block.draft.rows.add(line, at, start);
    }
  }

  #takeBlank(): void {
    if (this.#block !== undefined) {
      this.#flush(this.#block);
      this.#block.isClosed = true;
    }
  }

  #takeText(line: string, at: number, number: number): void {
    const text = line.slice(at).trimEnd();
    const slot = slotOf(text) ?? slotOfRecord(text);
    if (slot !== undefined) {
      this.#startBlock(slot, number);
    } else if (isTreeLine(line)) {
      this.#endBlock(true);
      this.#tree.read(line, number);
    } else if (isBuslessSlot(text)) {
      throw this.refused(number, "lspci -P leaves the bus numbers out (lspci -PP prints them)");
    } else if (this.#block === undefined) {
      this.#takeLone(text);
    } else {
      this.#takeDetail(this.#block, text, at === 0);
    }
  }

  #startBlock({ path, rest }: Slot, number: number): void {
    this.#endBlock(true);
    const draft = draftAt(path.at(-1) ?? "", number);
    if (path.length > 1) {
      draft.parent = path.at(-2);
      this.#placePath(path, number);
    }
    this.#block = {
      draft,
      place: { capability: "" },
      pending: "",
      isHeaderPending: true,
      headerRest: rest,
      isClosed: false,
      isLoose: false,
    };
  }

  /** The bridges of a `-PP` path: each is below the one before, the first on a root bus. */
  #placePath(path: readonly string[], number: number): void {
    path.slice(0, -1).forEach((bdf, depth) => {
      const bridge = this.#draftOf(bdf, number);
      const above = depth === 0 ? null : path[depth - 1];
      if (bridge.parent !== undefined && bridge.parent !== above) {
        throw this.refused(number, `${bdf} is below another bridge than in an earlier line`);
      }
      bridge.isBridge = true;
      bridge.parent = above;
    });
  }

  #takeDetail(block: Block, text: string, isAtMargin: boolean): void {
    // Mail programs wrap at a blank and start the rest at the margin, where no detail starts.
    const isRest = isAtMargin && !block.isClosed && !startsDetail(text);
    if (isRest) {
      block.pending += block.pending.length < LINE_CHARS_MAX ? ` ${text}` : "";
      return;
    }
    this.#flush(block);
    block.pending = text;
    block.isLoose ||= block.isClosed;
    block.isClosed = false;
  }

  /** Reads the line that was put together. */
  #flush(block: Block): void {
    if (block.isHeaderPending) {
      readHeader(`${block.headerRest}${block.pending}`, block.draft);
      block.isHeaderPending = false;
    } else if (block.pending !== "") {
      readDetail(block.pending, block.draft, block.place);
    }
    block.pending = "";
  }

  /** @param isFollowed something follows, so the end of the block was not cut off */
  #endBlock(isFollowed: boolean): void {
    const block = this.#block;
    this.#block = undefined;
    if (block === undefined) {
      return;
    }
    this.#flush(block);
    const { draft } = block;
    draft.isFinished ||= isFollowed || (block.isClosed && !block.isLoose);
    draft.hasAllCapabilities = showsAll(draft);
    const known = this.#drafts.get(draft.bdf);
    if (known === undefined) {
      this.#add(draft);
    } else {
      completeDraft(known, draft, (cause) => this.refused(draft.line, cause));
    }
  }

  #draftOf(bdf: string, line: number): FunctionDraft {
    return this.#drafts.get(bdf) ?? this.#add(draftAt(bdf, line));
  }

  #add(draft: FunctionDraft): FunctionDraft {
    if (this.#drafts.size >= FUNCTION_COUNT_MAX) {
      throw this.refused(draft.line, `there are more than ${FUNCTION_COUNT_MAX} functions`);
    }
    this.#drafts.set(draft.bdf, draft);
    return draft;
  }

  /** A line outside any function: only an ACS register says something, of which nobody knows whose it is. */
  #takeLone(text: string): void {
    const control = text.startsWith("ACSCtl:") ? acsRegister(text) : undefined;
    if (control !== undefined && this.#loneAcs.length < FUNCTION_COUNT_MAX) {
      this.#loneAcs.push(control);
    }
  }
}

/** True when no capability can be missing: the block starts and ends as lspci prints it, and nothing was denied. */
const showsAll = ({
  isDetailed,
  isFinished,
  capabilities,
  hasCapabilityList,
}: FunctionDraft): boolean =>
  isDetailed &&
  isFinished &&
  (capabilities === "no" ? hasCapabilityList !== true : capabilities === "shown");

/** `Slot:	0000:00:1f.0` starts a record of `lspci -vmm`; what it says follows line by line. */
function slotOfRecord(text: string): Slot | undefined {
  const slot = /^Slot:\s+(\S+)$/.exec(text)?.[1];
  return slot === undefined ? undefined : slotOf(slot);
}
