/**
 * Hangs on: the facts on which an unknown verdict hangs, and what it would be either way.
 *
 * Each open fact is settled in turn, with the others left open, and the answers that then remain
 * possible are listed. A fact that changes nothing whichever way it is settled is not named. The
 * answers follow the same order as `judgePair`: a common bridge, redirects below it, then the CPU or
 * the host bridges.
 */
import type { PathType } from "@peerbuf/core";
import type { FactName } from "../missing-fact.ts";
import { type Answer, type HostBridge, passAnswer } from "./host-bridge.ts";

/** Facts a verdict can hang on; `kernel-table` is a fact about the kernel and not about the machine. */
export type HangFact =
  | Extract<FactName, "acs" | "bridges" | "cpu" | "host-bridge" | "port-types">
  | "kernel-table";

/** The answers that remain possible once a fact is settled. */
export interface HangOutcome {
  /** How the fact is settled, e.g. `redirect off`. */
  readonly value: string;
  /** At least one; one alone is the verdict. */
  readonly types: readonly PathType[];
}

export interface Hang {
  readonly fact: HangFact;
  /** BDF or root bus (`dddd:bb`) it is about; left out when it concerns the machine or the whole path. */
  readonly at?: string;
  readonly outcomes: readonly HangOutcome[];
  /** `if 0000:01:00.0 has ACS redirect off: bus-addr, else host-bridge`. */
  readonly text: string;
}

/** What is known of one pair, before a verdict. */
export interface OpenPair {
  /** Is there a function above both? */
  readonly common: Answer;
  /** Does any function on the way redirect? */
  readonly redirects: Answer;
  /** BDFs of the functions whose ACS control was not captured. */
  readonly unread: readonly string[];
  readonly cpu: Answer;
  /** One, or the provider's and the client's. */
  readonly bridges: readonly HostBridge[];
  readonly formatName: string;
  /** Does the capture show which root bus, and so which host bridge, a function is below? */
  readonly rootsAreKnown: boolean;
  /** BDF of a bridge above both, when bridges below it may be missing from the capture. */
  readonly hiddenBelow?: string;
}

/** Every fact that could settle the pair, in the order in which the kernel asks. Empty when it is settled. */
export function hangsOn(open: OpenPair): Hang[] {
  const possible = possibleTypes(open);
  if (possible.length === 1) {
    return [];
  }
  return [
    ...bridgesHang(open),
    ...acsHangs(open),
    ...cpuHang(open),
    ...hostBridgeHangs(open),
  ].filter(({ outcomes }) => outcomes.some(({ types }) => types.length < possible.length));
}

/** Answers that some completion of the open facts gives, best first. */
function possibleTypes({ common, redirects, cpu, bridges }: OpenPair): PathType[] {
  const through = throughRoot(passAnswer(cpu, listAnswer(bridges)));
  if (common === "no" || (common === "yes" && redirects === "yes")) {
    return through;
  }
  const isTurning = common === "yes" && redirects === "no";
  return isTurning ? ["bus-addr"] : ["bus-addr", ...through];
}

function throughRoot(pass: Answer): PathType[] {
  if (pass === "unknown") {
    return ["host-bridge", "unsupported"];
  }
  return [pass === "yes" ? "host-bridge" : "unsupported"];
}

function listAnswer(bridges: readonly HostBridge[]): Answer {
  const answers = bridges.map((bridge) =>
    bridges.length === 1 ? bridge.alone : bridge.withOthers,
  );
  if (answers.includes("no")) {
    return "no";
  }
  return answers.includes("unknown") ? "unknown" : "yes";
}

function bridgesHang(open: OpenPair): Hang[] {
  if (open.common !== "unknown") {
    return [];
  }
  const below: HangOutcome = {
    value: "a bridge above both, no redirect",
    types: ["bus-addr"],
  };
  const above: HangOutcome = {
    value: "otherwise",
    types: possibleTypes({ ...open, common: "no" }),
  };
  const text = `if a bridge that ${open.formatName} does not show is above both and nothing below it redirects: bus-addr, else ${orList(above.types)}`;
  return [{ fact: "bridges", outcomes: [below, above], text }];
}

/** Where bridges may be hidden, no single one decides: all on the way must be read. */
function hiddenHang({ cpu, bridges, formatName }: OpenPair, at: string): Hang {
  const on = throughRoot(passAnswer(cpu, listAnswer(bridges)));
  return {
    fact: "acs",
    at,
    outcomes: [
      { value: "redirect off", types: ["bus-addr"] },
      { value: "redirect on", types: on },
    ],
    text: `if no function below ${at} on the way redirects, nor a bridge there that ${formatName} does not show: bus-addr, else ${orList(on)}`,
  };
}

function acsHangs(open: OpenPair): Hang[] {
  if (open.hiddenBelow !== undefined) {
    return [hiddenHang(open, open.hiddenBelow)];
  }
  if (open.common === "no" || open.redirects !== "unknown") {
    return [];
  }
  return open.unread.map((at) => {
    const others = open.unread.length > 1 ? "unknown" : "no";
    const off = possibleTypes({ ...open, redirects: others });
    const on = possibleTypes({ ...open, redirects: "yes" });
    const text = `if ${at} has ACS redirect off: ${orList(off)}, else ${orList(on)}`;
    return {
      fact: "acs",
      at,
      outcomes: [
        { value: "redirect off", types: off },
        { value: "redirect on", types: on },
      ],
      text,
    };
  });
}

function cpuHang(open: OpenPair): Hang[] {
  if (open.cpu !== "unknown") {
    return [];
  }
  const yes = possibleTypes({ ...open, cpu: "yes" });
  const no = possibleTypes({ ...open, cpu: "no" });
  const text = `if the CPU passes peer traffic whatever the host bridge: ${orList(yes)}, else ${orList(no)}`;
  return [
    {
      fact: "cpu",
      outcomes: [
        { value: "accepted CPU", types: yes },
        { value: "other CPU", types: no },
      ],
      text,
    },
  ];
}

const HOST_BRIDGE_FACTS: Readonly<Record<string, HangFact>> = {
  HOST_BRIDGE_ID_UNKNOWN: "host-bridge",
  HOST_BRIDGE_KIND_UNKNOWN: "port-types",
  HOST_BRIDGE_UNVERIFIED: "kernel-table",
};

function hostBridgeHangs(open: OpenPair): Hang[] {
  return open.bridges.slice(0, open.rootsAreKnown ? 2 : 1).flatMap((bridge) => {
    const fact = HOST_BRIDGE_FACTS[bridge.reason.code];
    if (fact === undefined || listAnswer([bridge]) !== "unknown") {
      return [];
    }
    const settled = (answer: Answer): PathType[] =>
      possibleTypes({
        ...open,
        bridges: open.bridges.map((each) =>
          each === bridge || !open.rootsAreKnown
            ? { ...each, alone: answer, withOthers: answer }
            : each,
        ),
      });
    const [yes, no] = [settled("yes"), settled("no")];
    // Where a capture does not show host bridges, the bus at its top is not one to be named.
    const name = open.rootsAreKnown
      ? `host bridge ${bridge.root.id}`
      : "the host bridge above them";
    const at = bridge.reason.at ?? (open.rootsAreKnown ? bridge.root.id : undefined);
    const text = `if the kernel's table accepts ${name} for this: ${orList(yes)}, else ${orList(no)}`;
    const outcomes = [
      { value: "accepted", types: yes },
      { value: "not accepted", types: no },
    ];
    return [{ fact, ...(at !== undefined && { at }), outcomes, text }];
  });
}

const orList = (types: readonly PathType[]): string => types.join(" or ");
