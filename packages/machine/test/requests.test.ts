/** Requests that are more than an address: whose id they bear, what their header says, and how answers find back. */
import { PhysicalRanges, physicalAddress, UNLIMITED } from "@peerbuf/core";
import { createModelledPlatform, type RequestAttributes } from "@peerbuf/machine";
import { ACS, PORT_TYPE } from "@peerbuf/topology";
import { describe, expect, it } from "vitest";
import {
  type Bench,
  BOTH,
  DATA,
  NONE,
  ONES,
  portOf,
  start,
  tryAs,
  wayBack,
} from "./route-bench.ts";
import {
  acs,
  atsConfig,
  barStart,
  bridge,
  endpoint,
  MIB,
  switchTopology,
} from "./small-machines.ts";

const REQUESTER = "0000:03:00.0";
const PORT = "0000:02:00.0";
const PEER = barStart(4);
const RAM = 2 * MIB;
const TRANSLATED: RequestAttributes = { translated: true };

const lastReason = ({ machine }: Bench) => machine.inspect.recentFaults().at(-1)?.reason;

describe("source validation", () => {
  const forged = (requesterId: string): RequestAttributes => ({ requesterId });

  it("blocks a request that bears the id of a bus not below the port, and lets its own pass", () => {
    const bench = start(switchTopology({ [PORT]: acs(ACS.SV) }));

    expect(tryAs(bench, REQUESTER, PEER, forged("0000:04:00.0"))).toEqual(NONE);
    expect(bench.machine.inspect.recentFaults().at(-1)).toMatchObject({
      requester: "0000:04:00.0",
      reason: "ACS_SOURCE_INVALID",
      at: PORT,
    });
    expect(tryAs(bench, REQUESTER, PEER, {})).toEqual(BOTH);
  });

  it("looks at the bus only: another function's id on the same bus passes", () => {
    const bench = start(switchTopology({ [PORT]: acs(ACS.SV) }));
    const write = portOf(bench, REQUESTER).as(forged("0000:03:1f.7")).write(PEER, DATA, 0, 8);

    expect(write.ok).toBe(true);
  });

  it("is done by the first downstream port that has it on, the root port too", () => {
    const bench = start(switchTopology({ "0000:00:01.0": acs(ACS.SV) }));

    expect(tryAs(bench, REQUESTER, PEER, forged("0000:06:00.0")).write).toBe(true);
    expect(tryAs(bench, REQUESTER, RAM, forged("0000:06:00.0")).write).toBe(false);
    expect(bench.machine.inspect.recentFaults().at(-1)?.at).toBe("0000:00:01.0");
  });

  it("without it a forged id gets through, and the completion goes to whom the id belongs", () => {
    const bench = start(switchTopology());
    const forging = portOf(bench, REQUESTER).as(forged("0000:05:00.0"));
    const read = new Uint8Array(8);
    bench.machine.inspect.poke(PEER, DATA);

    expect(forging.read(PEER, read, 0, 8)).toEqual({ ok: false, lostBytes: 8 });
    expect(read).toEqual(ONES);
    expect(lastReason(bench)).toBe("COMPLETION_LOST");
    expect(wayBack(bench, REQUESTER, PEER, forged("0000:05:00.0"))).toEqual([
      "0000:02:01.0 up",
      "0000:02:02.0 down",
      "0000:05:00.0 unexpected",
    ]);
  });

  it("an id of nobody is answered to nobody, and one of another domain cannot be had", () => {
    const bench = start(switchTopology());

    expect(tryAs(bench, REQUESTER, PEER, forged("0000:77:00.0"))).toEqual({
      write: true,
      read: false,
    });
    expect(() => portOf(bench, REQUESTER).as(forged("0001:03:00.0"))).toThrow(/names no domain/);
    expect(() => portOf(bench, REQUESTER).as(forged("me"))).toThrow(/not a PCI address/);
  });
});

describe("translated requests", () => {
  it("are blocked by translation blocking of the port, and only they", () => {
    const bench = start(switchTopology({ [PORT]: acs(ACS.TB) }));

    expect(tryAs(bench, REQUESTER, PEER, TRANSLATED)).toEqual(NONE);
    expect(lastReason(bench)).toBe("ACS_TRANSLATED_BLOCKED");
    expect(tryAs(bench, REQUESTER, PEER, {})).toEqual(BOTH);
  });

  it.each([
    { control: ACS.RR, to4: NONE, why: "are redirected like others" },
    { control: ACS.RR | ACS.DT, to4: BOTH, why: "go straight with direct translated P2P" },
    { control: ACS.EC | ACS.DT, to4: BOTH, why: "pass egress control with direct translated P2P" },
    { control: ACS.RR | ACS.DT | ACS.TB, to4: NONE, why: "are blocked before that is looked at" },
  ])("$why", ({ control, to4 }) => {
    const topology = switchTopology({ [PORT]: acs(control, Uint8Array.of(0b010)) });
    const bench = start(topology, { rootComplex: "none" });

    expect(tryAs(bench, REQUESTER, PEER, TRANSLATED)).toEqual(to4);
  });

  it("direct translated P2P does not help requests that are not translated", () => {
    const bench = start(switchTopology({ [PORT]: acs(ACS.RR | ACS.DT) }), { rootComplex: "none" });

    expect(tryAs(bench, REQUESTER, PEER, {})).toEqual(NONE);
  });

  it("are taken by the IOMMU from functions with ATS on, as physical addresses, and from no others", () => {
    const trusted = "0000:04:00.0";
    const bench = start(switchTopology({ [trusted]: { config: atsConfig(true) } }));
    const platform = createModelledPlatform(bench.machine, { dma: "iommu" });

    expect(tryAs(bench, trusted, RAM, TRANSLATED)).toEqual(BOTH);
    expect(tryAs(bench, REQUESTER, RAM, TRANSLATED)).toEqual(NONE);
    expect(lastReason(bench)).toBe("IOMMU_TRANSLATED_BLOCKED");
    expect(tryAs(bench, trusted, RAM, {})).toEqual(NONE);
    expect(lastReason(bench)).toBe("IOMMU_NO_DOMAIN");
    platform.close();
  });

  it("an id that bears ATS is enough for the IOMMU: forging it is what source validation is for", () => {
    const change = { "0000:04:00.0": { config: atsConfig(true) } };
    const attributes: RequestAttributes = { translated: true, requesterId: "0000:04:00.0" };
    const open = start(switchTopology(change));
    const guarded = start(switchTopology({ ...change, [PORT]: acs(ACS.SV) }));
    createModelledPlatform(open.machine, { dma: "iommu" });
    createModelledPlatform(guarded.machine, { dma: "iommu" });

    expect(tryAs(open, REQUESTER, RAM, attributes).write).toBe(true);
    expect(tryAs(guarded, REQUESTER, RAM, attributes).write).toBe(false);
  });
});

describe("an IOMMU", () => {
  it("finds the domain by the id a request bears, whoever sent it", () => {
    const bench = start(switchTopology());
    const platform = createModelledPlatform(bench.machine, { dma: "iommu" });
    const segments = platform.dma.map({
      client: platform.device("0000:04:00.0"),
      ranges: PhysicalRanges.of(physicalAddress(RAM), 4096),
      provider: undefined,
      route: "system",
      direction: "bidirectional",
      limits: UNLIMITED,
    });
    if ("answer" in segments) {
      throw new Error(segments.text);
    }
    const iova = segments.address(0);
    const forging = portOf(bench, REQUESTER).as({ requesterId: "0000:04:00.0" });

    expect(portOf(bench, REQUESTER).write(iova, DATA, 0, 8).ok).toBe(false);
    expect(forging.write(iova, DATA, 0, 8).ok).toBe(true);
    platform.dma.unmap(platform.device("0000:04:00.0"), segments, "bidirectional");
    expect(forging.write(iova, DATA, 0, 8).ok).toBe(false);
    platform.close();
  });
});

describe("upstream forwarding", () => {
  const redirecting = { [PORT]: acs(ACS.RR) };

  it("a port that could and does not ends redirected requests that belong below it", () => {
    const topology = switchTopology({ ...redirecting, "0000:00:01.0": acs(ACS.SV) });
    const bench = start(topology, { rootComplex: "forwards" });

    expect(tryAs(bench, REQUESTER, PEER, {})).toEqual(NONE);
    expect(lastReason(bench)).toBe("ACS_NOT_FORWARDED");
    expect(tryAs(bench, REQUESTER, barStart(6), {})).toEqual(BOTH);

    bench.machine.setAcsControl("0000:00:01.0", ACS.UF);
    expect(tryAs(bench, REQUESTER, PEER, {})).toEqual(BOTH);
  });

  it("sends what nobody below claims up, where the root complex sends it down again", () => {
    const hole = barStart(4) + 2 * MIB;
    const at = (control: number) => {
      const bench = start(switchTopology({ "0000:00:01.0": acs(control) }));
      return bench.machine.inspect.trace("0000:06:00.0", hole, "read").hops.at(-1)?.at;
    };

    expect(at(ACS.UF)).toBe(at(0));
    const bench = start(switchTopology({ "0000:02:01.0": acs(ACS.UF) }));
    const { hops, loss } = bench.machine.inspect.trace("0000:04:00.0", hole, "read");
    expect(hops.map(({ event }) => event)).toContain("root-complex");
    expect(loss).toBe("UNCLAIMED");
  });

  it("is asked of ports above a redirected completion as well", () => {
    const completer = { "0000:02:01.0": acs(ACS.CR) };
    const off = start(switchTopology({ ...completer, "0000:00:01.0": acs(0) }));
    const on = start(switchTopology({ ...completer, "0000:00:01.0": acs(ACS.UF) }));

    expect(tryAs(off, REQUESTER, PEER, {})).toEqual({ write: true, read: false });
    expect(off.machine.inspect.recentFaults().at(-1)).toMatchObject({
      reason: "COMPLETION_LOST",
      at: "0000:00:01.0",
    });
    expect(tryAs(on, REQUESTER, PEER, {})).toEqual(BOTH);
  });
});

describe("egress control between root ports", () => {
  /** The second root port has port number 2: its device number, as no link capabilities were captured. */
  const bench = (control: number, vector: number) =>
    start(switchTopology({ "0000:00:01.0": acs(control, Uint8Array.of(vector)) }));
  const OTHER_PORT = barStart(6);

  it("blocks the root ports in the vector, unless redirect sends them to the root complex's own checks", () => {
    expect(tryAs(bench(ACS.EC, 0b100), REQUESTER, OTHER_PORT, {})).toEqual(NONE);
    expect(tryAs(bench(ACS.EC, 0b000), REQUESTER, OTHER_PORT, {})).toEqual(BOTH);
    expect(tryAs(bench(ACS.EC | ACS.RR, 0b100), REQUESTER, OTHER_PORT, {})).toEqual(BOTH);
  });

  it("does not concern RAM, nor peers below the same root port", () => {
    const blocking = bench(ACS.EC, 0xff);

    expect(tryAs(blocking, REQUESTER, RAM, {})).toEqual(BOTH);
    expect(tryAs(blocking, REQUESTER, PEER, {})).toEqual(BOTH);
  });
});

describe("completions", () => {
  it("with relaxed ordering are not redirected", () => {
    const topology = switchTopology({ "0000:02:01.0": acs(ACS.CR) });
    const bench = start(topology, { rootComplex: "none" });

    expect(tryAs(bench, REQUESTER, PEER, { relaxedOrdering: true })).toEqual(BOTH);
    expect(tryAs(bench, REQUESTER, PEER, {})).toEqual({ write: true, read: false });
  });

  it("of RAM come down by bus numbers: a bridge whose numbers leave its device out loses them, writes arrive", () => {
    const short = bridge("0000:00:01.0", PORT_TYPE.ROOT_PORT, [1, 5]);
    const bench = start(switchTopology({ "0000:00:01.0": { ...short, subordinateBus: 2 } }));

    expect(tryAs(bench, REQUESTER, RAM, {})).toEqual({ write: true, read: false });
    expect(lastReason(bench)).toBe("COMPLETION_LOST");
    expect(tryAs(bench, "0000:06:00.0", RAM, {})).toEqual(BOTH);
    expect(tryAs(bench, REQUESTER, PEER, {})).toEqual(BOTH);
  });

  it("to the processors always go up", () => {
    const topology = switchTopology({ "0000:02:01.0": acs(ACS.CR), "0000:00:01.0": acs(0) });
    const bench = start(topology, { rootComplex: "none" });

    expect(bench.machine.inspect.trace("cpu", PEER, "read")).toMatchObject({
      arrivesAt: { kind: "bar", bdf: "0000:04:00.0" },
      completion: [],
    });
  });

  it("turn round where the requester's bus is reached, whichever way the request took", () => {
    const bench = start(switchTopology({ [PORT]: acs(ACS.RR) }));

    expect(wayBack(bench, REQUESTER, PEER)).toEqual([
      "0000:02:01.0 up",
      "0000:02:00.0 down",
      "0000:03:00.0 arrives",
    ]);
  });
});

describe("a port with attributes", () => {
  it("says which it has, and goes through whatever is put before the link, now and later", () => {
    const bench = start(switchTopology());
    const loose = portOf(bench, REQUESTER).as({ relaxedOrdering: true });
    const seen: (boolean | undefined)[] = [];
    const spy = bench.machine.interpose((port) => {
      const around = (inner: typeof port): typeof port => ({
        bdf: inner.bdf,
        clock: inner.clock,
        attributes: inner.attributes,
        as: (attributes) => around(inner.as(attributes)),
        read: (...request) => inner.read(...request),
        write: (...request) => {
          seen.push(inner.attributes.relaxedOrdering);
          return inner.write(...request);
        },
        readInto: (...request) => inner.readInto(...request),
        writeFrom: (...request) => inner.writeFrom(...request),
        transfer: (plan, done) => inner.transfer(plan, done),
        interrupt: (vector) => inner.interrupt(vector),
      });
      return around(port);
    });

    loose.write(PEER, DATA, 0, 8);
    portOf(bench, REQUESTER).write(PEER, DATA, 0, 8);
    spy.remove();
    loose.write(PEER, DATA, 0, 8);

    expect(loose.attributes).toEqual({ relaxedOrdering: true });
    expect(portOf(bench, REQUESTER).as({ relaxedOrdering: true })).toBe(loose);
    expect(portOf(bench, REQUESTER).as({ noSnoop: true })).not.toBe(loose);
    expect(seen).toEqual([true, undefined]);
  });

  it("an address that is beyond any bus reaches nothing, and one that is none is a fault of the model", () => {
    const bench = start(switchTopology());
    const port = portOf(bench, REQUESTER);

    expect(port.write(2 ** 63, DATA, 0, 8)).toEqual({ ok: false, lostBytes: 8 });
    expect(lastReason(bench)).toBe("UNCLAIMED");
    expect(() => port.write(-8, DATA, 0, 8)).toThrow(
      expect.objectContaining({ code: "ADDRESS_INVALID" }),
    );
    expect(() => port.write(0.5, DATA, 0, 8)).toThrow(/no bus address/);
  });
});

describe("functions of one device with egress control", () => {
  it("keep apart by the vector's bit of the other function", () => {
    const topology = switchTopology({
      "0000:03:00.0": acs(ACS.EC, Uint8Array.of(0b10)),
      "0000:04:00.0": endpoint("0000:03:00.1", {}),
    });
    const bench = start(topology, { rootComplex: "forwards" });

    expect(tryAs(bench, REQUESTER, barStart(3, 1), {})).toEqual(NONE);
    expect(lastReason(bench)).toBe("ACS_BLOCKED");
    expect(tryAs(bench, "0000:03:00.1", barStart(3, 0), {})).toEqual(BOTH);
  });

  it("not from another device on the bus, which has no bit in it", () => {
    const topology = switchTopology({
      "0000:03:00.0": acs(ACS.EC, Uint8Array.of(0b10)),
      "0000:04:00.0": endpoint("0000:03:01.1", {}),
    });

    expect(tryAs(start(topology), REQUESTER, barStart(3, 1), {})).toEqual(BOTH);
  });
});
