/**
 * Fabric table: what becomes of a peer write and a peer read when one thing on the way is different, as
 * docs/fabric.md has it. No cell is written by hand: `UPDATE_DOCS=1 npx vitest run test/fabric-table.test.ts`
 * writes them all anew.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { createModelledPlatform, type RequestAttributes } from "@peerbuf/machine";
import { ACS, PORT_TYPE } from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { type Bench, portOf, start } from "../packages/machine/test/route-bench.ts";
import { acs, barStart, bridge, switchTopology } from "../packages/machine/test/small-machines.ts";

const PAGE = new URL("../docs/fabric.md", import.meta.url);
const BEGIN = "<!-- table: begin -->";
const END = "<!-- table: end -->";

const REQUESTER = "0000:03:00.0";
const ITS_PORT = "0000:02:00.0";
const TARGET = "0000:04:00.0";
const TARGET_PORT = "0000:02:01.0";
const ROOT_PORT = "0000:00:01.0";

const ROLES: Readonly<Record<string, string>> = {
  [REQUESTER]: "requester",
  [ITS_PORT]: "requester's port",
  [TARGET]: "target",
  [TARGET_PORT]: "target's port",
  [ROOT_PORT]: "root port",
  "0000:05:00.0": "bearer of the id",
  "0000:06:00.0": "bearer of the id",
  iommu: "IOMMU",
};

interface Row {
  readonly what: string;
  readonly make?: Parameters<typeof switchTopology>[0];
  readonly machine?: Parameters<typeof start>[1];
  readonly change?: (bench: Bench) => void;
  readonly attributes?: RequestAttributes;
  /** The BAR of the target unless told otherwise. */
  readonly address?: number;
}

const PEER = barStart(4);
const BEHIND_OTHER_ROOT_PORT = barStart(6);
const FORGED: RequestAttributes = { requesterId: "0000:05:00.0" };
const ELSEWHERE: RequestAttributes = { requesterId: "0000:06:00.0" };
const TRANSLATED: RequestAttributes = { translated: true };
const NO_REPLY = { rootComplex: "none" } as const;

const ROWS: readonly Row[] = [
  { what: "nothing: below one switch" },
  { what: "nothing: target behind another root port", address: BEHIND_OTHER_ROOT_PORT },
  { what: "nobody claims the address, in the switch's window", address: PEER + 2 * 2 ** 20 },
  { what: "nobody claims the address, in the root complex", address: 2 ** 45 },
  {
    what: "Memory Space Enable of the target is clear",
    change: ({ machine }) => machine.setCommand(TARGET, { memory: false }),
  },
  {
    what: "Memory Space Enable of the target's port is clear",
    change: ({ machine }) => machine.setCommand(TARGET_PORT, { memory: false }),
  },
  {
    what: "Bus Master Enable of the requester is clear",
    change: ({ machine }) => machine.setCommand(REQUESTER, { busMaster: false }),
  },
  {
    what: "Bus Master Enable of the requester's port is clear",
    change: ({ machine }) => machine.setCommand(ITS_PORT, { busMaster: false }),
  },
  {
    what: "the target's card is pulled out",
    change: ({ machine }) => machine.surpriseRemove(TARGET),
  },
  {
    what: "the requester's card is pulled out",
    change: ({ machine }) => machine.surpriseRemove(REQUESTER),
  },
  { what: "a forged requester id, of another port's bus", attributes: FORGED },
  {
    what: "the same, with Source Validation (SV) at the requester's port",
    make: { [ITS_PORT]: acs(ACS.SV) },
    attributes: ELSEWHERE,
  },
  {
    what: "the root port's subordinate bus number is too low; target behind another root port",
    make: { [ROOT_PORT]: { ...bridge(ROOT_PORT, PORT_TYPE.ROOT_PORT, [1, 5]), subordinateBus: 2 } },
    address: BEHIND_OTHER_ROOT_PORT,
  },
  {
    what: "translated, with Translation Blocking (TB) at the requester's port",
    make: { [ITS_PORT]: acs(ACS.TB) },
    attributes: TRANSLATED,
  },
  {
    what: "Request Redirect (RR) at the requester's port, root complex forwards",
    make: { [ITS_PORT]: acs(ACS.RR) },
  },
  {
    what: "the same, root complex drops",
    make: { [ITS_PORT]: acs(ACS.RR) },
    machine: NO_REPLY,
  },
  {
    what: "the same, translated, with Direct Translated P2P (DT)",
    make: { [ITS_PORT]: acs(ACS.RR | ACS.DT) },
    machine: NO_REPLY,
    attributes: TRANSLATED,
  },
  {
    what: "RR at the requester's port, Upstream Forwarding (UF) clear at the root port",
    make: { [ITS_PORT]: acs(ACS.RR), [ROOT_PORT]: acs(0) },
  },
  { what: "RR at the target's port", make: { [TARGET_PORT]: acs(ACS.RR) }, machine: NO_REPLY },
  {
    what: "Egress Control (EC), the target's port in the vector",
    make: { [ITS_PORT]: acs(ACS.EC, Uint8Array.of(0b10)) },
  },
  {
    what: "the same, with RR",
    make: { [ITS_PORT]: acs(ACS.EC | ACS.RR, Uint8Array.of(0b10)) },
  },
  {
    what: "EC of the root port, another root port in the vector",
    make: { [ROOT_PORT]: acs(ACS.EC, Uint8Array.of(0b100)) },
    address: BEHIND_OTHER_ROOT_PORT,
  },
  {
    what: "Completion Redirect (CR) at the target's port, root complex drops",
    make: { [TARGET_PORT]: acs(ACS.CR) },
    machine: NO_REPLY,
  },
  {
    what: "the same, relaxed ordering",
    make: { [TARGET_PORT]: acs(ACS.CR) },
    machine: NO_REPLY,
    attributes: { relaxedOrdering: true },
  },
  ...(["writes-only", "none", "answers-ones"] as const).map((rootComplex) => ({
    what: `root complex "${rootComplex}", target behind another root port`,
    machine: { rootComplex },
    address: BEHIND_OTHER_ROOT_PORT,
  })),
  {
    what: "an IOMMU at work, nothing mapped, target behind another root port",
    change: ({ machine }) => void createModelledPlatform(machine, { dma: "iommu" }),
    address: BEHIND_OTHER_ROOT_PORT,
  },
  {
    what: "the same, translated, requester without ATS",
    change: ({ machine }) => void createModelledPlatform(machine, { dma: "iommu" }),
    attributes: TRANSLATED,
    address: BEHIND_OTHER_ROOT_PORT,
  },
];

const DATA = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

/** One access on a machine of its own: how it ended, where, and who logged what. */
function access(row: Row, kind: "read" | "write"): string {
  const bench = start(switchTopology(row.make), row.machine);
  row.change?.(bench);
  const { inspect } = bench.machine;
  const bytes = DATA.slice();
  const port = portOf(bench, REQUESTER).as(row.attributes ?? {});
  const { ok } = port[kind](row.address ?? PEER, bytes, 0, 8);
  const [fault] = inspect.recentFaults();
  if (fault === undefined) {
    return "arrives";
  }
  const lie = ok && kind === "read" ? "all ones, as if all were well: " : "";
  const logged = loggedBy(bench);
  return `${lie}\`${fault.reason}\` at the ${ROLES[fault.at] ?? fault.at}; ${logged === "" ? "logged by nobody" : logged}`;
}

function loggedBy({ machine }: Bench): string {
  return machine.topology.table.bdf
    .flatMap((bdf) => {
      const { status, uncorrectable, correctable } = machine.inspect.errors(bdf);
      const advisory = correctable.length > 0 ? " (advisory)" : "";
      const bits = [...uncorrectable.map((error) => `${error}${advisory}`), ...status];
      return bits.length === 0 ? [] : [`${ROLES[bdf] ?? bdf} logs ${bits.join(", ")}`];
    })
    .join("; ");
}

const tableRow = (row: Row): string =>
  `| ${row.what} | ${access(row, "write")} | ${access(row, "read")} |`;

describe("fabric table", () => {
  it("stands in docs/fabric.md as it comes out", () => {
    const table = ["| Different | Write | Read |", "|---|---|---|", ...ROWS.map(tableRow)].join(
      "\n",
    );
    const [before = "", rest = ""] = readFileSync(PAGE, "utf8").split(BEGIN);
    const after = rest.split(END)[1] ?? "";
    const made = `${before}${BEGIN}\n\n${table}\n\n${END}${after}`;
    if (process.env["UPDATE_DOCS"] === "1") {
      writeFileSync(PAGE, made);
    }

    expect(readFileSync(PAGE, "utf8"), "run it with UPDATE_DOCS=1").toBe(made);
  });
});
