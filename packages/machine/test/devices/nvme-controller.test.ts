import { createNvmeController } from "@peerbuf/machine";
import { describe, expect, it } from "vitest";
import { FakePort } from "./fake-port.ts";
import {
  BLOCK,
  type Command,
  DATA,
  ENABLE,
  ENTRIES,
  IOCQ,
  IOSQ,
  NvmeBench,
  PRP_LIST,
  transfer,
} from "./nvme-bench.ts";

describe("NVMe controller registers", () => {
  it("state version 1.4, doorbell stride 0, 4 KiB pages and the NVM command set", () => {
    const { registers } = new NvmeBench();

    expect(registers.read32(0x08)).toBe(0x0001_0400);
    expect(registers.read32(0x00) & 0xffff).toBe(1023);
    expect(registers.read32(0x04)).toBe(0x20);
  });

  it("become ready some time after enable, and not ready at once after disable", () => {
    const bench = new NvmeBench();
    bench.registers.write32(0x24, (1 << 16) | 1);
    bench.registers.write32(0x14, ENABLE);
    const before = bench.registers.read32(0x1c);
    bench.port.clock.run();
    const after = bench.registers.read32(0x1c);
    bench.registers.write32(0x14, 0);

    expect([before & 1, after & 1, bench.registers.read32(0x1c) & 1]).toEqual([0, 1, 0]);
  });

  it("show a fatal status when enabled with a page size the controller lacks", () => {
    const bench = new NvmeBench();
    bench.registers.write32(0x24, (1 << 16) | 1);
    bench.registers.write32(0x14, ENABLE | (1 << 7));
    bench.port.clock.run();

    expect(bench.registers.read32(0x1c)).toBe(2);
  });

  it("do not fit a function without a BAR0 of 8 KiB", () => {
    const small = [{ index: 0, sizeBytes: 4096, prefetchable: false }];

    expect(() => createNvmeController().connect(new FakePort(), small)).toThrow(
      "BAR0 of at least 8 KiB",
    );
  });
});

describe("NVMe controller queues", () => {
  it("answer with identifier, queue, head and phase, and interrupt the queue's vector", () => {
    const bench = new NvmeBench().ready();
    bench.port.interrupts.length = 0;

    const answer = bench.io({ opcode: 0 });

    expect(answer).toEqual({ status: 0, phase: 1, id: 3, sqId: 1, sqHead: 1, result: 0 });
    expect(bench.port.interrupts).toEqual([3]);
  });

  it("turn the phase with each pass over the completion queue", () => {
    const bench = new NvmeBench().ready();

    const phases = Array.from({ length: 2 * ENTRIES }, () => bench.io({ opcode: 0 }).phase);

    expect(phases).toEqual([...Array(ENTRIES).fill(1), ...Array(ENTRIES).fill(0)]);
  });

  it("hold completions back while their queue is full", () => {
    const bench = new NvmeBench().ready();
    for (let count = 0; count < ENTRIES - 1; count++) {
      bench.submit(1, { opcode: 0, namespace: 1 });
    }
    bench.port.clock.run();
    bench.submit(1, { opcode: 0, namespace: 1 });
    bench.port.clock.run();
    const lastSlot = IOCQ + 16 * (ENTRIES - 1);
    const whileFull = bench.port.memory.readNumber(lastSlot + 12, 2);

    bench.answer(1);

    expect(whileFull).toBe(0);
    expect(bench.port.memory.readNumber(lastSlot + 12, 2)).toBe(2 + ENTRIES);
  });

  it("drop work in flight when the controller is disabled", () => {
    const bench = new NvmeBench().ready();
    bench.fillMemory(DATA, BLOCK);
    bench.submit(1, { namespace: 1, ...transfer(1, 0, 1, DATA) });
    bench.registers.write32(0x14, 0);
    bench.port.clock.run();

    expect(bench.media(0, BLOCK)).toEqual(new Uint8Array(BLOCK));
  });

  it("stop with a fatal status when a command cannot be fetched", () => {
    const bench = new NvmeBench().ready();
    bench.port.holes.push([IOSQ, IOSQ + 4096]);

    bench.submit(1, { opcode: 0, namespace: 1 });
    bench.port.clock.run();

    expect(bench.registers.read32(0x1c) & 2).toBe(2);
  });

  it.each([
    ["a completion queue that exists", { opcode: 0x05, prp1: IOCQ, dwords: [0x7_0001, 1] }, 0x101],
    ["a queue of one entry", { opcode: 0x05, prp1: IOCQ, dwords: [0x0_0002, 1] }, 0x102],
    ["a queue that is not contiguous", { opcode: 0x05, prp1: IOCQ, dwords: [0x7_0002, 0] }, 0x002],
    ["a queue inside a page", { opcode: 0x05, prp1: 0x4004, dwords: [0x7_0002, 1] }, 0x013],
    [
      "a submission queue without completions",
      { opcode: 0x01, prp1: IOSQ, dwords: [0x7_0002, 0x9_0001] },
      0x100,
    ],
    ["deleting a completion queue in use", { opcode: 0x04, dwords: [1] }, 0x10c],
    ["deleting the admin queue", { opcode: 0x00, dwords: [0] }, 0x101],
    [
      "identifying a namespace that is not there",
      { opcode: 0x06, namespace: 9, prp1: DATA, dwords: [0] },
      0x00b,
    ],
    ["a command it does not have", { opcode: 0x14 }, 0x001],
    ["an SGL for its data", { opcode: 0x06, flags: 0x40, prp1: DATA, dwords: [1] }, 0x002],
    ["a number of queues when there are some", { opcode: 0x09, dwords: [7] }, 0x00c],
    ["a log page it does not keep", { opcode: 0x02, prp1: DATA, dwords: [0x02] }, 0x109],
  ] as const)("refuse %s", (_, command, status) => {
    const bench = new NvmeBench().ready();

    expect(bench.admin(command as Command).status).toBe(status);
  });

  it("can be deleted, submissions first", () => {
    const bench = new NvmeBench().ready();

    const deleted = [
      bench.admin({ opcode: 0x00, dwords: [1] }).status,
      bench.admin({ opcode: 0x04, dwords: [1] }).status,
    ];

    expect(deleted).toEqual([0, 0]);
  });
});

describe("NVMe controller identity", () => {
  it("tells namespace size and format, transfer limit and serial number", () => {
    const bench = new NvmeBench({ blockBytes: 4096, mdts: 5, serial: "ABC" }).ready();
    const { memory } = bench.port;

    bench.admin({ opcode: 0x06, namespace: 1, prp1: DATA, dwords: [0] });
    const namespace = [memory.readNumber(DATA, 8), memory.readNumber(DATA + 130, 1)];
    bench.admin({ opcode: 0x06, prp1: DATA, dwords: [1] });
    const serial = new Uint8Array(4);
    memory.read(DATA + 4, serial);
    bench.admin({ opcode: 0x06, prp1: DATA + 4096, dwords: [2] });

    expect(namespace).toEqual([256, 12]);
    expect(memory.readNumber(DATA + 77, 1)).toBe(5);
    expect(String.fromCharCode(...serial)).toBe("ABC ");
    expect(memory.readNumber(DATA + 4096, 4)).toBe(1);
  });

  it("grants 64 queue pairs", () => {
    const bench = new NvmeBench();
    bench.enable();

    expect(bench.admin({ opcode: 0x09, dwords: [7, 0] }).result).toBe((63 << 16) | 63);
  });
});

describe("NVMe controller I/O", () => {
  it("stores blocks and loads them again, from the middle of a page over a page border", () => {
    const bench = new NvmeBench().ready();
    const bytes = bench.fillMemory(DATA + 0xf00, 2 * BLOCK);

    const stored = bench.io(transfer(1, 5, 2, DATA + 0xf00, DATA + 0x1000));
    const loaded = bench.io(transfer(2, 5, 2, 0x20_0000));

    expect([stored.status, loaded.status]).toEqual([0, 0]);
    expect(bench.media(5 * BLOCK, 2 * BLOCK)).toEqual(bytes);
    const back = new Uint8Array(2 * BLOCK);
    bench.port.memory.read(0x20_0000, back);
    expect(back).toEqual(bytes);
  });

  it.each([
    ["a block past the end", transfer(2, 2048, 1, DATA), 0x080],
    ["blocks that run past the end", transfer(2, 2047, 2, DATA), 0x080],
    ["more than MDTS allows", transfer(2, 0, 1025, DATA), 0x002],
    ["PRP1 off a double word", transfer(2, 0, 1, DATA + 2), 0x013],
    ["PRP2 inside a page", transfer(2, 0, 16, DATA, DATA + 0x1200), 0x013],
    ["a PRP list off a quad word", transfer(2, 0, 24, DATA, PRP_LIST + 4), 0x013],
    ["a data pointer of a reserved kind", { ...transfer(2, 0, 1, DATA), flags: 0xc0 }, 0x002],
    ["half of a fused operation", { ...transfer(2, 0, 1, DATA), flags: 0x01 }, 0x002],
    ["zeros past the end", { opcode: 0x08, dwords: [2047, 0, 1] }, 0x080],
    ["another namespace", { ...transfer(2, 0, 1, DATA), namespace: 2 }, 0x00b],
    ["an unknown command", { opcode: 0x55 }, 0x001],
  ] as const)("refuses %s", (_, command, status) => {
    const bench = new NvmeBench().ready();

    expect(bench.io(command as Command).status).toBe(status);
  });

  it("refuses a list entry inside a page", () => {
    const bench = new NvmeBench().ready();
    bench.port.memory.writeNumber(PRP_LIST, 8, DATA + 0x1000);
    bench.port.memory.writeNumber(PRP_LIST + 8, 8, DATA + 0x2008);

    expect(bench.io(transfer(2, 0, 24, DATA, PRP_LIST)).status).toBe(0x013);
  });

  it("fails a write whose data cannot be read, and stores all ones", () => {
    const bench = new NvmeBench().ready();
    bench.port.holes.push([DATA, DATA + 4096]);

    const { status } = bench.io(transfer(1, 0, 1, DATA));

    expect(status).toBe(0x004);
    expect(bench.media(0, BLOCK)).toEqual(new Uint8Array(BLOCK).fill(0xff));
  });

  it("does not notice that the data of a read got lost on the way", () => {
    const bench = new NvmeBench().ready();
    bench.port.holes.push([DATA, DATA + 4096]);

    expect(bench.io(transfer(2, 0, 1, DATA)).status).toBe(0);
  });

  it("fails with a data transfer error when a PRP list cannot be read", () => {
    const bench = new NvmeBench().ready();
    bench.port.holes.push([PRP_LIST, PRP_LIST + 4096]);

    expect(bench.io(transfer(2, 0, 24, DATA, PRP_LIST)).status).toBe(0x004);
  });

  it("keeps the namespace over a power cycle", () => {
    const bench = new NvmeBench().ready();
    const bytes = bench.fillMemory(DATA, BLOCK);
    bench.io(transfer(1, 0, 1, DATA));

    bench.model.reset();

    expect(bench.registers.read32(0x1c)).toBe(0);
    expect(bench.media(0, BLOCK)).toEqual(bytes);
  });
});
