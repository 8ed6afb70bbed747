/** What each function has logged of requests that went wrong, as its registers would show it. */
import { createMachine, createModelledPlatform, type FunctionErrors } from "@peerbuf/machine";
import { ACS } from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import { type Bench, DATA, portOf, start } from "./route-bench.ts";
import { acs, barStart, configOf, MemoryDevice, MIB, switchTopology } from "./small-machines.ts";

const CLIENT = "0000:03:00.0";
const PORT = "0000:02:00.0";
const HOLE = barStart(4) + 2 * MIB;
const CLEAN: FunctionErrors = {
  status: [],
  deviceStatus: [],
  uncorrectable: [],
  correctable: [],
  firstError: undefined,
  headerLog: [],
};

const read = (bench: Bench, address: number, attributes = {}) =>
  portOf(bench, CLIENT).as(attributes).read(address, new Uint8Array(8), 0, 8);
const write = (bench: Bench, address: number, attributes = {}) =>
  portOf(bench, CLIENT).as(attributes).write(address, DATA, 0, 8);

/** Functions that logged anything. */
const loggers = ({ machine }: Bench): string[] =>
  machine.topology.table.bdf.filter((bdf) => {
    const { status, deviceStatus, uncorrectable } = machine.inspect.errors(bdf);
    return status.length + deviceStatus.length + uncorrectable.length > 0;
  });

describe("an unsupported request", () => {
  it("posted: the port where nobody answered logs a non-fatal error with the header; nobody else hears of it", () => {
    const bench = start(switchTopology());

    write(bench, HOLE);

    expect(loggers(bench)).toEqual(["0000:02:01.0"]);
    expect(bench.machine.inspect.errors("0000:02:01.0")).toEqual({
      ...CLEAN,
      deviceStatus: ["non-fatal", "unsupported-request"],
      uncorrectable: ["UNSUPPORTED_REQUEST"],
      firstError: "UNSUPPORTED_REQUEST",
      // MWr, 2 double words; requester 03:00.0, all bytes; address.
      headerLog: [0x4000_0002, 0x0300_00ff, HOLE, 0],
    });
  });

  it("not posted: an advisory error there, and the requester's completion is a master abort", () => {
    const bench = start(switchTopology());

    read(bench, HOLE);

    expect(bench.machine.inspect.errors("0000:02:01.0")).toMatchObject({
      deviceStatus: ["correctable", "unsupported-request"],
      correctable: ["ADVISORY_NON_FATAL"],
      headerLog: [0x0000_0002, 0x0300_00ff, HOLE, 0],
    });
    expect(bench.machine.inspect.errors(CLIENT)).toEqual({
      ...CLEAN,
      status: ["received-master-abort"],
    });
  });

  it("in the root complex is logged by the root port it came through", () => {
    const bench = start(switchTopology());

    write(bench, 2 ** 45 + 6, { relaxedOrdering: true, noSnoop: true, idOrdering: true });

    expect(loggers(bench)).toEqual(["0000:00:01.0"]);
    // Four double words of header; bytes 2 and 3 of the first and 0 and 1 of the third.
    expect(bench.machine.inspect.errors("0000:00:01.0").headerLog).toEqual([
      0x6004_3003, 0x0300_003c, 0x2000, 0x4,
    ]);
  });

  it("at a function whose memory is off is logged by that function, also for the processors", () => {
    const bench = start(switchTopology());
    bench.machine.setCommand("0000:04:00.0", { memory: false });

    bench.machine.fabric.read(
      bench.machine.fabric.processors,
      barStart(4),
      new Uint8Array(4),
      0,
      4,
    );

    expect(loggers(bench)).toEqual(["0000:04:00.0"]);
    expect(bench.machine.inspect.errors("0000:04:00.0")).toMatchObject({
      firstError: "UNSUPPORTED_REQUEST",
      headerLog: [0x0000_0001, 0x0000_000f, barStart(4), 0],
    });
  });
});

describe("an ACS violation", () => {
  it("is logged by the port that blocked; a read ends as a completer abort", () => {
    const bench = start(switchTopology({ [PORT]: acs(ACS.TB) }));

    read(bench, barStart(4), { translated: true });

    expect(loggers(bench)).toEqual([PORT, CLIENT]);
    expect(bench.machine.inspect.errors(PORT)).toEqual({
      status: ["signaled-target-abort"],
      deviceStatus: ["correctable"],
      uncorrectable: ["ACS_VIOLATION"],
      correctable: ["ADVISORY_NON_FATAL"],
      firstError: "ACS_VIOLATION",
      headerLog: [0x0000_0802, 0x0300_00ff, barStart(4), 0],
    });
    expect(bench.machine.inspect.errors(CLIENT).status).toEqual(["received-target-abort"]);
  });

  it("of a write is told to nobody but the port", () => {
    const bench = start(switchTopology({ [PORT]: acs(ACS.SV) }));

    write(bench, barStart(4), { requesterId: "0000:06:00.0" });

    expect(loggers(bench)).toEqual([PORT]);
    expect(bench.machine.inspect.errors(PORT).headerLog[1]).toBe(0x0600_00ff);
  });
});

describe("a completer abort", () => {
  it("is how a function refuses what it does not take: a register read of two bytes, say", () => {
    const machine = createMachine({ topology: switchTopology() });
    const written: number[] = [];
    machine.place("0000:04:00.0", {
      name: "strict",
      connect: () =>
        new Map([
          [
            0,
            {
              kind: "registers",
              read: () => 7,
              write: (_offset, _size, value) => void written.push(value),
              accepts: (offset, lengthBytes) => offset % 4 === 0 && lengthBytes === 4,
            },
          ],
        ]),
      reset: () => undefined,
    });
    const client = new MemoryDevice();
    machine.place(CLIENT, client);
    const found = new Uint8Array(4);

    expect(client.port.read(barStart(4), found, 0, 2)).toEqual({ ok: false, lostBytes: 2 });
    expect([...found]).toEqual([0xff, 0xff, 0, 0]);
    client.port.write(barStart(4) + 2, DATA, 0, 4);
    expect(written).toEqual([]);
    expect(machine.inspect.recentFaults()[0]).toMatchObject({
      reason: "COMPLETER_ABORT",
      at: "0000:04:00.0",
    });
    expect(machine.inspect.errors("0000:04:00.0")).toMatchObject({
      status: ["signaled-target-abort"],
      deviceStatus: ["correctable", "non-fatal"],
      uncorrectable: ["COMPLETER_ABORT"],
      headerLog: [1, 0x0300_0003, barStart(4), 0],
    });
    expect(machine.inspect.errors(CLIENT).status).toEqual(["received-target-abort"]);
    expect(client.port.read(barStart(4), found, 0, 4).ok).toBe(true);
  });
});

describe("a completion that goes astray", () => {
  it("also when it says no: the abort reaches the bearer of the forged id, who did not ask", () => {
    const bench = start(switchTopology({ [PORT]: acs(ACS.SV) }));

    read(bench, barStart(4), { requesterId: "0000:06:00.0" });

    expect(loggers(bench)).toEqual([PORT, CLIENT, "0000:06:00.0"]);
    expect(bench.machine.inspect.errors(CLIENT).uncorrectable).toEqual(["COMPLETION_TIMEOUT"]);
    expect(bench.machine.inspect.errors("0000:06:00.0")).toMatchObject({
      status: [],
      uncorrectable: ["UNEXPECTED_COMPLETION"],
    });
  });

  it("times out at who asked, and is unexpected at who did not", () => {
    const bench = start(switchTopology());

    read(bench, barStart(4), { requesterId: "0000:05:00.0" });

    expect(bench.machine.inspect.errors(CLIENT)).toMatchObject({
      uncorrectable: ["COMPLETION_TIMEOUT"],
      deviceStatus: ["non-fatal"],
      headerLog: [],
    });
    expect(bench.machine.inspect.errors("0000:05:00.0")).toMatchObject({
      uncorrectable: ["UNEXPECTED_COMPLETION"],
      deviceStatus: ["correctable"],
    });
  });

  it("dropped by the root complex times out at who asked", () => {
    const topology = switchTopology({ "0000:02:01.0": acs(ACS.CR) });
    const bench = start(topology, { rootComplex: "none" });

    read(bench, barStart(4));

    expect(loggers(bench)).toEqual([CLIENT]);
  });
});

describe("nobody logs anything", () => {
  it.each(["writes-only", "none", "answers-ones"] as const)(
    "when a root complex drops peer requests: %s",
    (rootComplex) => {
      const bench = start(switchTopology(), { rootComplex });

      read(bench, barStart(6));
      write(bench, barStart(6));

      expect(bench.machine.inspect.faultCount).toBe(rootComplex === "writes-only" ? 1 : 2);
      expect(loggers(bench)).toEqual([]);
    },
  );

  it("when the request never left: no bus mastering, or the guard kept it", () => {
    const bench = start(switchTopology());
    const platform = createModelledPlatform(bench.machine);
    write(bench, 2 * MIB);
    platform.close();
    bench.machine.setCommand(CLIENT, { busMaster: false });
    write(bench, 2 * MIB);

    const reasons = bench.machine.inspect.recentFaults().map(({ reason }) => reason);
    expect(reasons).toEqual(["NOT_MAPPED", "BUS_MASTER_OFF"]);
    expect(loggers(bench)).toEqual([]);
  });
});

describe("a root complex that answers ones", () => {
  it("lets a read succeed with all ones; the machine counts it as lost all the same", () => {
    const bench = start(switchTopology(), { rootComplex: "answers-ones" });
    const found = new Uint8Array(8);

    const completion = portOf(bench, CLIENT).read(barStart(6), found, 0, 8);

    expect(completion.ok).toBe(true);
    expect(found).toEqual(new Uint8Array(8).fill(0xff));
    expect(bench.machine.inspect.traffic(CLIENT).lostBytes).toBe(8);
  });
});

describe("the registers", () => {
  it("keep the header of the first error until they are cleared", () => {
    const bench = start(switchTopology());
    write(bench, HOLE);
    write(bench, HOLE + 0x1000);
    const first = bench.machine.inspect.errors("0000:02:01.0").headerLog;

    bench.machine.inspect.clearErrors("0000:02:01.0");
    const cleared = bench.machine.inspect.errors("0000:02:01.0");
    write(bench, HOLE + 0x1000);

    expect(first[2]).toBe(HOLE);
    expect(cleared).toEqual(CLEAN);
    expect(bench.machine.inspect.errors("0000:02:01.0").headerLog[2]).toBe(HOLE + 0x1000);
  });

  it("of a function without AER are Status and Device Status alone", () => {
    const bench = start(switchTopology({ "0000:02:01.0": { config: configOf() } }));

    write(bench, HOLE);

    expect(bench.machine.inspect.errors("0000:02:01.0")).toEqual({
      ...CLEAN,
      deviceStatus: ["non-fatal", "unsupported-request"],
    });
  });

  it("log the first packet of a long request, as large as the function sends them", () => {
    const config = configOf({ extended: [0x0001] });
    // Max Payload Size 256, Max Read Request Size 1024.
    config[0x48] = 0x20;
    config[0x49] = 0x30;
    const header = (request: (bench: Bench) => void): readonly number[] => {
      const bench = start(switchTopology({ [CLIENT]: { config } }));
      request(bench);
      return bench.machine.inspect.errors("0000:02:01.0").headerLog;
    };
    const bytes = new Uint8Array(8192);

    expect(header((bench) => portOf(bench, CLIENT).write(HOLE, bytes, 0, 8192))[0]).toBe(
      0x4000_0040,
    );
    expect(header((bench) => portOf(bench, CLIENT).read(HOLE, bytes, 0, 8192))[0]).toBe(
      0x0000_0100,
    );
  });
});
