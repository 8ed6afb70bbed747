import { RdmaWire } from "@peerbuf/machine";
import { describe, expect, it } from "vitest";
import {
  ALL_ACCESS,
  ERROR,
  INIT,
  ON_DEMAND,
  PAGE,
  RdmaBench,
  RECEIVING,
  SENDING,
} from "./rdma-bench.ts";

const RESET = 0;
const QUEUE_PAIR_ERROR = 3;
const [SUCCESS, LENGTH, PROTECTION, FLUSHED] = [0, 1, 4, 5];
const [REMOTE_INVALID, REMOTE_ACCESS, REMOTE_OPERATION, RNR_EXCEEDED] = [9, 10, 11, 13];
const [INVALID, BUSY] = [1, 5];

/** Everything that was completed so far, as `tag: status`. */
function completions(bench: RdmaBench, count: number): string[] {
  bench.port.clock.run();
  return Array.from({ length: count }, () => {
    const { tag, status } = bench.answer();
    return `${tag}: ${status}`;
  });
}

describe("RDMA NIC model, protection domains", () => {
  it("are kept while something is in them, and their numbers are used again", () => {
    const bench = new RdmaBench();
    const domain = bench.allocateDomain();
    const { result: key } = bench.registerRegion(ALL_ACCESS, 4096, domain);
    const release = (): number => {
      bench.send([0, 4, 8], [32, 4, domain]);
      return bench.answer().status;
    };

    const whileUsed = release();
    bench.send([0, 4, 2], [32, 4, key]);
    bench.answer();

    expect([whileUsed, release(), release()]).toEqual([BUSY, SUCCESS, INVALID]);
    expect(bench.allocateDomain()).toBe(domain);
  });

  it("refuse regions and queue pairs when they do not exist", () => {
    const bench = new RdmaBench();

    expect(bench.registerRegion(ALL_ACCESS, 4096, 77).status).toBe(INVALID);
    expect(bench.createQueuePair(77)).toBe(0);
  });

  it("keep a queue pair from keys of another, here and at the other end", () => {
    const bench = new RdmaBench();
    const [one, other] = [bench.allocateDomain(), bench.allocateDomain()];
    const [mine, yours] = [bench.mappedPage(7, one), bench.mappedPage(7, other)];

    bench.write(bench.loopBack(one), yours, mine);
    const locally = completions(bench, 1);
    bench.write(bench.loopBack(one), mine, yours);
    const remotely = completions(bench, 1);

    expect([locally, remotely]).toEqual([[`0: ${PROTECTION}`], [`0: ${REMOTE_ACCESS}`]]);
    expect(bench.port.memory.readNumber(PAGE + 64, 4)).toBe(0);
  });

  it("refuse remote write without local write, as ibv_reg_mr does", () => {
    expect(new RdmaBench().registerRegion(2).status).toBe(INVALID);
  });
});

describe("RDMA NIC model, states of a queue pair", () => {
  it("go up one step after the other, and nowhere else", () => {
    const bench = new RdmaBench();
    const queuePair = bench.createQueuePair();

    const answers = [RECEIVING, SENDING, INIT, SENDING, INIT, RECEIVING, INIT, SENDING, 4].map(
      (state) => bench.modify(queuePair, state),
    );

    expect(answers).toEqual([1, 1, 0, 1, 0, 0, 1, 0, 1]);
  });

  it("let requests wait until it may send", () => {
    const bench = new RdmaBench();
    const page = bench.mappedPage();
    const queuePair = bench.createQueuePair();
    bench.write(queuePair, page, page);
    bench.port.clock.run();

    bench.connect(queuePair, bench.registers.read32(0x08), queuePair);

    expect(completions(bench, 1)).toEqual(["0: 0"]);
  });

  it("flush everything in the error state, put in before or after", () => {
    const bench = new RdmaBench();
    const page = bench.mappedPage();
    const queuePair = bench.loopBack();
    bench.receive(queuePair, 1, page, 16);

    bench.post([0, 4, 4], [32, 4, queuePair], [24, 4, ERROR]);
    const before = completions(bench, 2);
    bench.receive(queuePair, 2, page, 16);
    bench.sendMessage(queuePair, 3, page, 16);

    expect(before).toEqual([`1: ${FLUSHED}`, "0: 0"]);
    expect(completions(bench, 2)).toEqual([`2: ${FLUSHED}`, `3: ${FLUSHED}`]);
    expect(bench.events()).toEqual([]);
  });

  it("forget everything in the reset state, and work again", () => {
    const bench = new RdmaBench();
    const page = bench.mappedPage();
    const queuePair = bench.loopBack();
    bench.receive(queuePair, 1, page, 16);
    bench.modify(queuePair, RESET);
    bench.connect(queuePair, bench.registers.read32(0x08), queuePair);

    bench.restartQueues(queuePair);
    bench.receive(queuePair, 4, page, 16);
    bench.sendMessage(queuePair, 5, page, 16);

    expect(completions(bench, 2)).toEqual(["4: 0", "5: 0"]);
  });

  it("break when a doorbell is beyond the ring, which is an event", () => {
    const bench = new RdmaBench();
    const queuePair = bench.loopBack();

    bench.registers.write32(0x800 + 4 * queuePair, 16);
    bench.port.clock.run();

    expect(bench.events()).toEqual([[QUEUE_PAIR_ERROR, queuePair, 2]]);
    expect(bench.status).toBe(1);
  });

  it("break at both ends when a peer does what it may not", () => {
    const wire = new RdmaWire();
    const [here, there] = [new RdmaBench(wire), new RdmaBench(wire)];
    const [one, other] = [here.createQueuePair(), there.createQueuePair()];
    here.connect(one, 2, other);
    there.connect(other, 1, one);
    const [mine, theirs] = [here.mappedPage(), there.mappedPage(1)];
    there.receive(other, 8, theirs, 16);
    there.port.clock.run();

    here.write(one, mine, theirs);
    while (here.port.clock.pendingCount + there.port.clock.pendingCount > 0) {
      here.port.clock.run();
      there.port.clock.run();
    }

    expect(completions(here, 1)).toEqual([`0: ${REMOTE_ACCESS}`]);
    expect(completions(there, 1)).toEqual([`8: ${FLUSHED}`]);
    expect(there.events()).toEqual([[QUEUE_PAIR_ERROR, other, REMOTE_ACCESS]]);
  });
});

describe("RDMA NIC model, send and receive", () => {
  it("puts each message into the next receive request, and says how long it is", () => {
    const bench = new RdmaBench();
    const page = bench.mappedPage();
    const queuePair = bench.loopBack();
    bench.port.memory.fill(0x41, PAGE, 16);
    bench.receive(queuePair, 1, page, 64);
    bench.receive(queuePair, 2, page, 64);

    bench.sendMessage(queuePair, 3, page, 16);
    bench.sendMessage(queuePair, 4, page, 0);
    bench.port.clock.run();

    const answers = [bench.answer(), bench.answer(), bench.answer(), bench.answer()];
    expect(answers).toEqual([
      { tag: 1, status: SUCCESS, result: 16 },
      { tag: 3, status: SUCCESS, result: 0 },
      { tag: 2, status: SUCCESS, result: 0 },
      { tag: 4, status: SUCCESS, result: 0 },
    ]);
    expect(bench.port.memory.readNumber(PAGE + 256, 8)).toBe(bench.port.memory.readNumber(PAGE, 8));
    expect(bench.port.memory.readNumber(PAGE + 272, 4)).toBe(0);
  });

  it("waits for a receive request as often as it may, then gives up", () => {
    const bench = new RdmaBench();
    const page = bench.mappedPage();
    const patient = bench.loopBack(bench.ownDomain(), 3);
    const beginNs = bench.port.clock.nowNs;
    bench.sendMessage(patient, 1, page, 16);

    expect(completions(bench, 1)).toEqual([`1: ${RNR_EXCEEDED}`]);
    expect(Math.round((bench.port.clock.nowNs - beginNs) / 120_000)).toBe(3);
  });

  it("goes on when a receive request comes in time", () => {
    const bench = new RdmaBench();
    const page = bench.mappedPage();
    const queuePair = bench.loopBack();
    bench.sendMessage(queuePair, 1, page, 16);
    bench.port.clock.runUntil(bench.port.clock.nowNs + 500_000);

    bench.receive(queuePair, 2, page, 16);

    expect(completions(bench, 2)).toEqual(["2: 0", "1: 0"]);
  });

  it.each([
    ["is too long for it", 32, 16, LENGTH, REMOTE_INVALID],
    ["may not be written there", 16, 4096, PROTECTION, REMOTE_OPERATION],
  ])("tells both ends when a message %s", (_, messageBytes, roomBytes, here, told) => {
    const bench = new RdmaBench();
    const page = bench.mappedPage();
    const readOnly = bench.mappedPage(0);
    const queuePair = bench.loopBack();
    bench.receive(queuePair, 1, here === LENGTH ? page : readOnly, roomBytes);

    bench.sendMessage(queuePair, 2, page, messageBytes);

    expect(completions(bench, 2)).toEqual([`1: ${here}`, `2: ${told}`]);
    expect(bench.port.memory.readNumber(PAGE + 256, 4)).toBe(0);
  });

  it("receives into a region of the queue pair's own domain only", () => {
    const bench = new RdmaBench();
    const foreign = bench.mappedPage(7, bench.allocateDomain());
    const page = bench.mappedPage();
    const queuePair = bench.loopBack();
    bench.receive(queuePair, 1, foreign, 64);

    bench.sendMessage(queuePair, 2, page, 16);

    expect(completions(bench, 2)).toEqual([`1: ${PROTECTION}`, `2: ${REMOTE_OPERATION}`]);
  });

  it("waits for the page of a receive request in an on-demand region", () => {
    const bench = new RdmaBench();
    const page = bench.mappedPage();
    const { result: absent } = bench.registerRegion(ALL_ACCESS | ON_DEMAND);
    const queuePair = bench.loopBack();
    bench.receive(queuePair, 1, absent, 64);
    bench.sendMessage(queuePair, 2, page, 16);
    bench.port.clock.runUntil(bench.port.clock.nowNs + 300_000);
    const asked = bench.events();

    bench.postMap(absent);

    expect(asked).toEqual([[1, absent, 0]]);
    expect(completions(bench, 3)).toEqual(["0: 0", "1: 0", "2: 0"]);
  });
});
