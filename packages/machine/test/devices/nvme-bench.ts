/**
 * NVMe bench: a driver's hand on the registers and queues of one controller model.
 */
import { type BarShape, createNvmeController, type NvmeController } from "@peerbuf/machine";
import { connectRegisters, FakePort, type RegisterFile } from "./fake-port.ts";

const BAR0: readonly BarShape[] = [{ index: 0, sizeBytes: 16_384, prefetchable: false }];
export const ENABLE: number = (4 << 20) | (6 << 16) | 1;
const ASQ = 0x1000;
const ACQ = 0x2000;
export const IOSQ = 0x3000;
export const IOCQ = 0x4000;
export const DATA = 0x10_0000;
export const PRP_LIST = 0x5000;
export const ENTRIES = 8;
export const BLOCK = 512;

export interface Command {
  readonly opcode: number;
  readonly namespace?: number;
  readonly prp1?: number;
  readonly prp2?: number;
  readonly dwords?: readonly [number?, number?, number?];
  /** PSDT and FUSE. */
  readonly flags?: number;
  /** The length and type of an SGL descriptor, in place of `prp2`. */
  readonly sgl?: { readonly lengthBytes: number; readonly type: number };
  /** Default: one that was not used yet. */
  readonly id?: number;
}

export interface Answer {
  readonly status: number;
  readonly id: number;
  readonly sqHead: number;
  readonly sqId: number;
  readonly result: number;
  readonly phase: number;
}

/** A driver's hand on the controller: rings in memory, doorbells in the BAR. */
export class NvmeBench implements Disposable {
  readonly port: FakePort = new FakePort();
  readonly model: NvmeController;
  readonly registers: RegisterFile;
  readonly #tails = [0, 0];
  readonly #heads = [0, 0];
  #id = 0;

  [Symbol.dispose](): void {
    this.model.close();
  }

  constructor(options: Parameters<typeof createNvmeController>[0] = {}) {
    this.model = createNvmeController({ capacityBytes: 2 ** 20, ...options });
    this.registers = connectRegisters(this.model, this.port, BAR0, 0);
  }

  enable(): void {
    this.registers.write32(0x24, ((ENTRIES - 1) << 16) | (ENTRIES - 1));
    this.registers.write32(0x28, ASQ);
    this.registers.write32(0x30, ACQ);
    this.registers.write32(0x14, ENABLE);
    this.port.clock.run();
  }

  /** Enabled, and with one I/O queue pair on vector 3. */
  ready(): this {
    this.enable();
    const size = (ENTRIES - 1) << 16;
    this.admin({ opcode: 0x05, prp1: IOCQ, dwords: [size | 1, (3 << 16) | 3] });
    this.admin({ opcode: 0x01, prp1: IOSQ, dwords: [size | 1, (1 << 16) | 1] });
    return this;
  }

  /** Enabled anew after a disable, with queues that are empty. */
  restart(): void {
    this.#tails.fill(0);
    this.#heads.fill(0);
    for (const ring of [ACQ, IOCQ]) {
      this.port.memory.fill(0, ring, 4096);
    }
    this.ready();
  }

  admin(command: Command): Answer {
    this.submit(0, command);
    return this.answer(0);
  }

  io(command: Command): Answer {
    this.submit(1, { namespace: 1, ...command });
    return this.answer(1);
  }

  submit(
    queue: 0 | 1,
    { opcode, namespace = 0, prp1 = 0, prp2 = 0, dwords = [], flags = 0, sgl, ...rest }: Command,
  ): number {
    const id = rest.id ?? ++this.#id;
    const entry = new Uint8Array(64);
    const view = new DataView(entry.buffer);
    view.setUint32(0, opcode | (flags << 8) | (id << 16), true);
    view.setUint32(4, namespace, true);
    view.setUint32(24, prp1, true);
    view.setUint32(32, prp2, true);
    if (sgl !== undefined) {
      view.setUint32(32, sgl.lengthBytes, true);
      view.setUint8(39, sgl.type << 4);
    }
    dwords.forEach((value, index) => {
      view.setUint32(40 + 4 * index, value ?? 0, true);
    });
    const tail = this.#tails[queue] as number;
    this.port.memory.write((queue === 0 ? ASQ : IOSQ) + 64 * tail, entry);
    this.#tails[queue] = (tail + 1) % ENTRIES;
    this.registers.write32(0x1000 + 8 * queue, this.#tails[queue] as number);
    return id;
  }

  /** Rings a doorbell with any value. `which`: 0 submission tail, 1 completion head. */
  ring(queue: number, which: 0 | 1, value: number): void {
    this.registers.write32(0x1000 + 8 * queue + 4 * which, value);
  }

  get status(): number {
    return this.registers.read32(0x1c);
  }

  /** Lets time pass and takes the next completion, with its doorbell. */
  answer(queue: 0 | 1): Answer {
    this.port.clock.run();
    const head = this.#heads[queue] as number;
    const at = (queue === 0 ? ACQ : IOCQ) + 16 * head;
    const { memory } = this.port;
    const last = memory.readNumber(at + 14, 2);
    this.#heads[queue] = (head + 1) % ENTRIES;
    this.registers.write32(0x1004 + 8 * queue, this.#heads[queue] as number);
    return {
      status: last >>> 1,
      phase: last & 1,
      id: memory.readNumber(at + 12, 2),
      sqId: memory.readNumber(at + 10, 2),
      sqHead: memory.readNumber(at + 8, 2),
      result: memory.readNumber(at, 4),
    };
  }

  fillMemory(address: number, lengthBytes: number): Uint8Array {
    const bytes = Uint8Array.from({ length: lengthBytes }, (_, index) => (index * 7 + 3) & 0xff);
    this.port.memory.write(address, bytes);
    return bytes;
  }

  media(offset: number, lengthBytes: number): Uint8Array {
    const bytes = new Uint8Array(lengthBytes);
    this.model.inspect().namespace.read(offset, bytes);
    return bytes;
  }
}

/** Blocks of 512 bytes between media and memory: opcode 1 stores, 2 loads. */
export const transfer = (
  opcode: 1 | 2,
  lba: number,
  blocks: number,
  prp1: number,
  prp2 = 0,
): Command => ({
  opcode,
  prp1,
  prp2,
  dwords: [lba, 0, blocks - 1],
});
