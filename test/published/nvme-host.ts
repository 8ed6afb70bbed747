/**
 * NVMe host: the least software that keeps a modelled controller busy, in no time of its own.
 *
 * One I/O queue pair in RAM; each completion makes room for the next read. Everything goes through registers,
 * queues and interrupts, as a driver's would.
 */
import { BARS, type Bar, INTERRUPTS, type Interrupts } from "@peerbuf/core";
import type { Machine, ModelledPlatform } from "@peerbuf/machine";

const ENTRIES = 256;
const PAGE = 4096;
const IO_ENTRY_SIZES_AND_ENABLE = (4 << 20) | (6 << 16) | 1;
const REGISTER = { CC: 0x14, AQA: 0x24, ASQ: 0x28, ACQ: 0x30, DOORBELL: 0x1000 };
const OPCODE = { CREATE_SQ: 1, CREATE_CQ: 5, READ: 2 };

interface Ring {
  readonly submissions: number;
  readonly completions: number;
  tail: number;
  head: number;
  phase: number;
}

export class NvmeHost {
  readonly #machine: Machine;
  readonly #bar: Bar;
  readonly #interrupts: Interrupts;
  readonly #admin: Ring;
  readonly #io: Ring;
  #completed = 0;

  constructor(platform: ModelledPlatform, bdf: string) {
    const services = new Map<unknown, unknown>();
    platform.provide(platform.device(bdf), { set: (token, value) => services.set(token, value) });
    this.#machine = platform.machine;
    this.#bar = (services.get(BARS) as { memory: readonly Bar[] }).memory[0] as Bar;
    this.#interrupts = services.get(INTERRUPTS) as Interrupts;
    this.#admin = this.#ring();
    this.#io = this.#ring();
    this.#start();
  }

  /** Reads that have completed. */
  get completed(): number {
    return this.#completed;
  }

  /** Keeps `depth` reads of `lengthBytes` under way into the memory at `target`, until `stop` says so. */
  keepReading(target: number, lengthBytes: number, depth: number, stop: () => boolean): void {
    const send = (slot: number): void => {
      const address = target + slot * lengthBytes;
      const second = lengthBytes > PAGE ? address + PAGE : 0;
      const dwords = [slot * (lengthBytes / 512), 0, lengthBytes / 512 - 1];
      this.#submit(1, this.#io, OPCODE.READ, slot, [address, second], dwords);
    };
    this.#interrupts.on(1, () => {
      for (const slot of this.#reap(1, this.#io)) {
        this.#completed++;
        if (!stop()) {
          send(slot);
        }
      }
    });
    for (let slot = 0; slot < depth; slot++) {
      send(slot);
    }
  }

  #start(): void {
    const { clock } = this.#machine;
    this.#bar.write32(REGISTER.AQA, ((ENTRIES - 1) << 16) | (ENTRIES - 1));
    this.#bar.write32(REGISTER.ASQ, this.#admin.submissions);
    this.#bar.write32(REGISTER.ACQ, this.#admin.completions);
    this.#bar.write32(REGISTER.CC, IO_ENTRY_SIZES_AND_ENABLE);
    clock.run();
    const size = ((ENTRIES - 1) << 16) | 1;
    const { submissions, completions } = this.#io;
    this.#submit(0, this.#admin, OPCODE.CREATE_CQ, 0, [completions, 0], [size, (1 << 16) | 3]);
    clock.run();
    this.#submit(0, this.#admin, OPCODE.CREATE_SQ, 1, [submissions, 0], [size, (1 << 16) | 1]);
    clock.run();
    this.#reap(0, this.#admin);
  }

  #ring(): Ring {
    const { memory } = this.#machine;
    const [submissions, completions] = [ENTRIES * 64, ENTRIES * 16].map(
      (bytes) => memory.allocate(bytes, { contiguous: true }).ranges.start(0) as number,
    ) as [number, number];
    return { submissions, completions, tail: 0, head: 0, phase: 1 };
  }

  #submit(
    id: number,
    ring: Ring,
    opcode: number,
    commandId: number,
    pointers: readonly number[],
    dwords: readonly number[],
  ): void {
    const entry = new DataView(new ArrayBuffer(64));
    entry.setUint32(0, opcode | (commandId << 16), true);
    entry.setUint32(4, id, true);
    pointers.forEach((pointer, index) => {
      entry.setUint32(24 + 8 * index, pointer % 2 ** 32, true);
      entry.setUint32(28 + 8 * index, Math.floor(pointer / 2 ** 32), true);
    });
    dwords.forEach((dword, index) => {
      entry.setUint32(40 + 4 * index, dword, true);
    });
    const address = ring.submissions + 64 * ring.tail;
    this.#machine.inspect.poke(address, new Uint8Array(entry.buffer));
    ring.tail = (ring.tail + 1) % ENTRIES;
    this.#bar.write32(REGISTER.DOORBELL + 8 * id, ring.tail);
  }

  /** Ids of the commands that completed since. */
  #reap(id: number, ring: Ring): number[] {
    const found: number[] = [];
    const entry = new Uint8Array(16);
    for (;;) {
      this.#machine.inspect.peek(ring.completions + 16 * ring.head, entry);
      const status = (entry[14] as number) | ((entry[15] as number) << 8);
      if ((status & 1) !== ring.phase) {
        break;
      }
      if (status > 1) {
        throw new Error(`the drive answered with status 0x${(status >> 1).toString(16)}`);
      }
      found.push((entry[12] as number) | ((entry[13] as number) << 8));
      ring.head = (ring.head + 1) % ENTRIES;
      ring.phase ^= ring.head === 0 ? 1 : 0;
    }
    this.#bar.write32(REGISTER.DOORBELL + 8 * id + 4, ring.head);
    return found;
  }
}
