import { describe, expect, it } from "vitest";
import { BLOCK, DATA, ENABLE, ENTRIES, IOSQ, NvmeBench, transfer } from "./nvme-bench.ts";

const EVENT_REQUEST = { opcode: 0x0c };
/** The error log, 1 KiB. */
const READ_LOG = { opcode: 0x02, prp1: DATA, dwords: [(255 << 16) | 0x01] } as const;
const [INVALID_REGISTER, INVALID_VALUE] = [0x1_0000, 0x1_0100];

describe("NVMe controller, doorbells that make no sense", () => {
  it.each([
    ["of a queue that is not there", 9, 0, 1, INVALID_REGISTER],
    ["past the end of a submission queue", 1, 0, ENTRIES, INVALID_VALUE],
    ["past the end of a completion queue", 1, 1, ENTRIES, INVALID_VALUE],
    ["for completions that were not posted", 1, 1, 3, INVALID_VALUE],
  ] as const)("are told as an asynchronous event: %s", (_, queue, which, value, event) => {
    const bench = new NvmeBench().ready();
    const id = bench.submit(0, EVENT_REQUEST);
    bench.port.clock.run();

    bench.ring(queue, which, value);

    expect(bench.answer(0)).toMatchObject({ id, status: 0, result: event });
    expect(bench.io({ opcode: 0 }).status).toBe(0);
  });

  it("are told later when no request is there, and once until the log is read", () => {
    const bench = new NvmeBench().ready();
    bench.ring(1, 0, 99);
    bench.ring(9, 0, 1);

    const told = bench.admin(EVENT_REQUEST);
    const second = bench.submit(0, EVENT_REQUEST);
    bench.port.clock.run();
    const log = bench.submit(0, READ_LOG);
    const answers = [bench.answer(0), bench.answer(0)];

    expect(told.result).toBe(INVALID_VALUE);
    expect(answers).toMatchObject([
      { id: second, result: INVALID_REGISTER },
      { id: log, status: 0 },
    ]);
    expect(bench.port.memory.readNumber(DATA + 10, 2)).toBe(0xffff);
  });

  it("are ignored while the controller is not ready", () => {
    const bench = new NvmeBench();
    bench.ring(0, 0, 5);
    bench.enable();

    const id = bench.submit(0, EVENT_REQUEST);
    bench.port.clock.run();
    const { status } = bench.admin(READ_LOG);

    expect([id, status]).toEqual([1, 0]);
    expect(bench.port.memory.readNumber(DATA, 8)).toBe(0);
  });

  it("leave room for four requests", () => {
    const bench = new NvmeBench().ready();
    for (let count = 0; count < 4; count++) {
      bench.submit(0, EVENT_REQUEST);
    }
    bench.port.clock.run();

    expect(bench.admin(EVENT_REQUEST).status).toBe(0x105);
  });
});

describe("NVMe controller, commands that go wrong", () => {
  it("logs what failed, newest first", () => {
    const bench = new NvmeBench().ready();
    const failed = bench.io(transfer(2, 4096, 1, DATA));

    bench.admin(READ_LOG);

    const { memory } = bench.port;
    expect(memory.readNumber(DATA, 8)).toBe(1);
    expect([8, 10, 12].map((at) => memory.readNumber(DATA + at, 2))).toEqual([
      1,
      failed.id,
      0x080 << 1,
    ]);
    expect(memory.readNumber(DATA + 24, 4)).toBe(1);
  });

  it("aborts a command on its way, which then moves nothing", () => {
    const bench = new NvmeBench().ready();
    bench.fillMemory(DATA, BLOCK);
    const id = bench.submit(1, { namespace: 1, ...transfer(1, 0, 1, DATA) });
    bench.port.clock.runUntil(bench.port.clock.nowNs + 600);

    bench.submit(0, { opcode: 0x08, dwords: [(id << 16) | 1] });
    const aborted = bench.answer(1);
    const abort = bench.answer(0);

    expect(aborted).toMatchObject({ id, status: 0x007 });
    expect(abort).toMatchObject({ status: 0, result: 0 });
    expect(bench.media(0, BLOCK)).toEqual(new Uint8Array(BLOCK));
  });

  it("says so when there is nothing to abort any more", () => {
    const bench = new NvmeBench().ready();
    const { id } = bench.io({ opcode: 0 });

    expect(bench.admin({ opcode: 0x08, dwords: [(id << 16) | 1] })).toMatchObject({
      status: 0,
      result: 1,
    });
  });

  it("aborts an event request", () => {
    const bench = new NvmeBench().ready();
    const id = bench.submit(0, EVENT_REQUEST);
    bench.port.clock.run();

    bench.submit(0, { opcode: 0x08, dwords: [id << 16] });

    expect(bench.answer(0)).toMatchObject({ id, status: 0x007 });
    expect(bench.answer(0)).toMatchObject({ status: 0, result: 0 });
  });

  it("refuses an identifier that is on its way already", () => {
    const bench = new NvmeBench().ready();
    bench.submit(1, { namespace: 1, ...transfer(2, 0, 1, DATA), id: 700 });
    bench.submit(1, { opcode: 0, namespace: 1, id: 700 });

    const [first, second] = [bench.answer(1), bench.answer(1)];

    expect(first).toMatchObject({ id: 700, status: 0x003 });
    expect(second).toMatchObject({ id: 700, status: 0 });
  });

  it("takes no more commands while nobody takes its completions", () => {
    const bench = new NvmeBench().ready();
    for (let count = 0; count < 5 * ENTRIES; count++) {
      bench.submit(1, { opcode: 0, namespace: 1 });
      bench.port.clock.run();
    }
    const posted = bench.port.interrupts.filter((vector) => vector === 3).length;

    const statuses = Array.from({ length: ENTRIES }, () => bench.answer(1).status);

    expect(posted).toBe(ENTRIES - 1);
    expect(statuses).toEqual(Array(ENTRIES).fill(0));
  });
});

describe("NVMe controller, reset by the host", () => {
  it("recovers from a fatal status, and works with new queues", () => {
    const bench = new NvmeBench().ready();
    bench.port.holes.push([IOSQ, IOSQ + 4096]);
    bench.submit(1, { opcode: 0, namespace: 1 });
    bench.port.clock.run();
    const fatal = bench.status;
    bench.port.holes.length = 0;

    bench.registers.write32(0x14, 0);
    const disabled = bench.status;
    bench.restart();

    expect([fatal, disabled]).toEqual([3, 0]);
    expect(bench.io({ opcode: 0 }).status).toBe(0);
  });

  it.each([
    ["another command set", ENABLE | (1 << 4)],
    ["another arbitration", ENABLE | (1 << 11)],
    ["entries of another size", ENABLE + (1 << 16)],
  ])("shows a fatal status when enabled with %s", (_, configuration) => {
    const bench = new NvmeBench();
    bench.registers.write32(0x24, (1 << 16) | 1);
    bench.registers.write32(0x14, configuration);
    bench.port.clock.run();

    expect(bench.status).toBe(2);
  });

  it("forgets commands and event requests of the life before", () => {
    const bench = new NvmeBench().ready();
    bench.submit(0, EVENT_REQUEST);
    bench.submit(1, { namespace: 1, ...transfer(1, 0, 1, DATA) });
    bench.registers.write32(0x14, 0);
    bench.restart();
    bench.port.interrupts.length = 0;

    bench.ring(9, 0, 1);
    bench.port.clock.run();

    expect(bench.port.interrupts).toEqual([]);
  });
});

describe("NVMe controller, blocks without data", () => {
  it("writes zeros over blocks", () => {
    const bench = new NvmeBench().ready();
    bench.fillMemory(DATA, 4 * BLOCK);
    bench.io(transfer(1, 0, 4, DATA));

    const { status } = bench.io({ opcode: 0x08, dwords: [1, 0, 1] });

    expect(status).toBe(0);
    expect(bench.media(BLOCK, 2 * BLOCK)).toEqual(new Uint8Array(2 * BLOCK));
    expect(bench.media(0, 1)[0]).toBe(3);
    expect(bench.media(3 * BLOCK, BLOCK).some((byte) => byte !== 0)).toBe(true);
  });

  it.each([
    ["deallocates its ranges, which read as zeros then", 4, 0],
    ["leaves the blocks alone when it only hints", 1, 3],
  ])("dataset management %s", (_, attributes, firstByte) => {
    const bench = new NvmeBench().ready();
    bench.fillMemory(DATA, 4 * BLOCK);
    bench.io(transfer(1, 0, 4, DATA));
    bench.port.memory.writeNumber(0x20_0004, 4, 2);
    bench.port.memory.writeNumber(0x20_0008, 8, 0);

    const { status } = bench.io({ opcode: 0x09, prp1: 0x20_0000, dwords: [0, attributes] });

    expect(status).toBe(0);
    expect(bench.media(0, 1)[0]).toBe(firstByte);
  });

  it("dataset management refuses all ranges when one is past the end", () => {
    const bench = new NvmeBench().ready();
    bench.fillMemory(DATA, BLOCK);
    bench.io(transfer(1, 0, 1, DATA));
    bench.port.memory.writeNumber(0x20_0004, 4, 1);
    bench.port.memory.writeNumber(0x20_0014, 4, 9);
    bench.port.memory.writeNumber(0x20_0018, 8, 2047);

    const { status } = bench.io({ opcode: 0x09, prp1: 0x20_0000, dwords: [1, 4] });

    expect(status).toBe(0x080);
    expect(bench.media(0, 1)[0]).toBe(3);
  });
});
