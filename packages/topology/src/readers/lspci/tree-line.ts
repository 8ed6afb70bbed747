/**
 * Tree line: one line of `lspci -t`, `-tv` or `-tvnn`, read by its columns.
 *
 * A fork keeps its column open for the lines below: `+-` goes on, `\-` is the last one. `[02-08]` behind a
 * device names the buses below it, `[0000:20]` at a fork a bus (a root bus, or one of several below a
 * bridge). A line cut within its name is whole; a line cut within its branches is refused, because
 * what hangs on the lost part would be drawn elsewhere.
 */
import { formatBdf, formatBus } from "../../bdf.ts";
import type { FunctionDraft } from "./function-draft.ts";
import { readModel } from "./header-line.ts";

const TAB_COLUMNS = 8;

/** The bus a branch is on and what is above it. */
interface BusPlace {
  readonly domain: number;
  readonly bus: number;
  /** The bridge above, null for a root bus. */
  readonly owner: string | null;
}

type Fork =
  | ({ readonly kind: "functions" } & BusPlace)
  | { readonly kind: "buses"; readonly owner: FunctionDraft | null };

/** What a tree tells of a function, and what is wrong with a line. */
export interface TreeTaker {
  /** The draft of a function drawn on this line. */
  readonly draft: (bdf: string, line: number) => FunctionDraft;
  readonly refuse: (line: number, cause: string) => Error;
}

export const isTreeLine = (text: string): boolean =>
  /^[ |\t]*(?:-\[[0-9a-f:]+\]-|-\+-\[|[+\\]-(?:[0-9a-f]{2}\.|\[))/i.test(text);

export class TreeReader {
  readonly #taker: TreeTaker;
  readonly #forks = new Map<number, Fork>();
  /** A function without anything behind it, and whether any has a name: in `-tv` every one has. */
  #namelessLine = 0;
  #hasNames = false;
  #text = "";
  #at = 0;
  #line = 0;

  constructor(taker: TreeTaker) {
    this.#taker = taker;
  }

  /** Reads one line for which `isTreeLine` holds. */
  read(text: string, line: number): void {
    this.#text = expandTabs(text).trimEnd();
    this.#line = line;
    this.#at = this.#text.search(/[^ |]/);
    if (this.#text[this.#at] === "-") {
      this.finish();
      this.#forks.clear();
      this.#hasNames = false;
      this.#namelessLine = 0;
      this.#at += 1;
      this.#busesOf(null);
    } else {
      this.#goOn();
    }
  }

  /** `+-` or `\-` below an open fork. */
  #goOn(): void {
    const column = this.#at;
    const fork = this.#forks.get(column);
    if (fork === undefined) {
      throw this.#refused(
        `the branch in column ${column + 1} hangs on nothing: a line above it was cut or is missing`,
      );
    }
    for (const open of this.#forks.keys()) {
      if (open > column || (open === column && this.#text[column] === "\\")) {
        this.#forks.delete(open);
      }
    }
    this.#at += 2;
    if (fork.kind === "buses") {
      this.#busInBrackets(fork.owner);
    } else {
      this.#function(fork);
    }
  }

  /** After the dash behind a bridge (or at the start, without owner): one bus, or a fork of buses. */
  #busesOf(owner: FunctionDraft | null): void {
    if (this.#text[this.#at] === "[") {
      this.#busInBrackets(owner);
    } else if (/^[+\\]-\[/.test(this.#text.slice(this.#at, this.#at + 3))) {
      this.#openFork({ kind: "buses", owner });
      this.#at += 2;
      this.#busInBrackets(owner);
    } else {
      throw this.#refused("expected a bus in brackets");
    }
  }

  #busInBrackets(owner: FunctionDraft | null): void {
    const match = this.#match(/\[(?:([0-9a-f]{4,8}):)?([0-9a-f]{2})\]-/iy);
    const domain = match?.[1] ?? (owner === null ? "0" : owner.bdf.split(":", 1)[0]);
    this.#functionsOn({
      domain: Number.parseInt(domain ?? "0", 16),
      bus: Number.parseInt(match?.[2] ?? "0", 16),
      owner: owner?.bdf ?? null,
    });
  }

  /** A single function behind `--`, a fork of them, or an empty bus. */
  #functionsOn(place: BusPlace): void {
    const rest = this.#text.slice(this.#at, this.#at + 2);
    if (rest === "") {
      return;
    }
    if (rest === "+-" || rest === "\\-") {
      this.#openFork({ kind: "functions", ...place });
    } else if (rest !== "--") {
      throw this.#refused(`expected a function in column ${this.#at + 1}`);
    }
    this.#at += 2;
    this.#function(place);
  }

  #function({ domain, bus, owner }: BusPlace): void {
    const match = this.#match(/([01][0-9a-f])\.([0-7])/iy);
    const devfn = Number.parseInt(match[1] ?? "", 16) * 8 + Number(match[2]);
    const draft = this.#taker.draft(formatBdf({ domain, bus, devfn }), this.#line);
    this.#setParent(draft, owner);
    const below = this.#tryMatch(/-\[(?:[0-9a-f]{4,8}:)?([0-9a-f]{2})(?:-([0-9a-f]{2}))?\]-/iy);
    if (below !== undefined) {
      this.#bridge(draft, domain, below[1] ?? "", below[2]);
      return;
    }
    const name = this.#text.slice(this.#at);
    if (name !== "" && !name.startsWith("  ")) {
      throw this.#refused(`"${name.slice(0, 20)}" behind a function is neither a bus nor a name`);
    }
    this.#hasNames ||= name !== "";
    this.#namelessLine ||= name === "" ? this.#line : 0;
    readTreeName(name.trim(), draft);
  }

  /** To be called after the last line. @throws when a line was cut at the end of a function */
  finish(): void {
    if (this.#hasNames && this.#namelessLine > 0) {
      const cause =
        "the line is cut behind a function: every other one has a name or buses behind it";
      throw this.#taker.refuse(this.#namelessLine, cause);
    }
  }

  #setParent(draft: FunctionDraft, owner: string | null): void {
    if (draft.parent !== undefined && draft.parent !== owner) {
      throw this.#refused(
        `${draft.bdf} is below ${owner ?? "a root bus"} here, and below ${draft.parent ?? "a root bus"} before`,
      );
    }
    draft.parent = owner;
  }

  /** `-[02-08]-`: then a dash, and what is on bus 02 or on several buses. */
  #bridge(draft: FunctionDraft, domain: number, first: string, last = first): void {
    const secondary = Number.parseInt(first, 16);
    const subordinate = Number.parseInt(last, 16);
    const other = draft.secondaryBus;
    if (other !== undefined && other !== secondary) {
      throw this.#refused(
        `bus ${formatBus(domain, secondary)} is below ${draft.bdf} here, bus ${formatBus(domain, other)} before`,
      );
    }
    draft.isBridge = true;
    draft.secondaryBus = secondary;
    draft.subordinateBus = subordinate;
    this.#match(/-/y);
    if (/^[+\\]-\[/.test(this.#text.slice(this.#at, this.#at + 3))) {
      this.#busesOf(draft);
    } else {
      this.#functionsOn({ domain, bus: secondary, owner: draft.bdf });
    }
  }

  #openFork(fork: Fork): void {
    if (this.#text[this.#at] === "+") {
      this.#forks.set(this.#at, fork);
    }
  }

  #tryMatch(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    this.#at += match?.[0].length ?? 0;
    return match ?? undefined;
  }

  #match(pattern: RegExp): RegExpExecArray {
    const match = this.#tryMatch(pattern);
    if (match === undefined) {
      throw this.#refused(`the line is cut or damaged at column ${this.#at + 1}`);
    }
    return match;
  }

  #refused(cause: string): Error {
    return this.#taker.refuse(this.#line, cause);
  }
}

/** `Vendor Model`, `Vendor Model [8086:29c0]` or `8086:29c0`. */
function readTreeName(name: string, draft: FunctionDraft): void {
  const ids = /^([0-9a-f]{4}):([0-9a-f]{4})$/i.exec(name);
  readModel(ids === null ? name : `[${name}]`, draft);
}

function expandTabs(text: string): string {
  let out = "";
  for (const part of text.split(/(\t)/)) {
    out += part === "\t" ? " ".repeat(TAB_COLUMNS - (out.length % TAB_COLUMNS)) : part;
  }
  return out;
}
