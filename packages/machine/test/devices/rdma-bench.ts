/**
 * RDMA bench: a driver's hand on the registers and queues of one NIC model.
 */
import { type BarShape, createRdmaNic, RdmaWire } from "@peerbuf/machine";
import { connectRegisters, FakePort, type RegisterFile } from "./fake-port.ts";

export const BARS: readonly BarShape[] = [
  { index: 0, sizeBytes: 256, prefetchable: false },
  { index: 1, sizeBytes: 4096, prefetchable: false },
  { index: 4, sizeBytes: 16_384, prefetchable: true },
];
export const COMMANDS = 0x1000;
const COMPLETIONS = 0x2000;
export const TABLE = 0x3000;
const EVENTS = 0x4000;
/** Of the first queue pair; those of the others follow. */
const SENDS = 0x5000;
const SENDS_BYTES = 16 * 64;
/** The page that the tests register. */
export const PAGE = 0x8000;
/** Every access flag but ON_DEMAND. */
export const ALL_ACCESS = 7;
export const ON_DEMAND = 64;

export interface BenchQueues {
  readonly completionEntries?: number;
  readonly eventEntries?: number;
}

/** `[offset, size, value]` of a field that is not 0. */
type Field = readonly [number, number, number];

export interface Completion {
  readonly tag: number;
  readonly status: number;
  readonly result: number;
}

export class RdmaBench {
  readonly port = new FakePort();
  readonly registers: RegisterFile;
  #commandTail = 0;
  readonly #sendTails = new Map<number, number>();
  #completionHead = 0;
  #eventHead = 0;

  constructor(wire: RdmaWire = new RdmaWire(), queues: BenchQueues = {}) {
    this.registers = connectRegisters(createRdmaNic({ wire }), this.port, BARS, 1);
    this.registers.write32(0x20, COMMANDS);
    this.registers.write32(0x28, 16);
    this.registers.write32(0x30, COMPLETIONS);
    this.registers.write32(0x38, queues.completionEntries ?? 16);
    this.registers.write32(0x40, EVENTS);
    this.registers.write32(0x48, queues.eventEntries ?? 16);
    this.registers.write32(0x0c, 1);
  }

  get status(): number {
    return this.registers.read32(0x10);
  }

  /** Runs a command to its end. */
  send(...fields: readonly Field[]): void {
    this.post(...fields);
    this.port.clock.run();
  }

  /** Rings the doorbell for a command and lets no time pass. */
  post(...fields: readonly Field[]): void {
    this.#writeEntry(COMMANDS + 64 * this.#commandTail, fields);
    this.#commandTail = (this.#commandTail + 1) % 16;
    this.registers.write32(0x2c, this.#commandTail);
  }

  answer(): Completion {
    const at = COMPLETIONS + 32 * this.#completionHead++;
    const { memory } = this.port;
    const [tag, status] = [memory.readNumber(at, 4), memory.readNumber(at + 4, 4)];
    return { tag, status, result: memory.readNumber(at + 12, 4) };
  }

  /** Kind, key and zaps of each new event. */
  events(): number[][] {
    const found: number[][] = [];
    const { memory } = this.port;
    for (let at = EVENTS + 32 * this.#eventHead; memory.readNumber(at + 28, 4) === 1; at += 32) {
      found.push([0, 4, 8].map((offset) => memory.readNumber(at + offset, 4)));
      this.#eventHead++;
    }
    return found;
  }

  registerRegion(access: number = ALL_ACCESS, lengthBytes = 4096): Completion {
    this.send([0, 4, 1], [4, 4, 9], [16, 8, lengthBytes], [28, 4, access]);
    return this.answer();
  }

  /** The region becomes one segment of one page. */
  mapPage(key: number, zaps = 0): Completion {
    this.postMap(key, zaps);
    this.port.clock.run();
    return this.answer();
  }

  postMap(key: number, zaps = 0): void {
    this.port.memory.writeNumber(TABLE, 8, PAGE);
    this.port.memory.writeNumber(TABLE + 8, 8, 4096);
    this.post([0, 4, 6], [8, 8, TABLE], [24, 4, 1], [32, 4, key], [44, 4, zaps]);
  }

  /** A mapped region. Returns its key. */
  mappedPage(access: number = ALL_ACCESS): number {
    const { result } = this.registerRegion(access);
    this.mapPage(result);
    return result;
  }

  /** Returns how many accesses were under way. */
  zap(key: number): number {
    this.registers.write32(0x50, key);
    return this.registers.read32(0x50);
  }

  /** A queue pair connected with itself. */
  loopBack(): number {
    this.send([0, 4, 3], [8, 8, SENDS + SENDS_BYTES * this.#sendTails.size], [24, 4, 16]);
    const { result: number } = this.answer();
    this.#sendTails.set(number, 0);
    const lid = this.registers.read32(0x08);
    this.send([0, 4, 4], [32, 4, number], [36, 4, lid], [40, 4, number]);
    this.answer();
    return number;
  }

  /** An RDMA write of 16 bytes from the start of one region to offset 64 of another. */
  write(queuePair: number, localKey: number, remoteKey: number): void {
    const keys: Field[] = [
      [24, 4, localKey],
      [28, 4, remoteKey],
    ];
    const tail = this.#sendTails.get(queuePair) ?? 0;
    const queue = SENDS + SENDS_BYTES * (queuePair - 1);
    this.#writeEntry(queue + 64 * tail, [[0, 4, 1], [16, 8, 16], ...keys, [32, 8, 64]]);
    this.#sendTails.set(queuePair, (tail + 1) % 16);
    this.registers.write32(0x800 + 4 * queuePair, (tail + 1) % 16);
  }

  #writeEntry(address: number, fields: readonly Field[]): void {
    this.port.memory.fill(0, address, 64);
    for (const [offset, size, value] of fields) {
      this.port.memory.writeNumber(address + offset, size, value);
    }
  }
}
