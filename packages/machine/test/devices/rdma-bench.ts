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
/** The page that the tests register. */
export const PAGE = 0x8000;
/** Send and receive queue of the first queue pair; those of the others follow. */
const RINGS = 0x1_0000;
const RING_BYTES = 16 * 64;
/** Every access flag but ON_DEMAND. */
export const ALL_ACCESS = 7;
export const ON_DEMAND = 64;

export const [INIT, RECEIVING, SENDING, ERROR] = [1, 2, 3, 6] as const;

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
  /** By doorbell. */
  readonly #tails = new Map<number, number>();
  #domain: number | undefined;
  #completionHead = 0;
  #eventHead = 0;

  constructor(wire: RdmaWire = new RdmaWire(), queues: BenchQueues = {}) {
    this.registers = connectRegisters(createRdmaNic({ wire }), this.port, BARS, 1);
    this.registers.write32(0x20, COMMANDS);
    this.registers.write32(0x28, 16);
    this.registers.write32(0x30, COMPLETIONS);
    this.registers.write32(0x38, queues.completionEntries ?? 64);
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

  allocateDomain(): number {
    this.send([0, 4, 7]);
    return this.answer().result;
  }

  /** In the bench's own domain, unless told otherwise. */
  registerRegion(
    access: number = ALL_ACCESS,
    lengthBytes = 4096,
    domain = this.ownDomain(),
  ): Completion {
    this.send([0, 4, 1], [4, 4, 9], [16, 8, lengthBytes], [28, 4, access], [48, 4, domain]);
    return this.answer();
  }

  ownDomain(): number {
    this.#domain ??= this.allocateDomain();
    return this.#domain;
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
  mappedPage(access: number = ALL_ACCESS, domain = this.ownDomain()): number {
    const { result } = this.registerRegion(access, 4096, domain);
    this.mapPage(result);
    return result;
  }

  /** Returns how many accesses were under way. */
  zap(key: number): number {
    this.registers.write32(0x50, key);
    return this.registers.read32(0x50);
  }

  /** In the state RESET. */
  createQueuePair(domain = this.ownDomain()): number {
    const rings = RINGS + this.#tails.size * RING_BYTES;
    this.send(
      ...[[0, 4, 3] as const, [8, 8, rings] as const, [24, 4, 16] as const],
      ...[[48, 4, domain] as const, [52, 4, 16] as const, [56, 8, rings + RING_BYTES] as const],
    );
    const { result } = this.answer();
    this.#tails.set(0x800 + 4 * result, 0);
    this.#tails.set(0xc00 + 4 * result, 0);
    return result;
  }

  /** Returns the command's status. */
  modify(queuePair: number, state: number, ...fields: readonly Field[]): number {
    this.send([0, 4, 4], [32, 4, queuePair], [24, 4, state], ...fields);
    return this.answer().status;
  }

  /** From RESET to sending. */
  connect(queuePair: number, lid: number, other: number, rnrRetries = 7): void {
    this.modify(queuePair, INIT);
    this.modify(queuePair, RECEIVING, [36, 4, lid], [40, 4, other]);
    this.modify(queuePair, SENDING, [28, 4, rnrRetries]);
  }

  /** A queue pair connected with itself. */
  loopBack(domain = this.ownDomain(), rnrRetries = 7): number {
    const queuePair = this.createQueuePair(domain);
    this.connect(queuePair, this.registers.read32(0x08), queuePair, rnrRetries);
    return queuePair;
  }

  /** An RDMA write of 16 bytes from the start of one region to offset 64 of another. */
  write(queuePair: number, localKey: number, remoteKey: number): void {
    const keys: Field[] = [
      [24, 4, localKey],
      [28, 4, remoteKey],
    ];
    this.#put(0x800 + 4 * queuePair, queuePair, 0, [[0, 4, 1], [16, 8, 16], ...keys, [32, 8, 64]]);
  }

  /** Sends the first bytes of a region, under this tag. */
  sendMessage(queuePair: number, tag: number, key: number, lengthBytes: number): void {
    const fields: Field[] = [
      [0, 4, 3],
      [4, 4, tag],
      [16, 8, lengthBytes],
      [24, 4, key],
    ];
    this.#put(0x800 + 4 * queuePair, queuePair, 0, fields);
  }

  /** Room for a message from offset 256 of a region on. */
  receive(queuePair: number, tag: number, key: number, lengthBytes: number): void {
    const fields: Field[] = [
      [4, 4, tag],
      [8, 8, 256],
      [16, 8, lengthBytes],
      [24, 4, key],
    ];
    this.#put(0xc00 + 4 * queuePair, queuePair, 1, fields);
  }

  /** The queue pair was reset, and its queues begin anew. */
  restartQueues(queuePair: number): void {
    this.#tails.set(0x800 + 4 * queuePair, 0);
    this.#tails.set(0xc00 + 4 * queuePair, 0);
  }

  /** `which`: 0 the send queue, 1 the receive queue. */
  #put(doorbell: number, queuePair: number, which: 0 | 1, fields: readonly Field[]): void {
    const tail = this.#tails.get(doorbell) ?? 0;
    const ring = RINGS + (2 * (queuePair - 1) + which) * RING_BYTES;
    this.#writeEntry(ring + 64 * tail, fields);
    this.#tails.set(doorbell, (tail + 1) % 16);
    this.registers.write32(doorbell, (tail + 1) % 16);
  }

  #writeEntry(address: number, fields: readonly Field[]): void {
    this.port.memory.fill(0, address, 64);
    for (const [offset, size, value] of fields) {
      this.port.memory.writeNumber(address + offset, size, value);
    }
  }
}
