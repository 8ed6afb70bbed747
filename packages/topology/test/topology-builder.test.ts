/** What a topology built in code answers, and what the builder refuses. */
import { InputError } from "@peerbuf/core";
import {
  buildTopology,
  DEPTH_MAX,
  type FunctionRecord,
  PORT_TYPE,
  type Topology,
} from "@peerbuf/topology";
import { describe, expect, it } from "vitest";

const rootPort: FunctionRecord = {
  bdf: "00:01.0",
  parent: null,
  portType: PORT_TYPE.ROOT_PORT,
  secondaryBus: 1,
  subordinateBus: 4,
};
const gpu: FunctionRecord = { bdf: "01:00.0", parent: "00:01.0", portType: PORT_TYPE.ENDPOINT };

/** The cause of the InputError that these records give, with the function it names. */
function refusal(...records: FunctionRecord[]): string {
  try {
    buildTopology("test machine", records);
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    const { problem } = error as InputError;
    expect(problem.source).toBe("test machine");
    expect(problem.remedy).not.toBe("");
    return `${problem.place}: ${problem.cause}`;
  }
  return "accepted";
}

describe("topology built in code", () => {
  const machine: Topology = buildTopology("test machine", [
    rootPort,
    gpu,
    { bdf: "00:00.0", parent: null, vendor: 0x8086, device: 0x09a2 },
    { bdf: "01:00.1", parent: "00:01.0", physicalFunction: "01:00.0" },
    { bdf: "02:00.0", parent: "00:01.0", physicalFunction: "01:00.0" },
    { bdf: "10000:00:02.0", secondaryBus: 1, subordinateBus: 1 },
    { bdf: "10000:01:00.0" },
  ]);

  it("finds a function by any spelling of its address", () => {
    expect(machine.indexOf("0000:01:00.0")).toBe(1);
    expect(machine.indexOf("1:0.0")).toBe(1);
    expect(machine.indexOf("10000:00:02.0")).toBe(5);
    expect(machine.indexOf("7f:00.0")).toBe(-1);
    expect(machine.indexOf("gpu")).toBe(-1);
  });

  it("suggests the nearest functions for an address that does not exist", () => {
    expect(() => machine.require("0000:01:00.2")).toThrow(
      /no such PCI function.*Near: 0000:01:00\.0/,
    );
    expect(() => machine.require("nonsense")).toThrow(/not a PCI address/);
  });

  it("keeps the order of records as the order of the bus, which names the host bridge", () => {
    expect([...machine.rootBusOf(1).functions].map((row) => machine.bdfOf(row))).toEqual([
      "0000:00:01.0",
      "0000:00:00.0",
    ]);
    expect(machine.rootBuses.map((bus) => bus.id)).toEqual(["0000:00", "10000:00"]);
  });

  it("lists what is below a bridge and which functions are no bridges", () => {
    expect([...machine.childrenOf(0)]).toEqual([1, 3, 4]);
    expect([...machine.endpoints]).toEqual([1, 2, 3, 4, 6]);
  });

  it("finds a bridge by its secondary bus when a record does not name its parent", () => {
    expect(machine.parentOf(6)).toBe(5);
  });

  it("stands a virtual function where its physical function stands", () => {
    expect(machine.upstreamOf(4)).toBe(0);
  });

  it("gives records from which the same machine can be built", () => {
    const again = buildTopology("test machine", machine.records());

    expect(again.records()).toEqual(machine.records());
    expect(again.table).toEqual(machine.table);
  });
});

describe("topology builder", () => {
  it.each<[string, FunctionRecord[], string]>([
    ["a BDF that is none", [{ bdf: "0:0" }], '0:0: "0:0" is not a PCI address'],
    [
      "a function given twice",
      [gpu, rootPort, { bdf: "1:0.0" }],
      "0000:01:00.0: this function is given twice",
    ],
    [
      "a child whose bridge is missing",
      [gpu],
      "0000:01:00.0: it sits below bridge 00:01.0, which is not there",
    ],
    [
      "a child below something that is no bridge",
      [gpu, rootPort, { bdf: "02:00.0", parent: "01:00.0" }],
      "0000:02:00.0: it sits below 0000:01:00.0, which is not a bridge",
    ],
    [
      "a child on another bus than its bridge has below",
      [rootPort, { bdf: "02:00.0", parent: "00:01.0" }],
      "0000:02:00.0: it is on bus 0000:02, but bridge 0000:00:01.0 above it has bus 0000:01 below",
    ],
    [
      "two bridges with one bus below",
      [rootPort, { ...rootPort, bdf: "00:02.0" }],
      "0000:00:02.0: bus 0000:01 below it is also below 0000:00:01.0",
    ],
    [
      "bridges side by side whose buses overlap",
      [rootPort, { ...rootPort, bdf: "00:02.0", secondaryBus: 4, subordinateBus: 5 }],
      "0000:00:02.0: the buses below it overlap those below 0000:00:01.0",
    ],
    [
      "a loop of buses",
      [
        { bdf: "01:00.0", parent: "02:00.0", secondaryBus: 2 },
        { bdf: "02:00.0", parent: "01:00.0", secondaryBus: 1 },
      ],
      "0000:01:00.0: it sits below itself: the buses form a loop",
    ],
    [
      "a virtual function without its physical function",
      [{ bdf: "01:00.1", physicalFunction: "01:00.0" }],
      "0000:01:00.1: it is a virtual function of 01:00.0, which is not there",
    ],
    [
      "a virtual function of a virtual function",
      [
        { bdf: "01:00.0" },
        { bdf: "01:00.1", physicalFunction: "01:00.0" },
        { bdf: "01:00.2", physicalFunction: "01:00.1" },
      ],
      "0000:01:00.2: its physical function 0000:01:00.1 is a virtual function itself",
    ],
    [
      "a bridge in another domain",
      [rootPort, { bdf: "1:01:00.0", parent: "00:01.0" }],
      "0001:01:00.0: it sits below 0000:00:01.0, which is in another domain",
    ],
    [
      "a number out of range",
      [{ bdf: "00:00.0", vendor: 0x10000 }],
      "0000:00:00.0: vendor is 65536, expected a whole number from 0 to 65535",
    ],
    [
      "a bridge whose buses below end before they begin",
      [{ ...rootPort, secondaryBus: 5, subordinateBus: 4 }],
      "0000:00:01.0: the last bus below it is 4, which comes before the first, 5",
    ],
    [
      "config space of an odd length",
      [{ bdf: "00:00.0", config: new Uint8Array(100) }],
      "0000:00:00.0: config space has 100 bytes, expected 64, 128, 256 or 4096",
    ],
    [
      "a BAR beyond exact numbers",
      [
        {
          bdf: "00:00.0",
          bars: [
            {
              index: 0,
              start: 2 ** 53 - 1,
              size: 2,
              kind: "memory",
              wide: true,
              prefetchable: true,
            },
          ],
        },
      ],
      "0000:00:00.0: BAR 0 does not lie within 0 to 2^53 - 1: start 9007199254740991, size 2",
    ],
  ])("refuses %s", (_, records, cause) => {
    expect(refusal(...records)).toBe(cause);
  });

  it("refuses bridges nested deeper than bus numbers reach", () => {
    const chain = Array.from(
      { length: DEPTH_MAX },
      (_, depth): FunctionRecord => ({
        bdf: `${depth.toString(16)}:00.0`,
        headerType: 1,
        parent: depth === 0 ? null : `${(depth - 1).toString(16)}:00.0`,
      }),
    );
    const last: FunctionRecord = { bdf: "ff:01.0", parent: "ff:00.0" };

    expect(buildTopology("deep", chain).count).toBe(DEPTH_MAX);
    expect(refusal(...chain, last)).toBe(
      `0000:ff:01.0: it is more than ${DEPTH_MAX} functions below its root bus`,
    );
  });

  it("accepts a machine without PCI functions", () => {
    expect(buildTopology("empty", []).count).toBe(0);
  });
});
