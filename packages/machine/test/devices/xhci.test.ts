import { type BarShape, createUsbDrive, type UsbDrive } from "@peerbuf/machine";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { connectRegisters, FakePort, type RegisterFile } from "./fake-port.ts";

const BARS: readonly BarShape[] = [{ index: 0, sizeBytes: 16_384, prefetchable: false }];
const [USBCMD, USBSTS, CRCR, DCBAAP, CONFIG] = [0x20, 0x24, 0x38, 0x50, 0x58];
const [IMAN, ERSTSZ, ERSTBA, ERDP, DOORBELLS] = [0x620, 0x628, 0x630, 0x638, 0x800];
const [CONTEXTS, DEVICE, INPUT, TABLE] = [0x1000, 0x2000, 0x3000, 0x4000];
const [EVENTS, COMMANDS, RINGS, DATA] = [0x5000, 0x6000, 0x1_0000, 0x10_0000];
const [NORMAL, SETUP, STATUS, LINK] = [1, 2, 4, 6];
const [ENABLE, ADDRESS, CONFIGURE, RESET_ENDPOINT, STOP, SET_DEQUEUE, NO_OP] = [
  9, 11, 12, 14, 15, 16, 23,
];
const [CONTROL, OUT, IN] = [1, 2, 3];
const [TOGGLE, SHORT, CHAIN, IOC] = [2, 4, 16, 32];
const [TRANSFER_EVENT, COMMAND_EVENT] = [32, 33];

type Trb = readonly [type: number, parameter: number, status?: number, flags?: number];

interface Event {
  readonly type: number;
  readonly about: number;
  readonly code: number;
  readonly residual: number;
  readonly endpoint: number;
}

/** A driver's hand on registers and rings; the rings of the pipes begin at `ringOf`. */
class Bench {
  readonly port = new FakePort();
  readonly model: UsbDrive = createUsbDrive({ capacityBytes: 2 ** 20 });
  readonly registers: RegisterFile = connectRegisters(this.model, this.port, BARS, 0);
  readonly #tails = new Map<number, number>();
  #event = 0;

  constructor(eventTrbs = 64) {
    this.port.memory.writeNumber(TABLE, 8, EVENTS);
    this.port.memory.writeNumber(TABLE + 8, 2, eventTrbs);
    this.port.memory.writeNumber(CONTEXTS + 8, 8, DEVICE);
    const { registers } = this;
    for (const [register, value] of [
      [CONFIG, 4],
      [DCBAAP, CONTEXTS],
      [CRCR, COMMANDS | 1],
      [ERSTSZ, 1],
      [ERSTBA, TABLE],
      [IMAN, 2],
      [USBCMD, 5],
    ] as const) {
      registers.write32(register, value);
    }
  }

  get status(): number {
    return this.registers.read32(USBSTS);
  }

  /** Slot 1 addressed, and its two bulk pipes. */
  ready(): this {
    this.command([ENABLE, 0]);
    this.port.memory.writeNumber(INPUT + 4, 4, 3);
    this.port.memory.writeNumber(INPUT + 36, 4, 1 << 16);
    this.#putEndpoint(CONTROL, 4);
    this.command([ADDRESS, INPUT]);
    this.port.memory.writeNumber(INPUT + 4, 4, 0b1101);
    this.#putEndpoint(OUT, 2);
    this.#putEndpoint(IN, 6);
    this.command([CONFIGURE, INPUT]);
    return this;
  }

  ringOf(endpoint: number): number {
    return RINGS + endpoint * 0x1000;
  }

  /** Puts a command in, and answers with its event. */
  command([type, parameter, status = 0, flags = 0]: Trb, endpoint = 0, slot = 1): Event {
    this.put(COMMANDS, [[type, parameter, status, flags | (endpoint << 16) | (slot << 24)]]);
    this.registers.write32(DOORBELLS, 0);
    this.port.clock.run();
    return this.events().find(({ type }) => type === COMMAND_EVENT) as Event;
  }

  transfer(endpoint: number, trbs: readonly Trb[]): Event[] {
    this.put(this.ringOf(endpoint), trbs);
    this.ring(endpoint);
    this.port.clock.run();
    return this.events();
  }

  ring(endpoint: number, slot = 1): void {
    this.registers.write32(DOORBELLS + 4 * slot, endpoint);
  }

  put(ring: number, trbs: readonly Trb[], cycle = 1): void {
    for (const [type, parameter, status = 0, flags = 0] of trbs) {
      const at = ring + 16 * (this.#tails.get(ring) ?? 0);
      this.#tails.set(ring, (this.#tails.get(ring) ?? 0) + 1);
      this.port.memory.writeNumber(at, 8, parameter);
      this.port.memory.writeNumber(at + 8, 4, status);
      this.port.memory.writeNumber(at + 12, 4, (flags + type * 1024 + cycle) >>> 0);
    }
  }

  rewind(ring: number): void {
    this.#tails.set(ring, 0);
  }

  /** What is new in the event ring, taken. */
  events(): Event[] {
    const found: Event[] = [];
    const { memory } = this.port;
    for (;;) {
      const at = EVENTS + 16 * this.#event;
      const [status, control] = [memory.readNumber(at + 8, 4), memory.readNumber(at + 12, 4)];
      if ((control & 1) === 0) {
        break;
      }
      const [type, endpoint] = [(control >>> 10) & 0x3f, (control >>> 16) & 0x1f];
      const about = memory.readNumber(at, 8);
      found.push({ type, about, code: status >>> 24, residual: status & 0xff_ffff, endpoint });
      this.#event++;
    }
    this.registers.write32(ERDP, EVENTS + 16 * this.#event);
    this.registers.write32(ERDP + 4, 0);
    return found;
  }

  /** Writes a command wrapper into memory: read (C0h) or write (C1h) bytes of the drive. */
  wrapper(
    at: number,
    command: number,
    offset: number,
    lengthBytes: number,
    wanted = lengthBytes,
  ): void {
    const bytes = new Uint8Array(31);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 0x4342_5355, true);
    view.setUint32(4, 77, true);
    view.setUint32(8, wanted, true);
    bytes[12] = command === 0xc0 ? 0x80 : 0;
    bytes[15] = command;
    view.setUint32(21, offset);
    view.setUint32(25, lengthBytes);
    this.port.memory.write(at, bytes);
  }

  /** The codes of a command wrapper, its data, and its status. */
  storage(command: number, offset: number, lengthBytes: number, trbs: readonly Trb[]): number[] {
    this.wrapper(DATA, command, offset, lengthBytes);
    const pipe = command === 0xc0 ? IN : OUT;
    return [
      ...this.transfer(OUT, [[NORMAL, DATA, 31, IOC]]),
      ...this.transfer(pipe, trbs),
      ...this.transfer(IN, [[NORMAL, DATA + 64, 13, IOC]]),
    ].map(({ code }) => code);
  }

  #putEndpoint(endpoint: number, type: number): void {
    const at = INPUT + 32 * (endpoint + 1);
    this.port.memory.writeNumber(at + 4, 4, type << 3);
    this.port.memory.writeNumber(at + 8, 8, this.ringOf(endpoint) | 1);
  }
}

const [SUCCESS, BUFFER_ERROR, BABBLE, TRB_ERROR, STALL] = [1, 2, 3, 5, 6];
const [NO_SLOTS, NO_SLOT, NO_ENDPOINT, SHORT_PACKET] = [9, 11, 12, 13];
const [PARAMETER, CONTEXT_STATE, STOPPED] = [17, 19, 26];

describe("xHCI model, commands", () => {
  it("bring up a slot, its address and its pipes, and show the states of the pipes", () => {
    const bench = new Bench().ready();

    const states = [CONTROL, OUT, IN].map((endpoint) =>
      bench.port.memory.readNumber(DEVICE + 32 * endpoint, 4),
    );

    expect(states).toEqual([1, 1, 1]);
    expect(bench.command([NO_OP, 0])).toMatchObject({ code: SUCCESS });
  });

  it.each<[string, Trb, number, number, number]>([
    ["a slot that is not enabled", [CONFIGURE, INPUT], 0, 3, NO_SLOT],
    ["an endpoint that is not there", [STOP, 0], 9, 1, NO_ENDPOINT],
    ["resetting a pipe that is not halted", [RESET_ENDPOINT, 0], OUT, 1, CONTEXT_STATE],
    ["moving a ring that runs", [SET_DEQUEUE, RINGS], OUT, 1, CONTEXT_STATE],
    ["an input context that cannot be read", [CONFIGURE, 0x9000_0000], 0, 1, PARAMETER],
    ["a command that there is not", [60, 0], 0, 1, TRB_ERROR],
  ])("refuse %s", (_, trb, endpoint, slot, code) => {
    const bench = new Bench().ready();

    expect(bench.command(trb, endpoint, slot).code).toBe(code);
  });

  it("give out as many slots as are configured", () => {
    const bench = new Bench();

    const codes = Array.from({ length: 5 }, () => bench.command([ENABLE, 0]).code);

    expect(codes).toEqual([SUCCESS, SUCCESS, SUCCESS, SUCCESS, NO_SLOTS]);
  });

  it("are found over links, with the cycle state that turns", () => {
    const bench = new Bench();
    bench.put(COMMANDS, [
      [NO_OP, 0],
      [LINK, COMMANDS, 0, TOGGLE],
    ]);
    bench.registers.write32(DOORBELLS, 0);
    bench.port.clock.run();
    bench.rewind(COMMANDS);
    bench.put(COMMANDS, [[NO_OP, 0]], 0);
    bench.registers.write32(DOORBELLS, 0);
    bench.port.clock.run();

    expect(bench.events().map(({ about }) => about)).toEqual([COMMANDS, COMMANDS]);
  });

  it.each([
    ["leads in a circle", (bench: Bench) => bench.put(COMMANDS, [[LINK, COMMANDS]])],
    ["cannot be read", (bench: Bench) => bench.port.holes.push([COMMANDS, COMMANDS + 16])],
  ])("halt the controller with a host system error when their ring %s", (_, break_) => {
    const bench = new Bench();
    break_(bench);
    bench.registers.write32(DOORBELLS, 0);
    bench.port.clock.run();
    const broken = bench.status & 5;

    bench.registers.write32(USBCMD, 5);
    const stillBroken = bench.status & 5;
    bench.registers.write32(USBCMD, 2);

    expect([broken, stillBroken, bench.status]).toEqual([5, 5, 1]);
  });
});

describe("xHCI model, transfers", () => {
  it("write and read the drive, in chains of TRBs of any length", () => {
    const bench = new Bench().ready();
    const bytes = Uint8Array.from({ length: 3000 }, (_, index) => (index * 7) & 0xff);
    bench.port.memory.write(0x20_0001, bytes);

    const stored = bench.storage(0xc1, 100, 3000, [
      [NORMAL, 0x20_0001, 1, CHAIN],
      [NORMAL, 0x20_0002, 2000, CHAIN],
      [NORMAL, 0x20_0002 + 2000, 999, IOC],
    ]);
    const loaded = bench.storage(0xc0, 101, 2999, [[NORMAL, 0x30_0000, 2999, IOC]]);

    const [onDrive, back] = [new Uint8Array(3000), new Uint8Array(2999)];
    bench.model.inspect().memory.read(100, onDrive);
    bench.port.memory.read(0x30_0000, back);
    expect([stored, loaded]).toEqual([Array(3).fill(SUCCESS), Array(3).fill(SUCCESS)]);
    expect(onDrive).toEqual(bytes);
    expect(back).toEqual(bytes.subarray(1));
    expect(bench.port.memory.readNumber(DATA + 64, 4)).toBe(0x5342_5355);
  });

  it("say how much of a TRB came short", () => {
    const bench = new Bench().ready();
    bench.wrapper(DATA, 0xc0, 0, 1500, 3000);
    bench.transfer(OUT, [[NORMAL, DATA, 31, IOC]]);

    const [event] = bench.transfer(IN, [
      [NORMAL, 0x20_0000, 1024, CHAIN | SHORT],
      [NORMAL, 0x20_1000, 1024, CHAIN | SHORT],
      [NORMAL, 0x20_2000, 952, IOC | SHORT],
    ]);

    expect(event).toMatchObject({
      code: SHORT_PACKET,
      residual: 548,
      about: bench.ringOf(IN) + 16,
    });
  });

  it("halt with a babble when the device sends more than fits, and deliver nothing", () => {
    const bench = new Bench().ready();
    bench.model.inspect().memory.fill(0x55, 0, 4096);
    bench.wrapper(DATA, 0xc0, 0, 2048);
    bench.transfer(OUT, [[NORMAL, DATA, 31, IOC]]);

    const [event] = bench.transfer(IN, [[NORMAL, 0x20_0000, 1000, IOC]]);

    expect(event).toMatchObject({ code: BABBLE, endpoint: IN });
    expect(bench.port.memory.readNumber(0x20_0000, 4)).toBe(0);
    expect(bench.port.memory.readNumber(DEVICE + 32 * IN, 4)).toBe(2);
  });

  it("stall for a command that the drive refuses, and go on when the halt is cleared", () => {
    const bench = new Bench().ready();
    bench.wrapper(DATA, 0xc0, 2 ** 20 - 10, 100);
    bench.transfer(OUT, [[NORMAL, DATA, 31, IOC]]);

    const [stalled] = bench.transfer(IN, [[NORMAL, 0x20_0000, 100, IOC]]);
    const answers = [
      bench.command([RESET_ENDPOINT, 0], IN).code,
      bench.command([SET_DEQUEUE, bench.ringOf(IN) + 16 + 1], IN).code,
    ];
    bench.transfer(CONTROL, [
      [SETUP, 0x0000_0102, 8],
      [STATUS, 0, 0, IOC],
    ]);
    const [status] = bench.transfer(IN, [[NORMAL, DATA + 64, 13, IOC]]);

    expect([stalled?.code, ...answers, status?.code]).toEqual([STALL, 1, 1, SUCCESS]);
    expect(bench.port.memory.readNumber(DATA + 64 + 12, 1)).toBe(1);
  });

  it("stall a control request that the drive does not know", () => {
    const bench = new Bench().ready();

    const events = bench.transfer(CONTROL, [
      [SETUP, 0x0000_0680, 8],
      [STATUS, 0, 0, IOC],
    ]);

    expect(events).toMatchObject([{ code: STALL, endpoint: CONTROL, type: TRANSFER_EVENT }]);
  });

  it.each<[string, Trb, number]>([
    ["that reaches over 64 KiB", [NORMAL, 0x20_ffff, 30, CHAIN], TRB_ERROR],
    ["of another type", [STATUS, 0, 0, 0], TRB_ERROR],
    ["whose memory cannot be read", [NORMAL, 0x9000_0000, 31, IOC], BUFFER_ERROR],
    ["that is no command wrapper", [NORMAL, DATA, 30, IOC], STALL],
  ])("refuse a TRB %s", (_, trb, code) => {
    const bench = new Bench().ready();
    bench.wrapper(DATA, 0xc1, 0, 1);

    const events = bench.transfer(OUT, [trb, [NORMAL, DATA, 1, IOC]]);

    expect(events).toMatchObject([{ code, endpoint: OUT }]);
    expect(bench.status & 1).toBe(0);
  });

  it("wait for the rest of a chain that is not all there", () => {
    const bench = new Bench().ready();
    bench.wrapper(DATA, 0xc1, 0, 1);

    const first = bench.transfer(OUT, [[NORMAL, DATA, 30, CHAIN]]);
    const second = bench.transfer(OUT, [[NORMAL, DATA + 30, 1, IOC]]);

    expect([first, second]).toMatchObject([[], [{ code: SUCCESS }]]);
  });

  it("are given up when their pipe is stopped", () => {
    const bench = new Bench().ready();
    bench.put(bench.ringOf(IN), [[NORMAL, DATA, 13, IOC]]);
    bench.ring(IN);
    bench.port.clock.run();

    bench.put(COMMANDS, [[STOP, 0, 0, (IN << 16) | (1 << 24)]]);
    bench.registers.write32(DOORBELLS, 0);
    bench.port.clock.run();

    expect(bench.events().map(({ code }) => code)).toEqual([STOPPED, SUCCESS]);
  });

  it("interrupt when an event is there and interrupts are enabled", () => {
    const bench = new Bench();
    bench.command([NO_OP, 0]);
    bench.registers.write32(IMAN, 0);
    bench.command([NO_OP, 0]);

    expect(bench.port.interrupts).toEqual([0]);
    expect(bench.status & 8).toBe(8);
    bench.registers.write32(USBSTS, 8);
    expect(bench.status & 8).toBe(0);
  });

  it("lose no event while the event ring is full", () => {
    const bench = new Bench(16);
    bench.put(
      COMMANDS,
      Array.from({ length: 20 }, (): Trb => [NO_OP, 0]),
    );
    bench.registers.write32(DOORBELLS, 0);
    bench.port.clock.run();
    const first = bench.port.memory.readNumber(EVENTS + 16 * 14 + 12, 4) & 1;
    const sixteenth = bench.port.memory.readNumber(EVENTS + 16 * 15 + 12, 4) & 1;

    bench.registers.write32(ERDP, EVENTS + 16 * 10);
    bench.registers.write32(ERDP + 4, 0);

    expect([first, sixteenth]).toEqual([1, 0]);
    expect(bench.port.memory.readNumber(EVENTS + 16 * 15 + 12, 4) & 1).toBe(1);
    expect(bench.port.memory.readNumber(EVENTS + 16 * 4, 8)).toBe(COMMANDS + 16 * 4);
  });

  it("end in states of the controller, whatever a driver writes into rings and contexts", () => {
    const noise = fc.uint8Array({ minLength: 64, maxLength: 512 });
    const pokes = fc.array(
      fc.tuple(
        fc.nat(0x3ff).map((word) => 4 * word),
        fc.nat(),
      ),
      {
        maxLength: 12,
      },
    );

    fc.assert(
      fc.property(noise, noise, noise, pokes, (commands, out, input, writes) => {
        const bench = new Bench().ready();
        bench.port.memory.write(COMMANDS + 48, commands);
        bench.port.memory.write(bench.ringOf(OUT), out);
        bench.port.memory.write(INPUT, input);
        bench.registers.write32(DOORBELLS, 0);
        bench.ring(OUT);
        for (const [register, value] of writes) {
          bench.registers.write32(register, value);
        }
        bench.port.clock.run();

        bench.registers.write32(USBCMD, 2);
        expect(bench.status).toBe(1);
      }),
    );
  });
});
