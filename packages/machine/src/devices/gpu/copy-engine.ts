/**
 * GPU copy engine: takes commands from the ring one after the other and moves bytes.
 *
 * A command's bytes move in one step when its time is over. Whatever the engine cannot do halts it
 * with a fault and an interrupt; the driver reads the fault, stops the engine and starts it again.
 * A lost posted write is not noticed, as on hardware.
 */
import type { DevicePort } from "../../device-model.ts";
import type { DeviceLimit, TransferPlan } from "../../links/transfer-plan.ts";
import type { SparseMemory } from "../../sparse-memory.ts";
import { writeU64 } from "../little-endian.ts";
import { decodeGpuCommand, GPU_COMMAND_BYTES, GPU_OPCODE, type GpuCommand } from "./command.ts";
import { fillPattern } from "./fill-pattern.ts";
import { GPU_FAULT, type GpuFault } from "./registers.ts";

/** The engine's only interrupt vector. */
export const GPU_VECTOR = 0;

/** Order of magnitude of a copy engine; no product's figures. */
const DOORBELL_NS = 500;
const COMMAND_NS = 1_000;
/** Well above a PCIe link: a copy engine of an H100 moves 250 GB/s over NVLink. */
const BYTES_PER_NS = 200;

/** The GPU's memory: byte n of it is byte `base + n` of `memory`. */
export interface Vram {
  readonly memory: SparseMemory;
  readonly base: number;
  readonly sizeBytes: number;
  /** Where the host sees it, if it is the host's; 0 otherwise. */
  readonly address: number;
}

export interface RingSetup {
  readonly ringAddress: number;
  readonly ringEntries: number;
  readonly fenceAddress: number;
}

export class CopyEngine {
  readonly #port: DevicePort;
  readonly #vram: Vram;
  readonly #entry = new Uint8Array(GPU_COMMAND_BYTES);
  readonly #entryView = new DataView(this.#entry.buffer);
  readonly #fence = new Uint8Array(8);
  readonly #fenceView = new DataView(this.#fence.buffer);
  readonly #limit: DeviceLimit = { name: "copy engine", perNs: BYTES_PER_NS };
  #setup: RingSetup | undefined;
  #busy = false;
  #life = 0;
  head = 0;
  tail = 0;
  fault: GpuFault = GPU_FAULT.NONE;

  constructor(port: DevicePort, vram: Vram) {
    this.#port = port;
    this.#vram = vram;
  }

  get isRunning(): boolean {
    return this.#setup !== undefined && this.fault === GPU_FAULT.NONE;
  }

  start(setup: RingSetup): void {
    this.stop();
    this.#setup = setup;
  }

  /** Forgets work in flight: what was begun never arrives. */
  stop(): void {
    this.#life++;
    this.#setup = undefined;
    this.#busy = false;
    this.head = 0;
    this.tail = 0;
    this.fault = GPU_FAULT.NONE;
  }

  ring(tail: number): void {
    if (this.#setup !== undefined && this.isRunning && tail < this.#setup.ringEntries) {
      this.tail = tail;
      if (!this.#busy) {
        this.#busy = true;
        this.#later(DOORBELL_NS, () => this.#takeNext());
      }
    }
  }

  #takeNext(): void {
    const setup = this.#setup;
    if (setup === undefined || this.head === this.tail) {
      this.#busy = false;
      return;
    }
    const address = setup.ringAddress + this.head * GPU_COMMAND_BYTES;
    if (!this.#port.read(address, this.#entry, 0, GPU_COMMAND_BYTES).ok) {
      this.#halt(GPU_FAULT.FETCH);
      return;
    }
    const command = decodeGpuCommand(this.#entryView);
    this.#later(COMMAND_NS, () => {
      const finish = this.#whileAlive(() => this.#finish(setup, command));
      this.#port.transfer(this.#planOf(command), finish);
    });
  }

  /** What stays in VRAM crosses no link. */
  #planOf({ opcode, source, target, lengthBytes }: GpuCommand): TransferPlan {
    const limits = opcode === GPU_OPCODE.FENCE ? [] : [{ limit: this.#limit, amount: lengthBytes }];
    switch (opcode) {
      case GPU_OPCODE.VRAM_TO_DMA:
        return { legs: [{ kind: "write", runs: [target, lengthBytes] }], limits };
      case GPU_OPCODE.DMA_TO_VRAM:
        return { legs: [{ kind: "read", runs: [source, lengthBytes] }], limits };
      default:
        return { legs: [], limits };
    }
  }

  #finish(setup: RingSetup, command: GpuCommand): void {
    const fault = this.#run(setup, command);
    if (fault !== GPU_FAULT.NONE) {
      this.#halt(fault);
      return;
    }
    this.head = (this.head + 1) % setup.ringEntries;
    this.#takeNext();
  }

  #run(setup: RingSetup, command: GpuCommand): GpuFault {
    const { source, target, lengthBytes } = command;
    switch (command.opcode) {
      case GPU_OPCODE.FENCE:
        this.#writeFence(setup.fenceAddress, target);
        return GPU_FAULT.NONE;
      case GPU_OPCODE.FILL:
        return this.#inVram(target, lengthBytes) ? this.#fill(command) : GPU_FAULT.VRAM_RANGE;
      case GPU_OPCODE.VRAM_TO_DMA:
        return this.#inVram(source, lengthBytes) ? this.#send(command) : GPU_FAULT.VRAM_RANGE;
      case GPU_OPCODE.DMA_TO_VRAM:
        return this.#inVram(target, lengthBytes) ? this.#fetch(command) : GPU_FAULT.VRAM_RANGE;
      case GPU_OPCODE.VRAM_TO_VRAM:
        return this.#inVram(source, lengthBytes) && this.#inVram(target, lengthBytes)
          ? this.#move(command)
          : GPU_FAULT.VRAM_RANGE;
      default:
        return GPU_FAULT.OPCODE;
    }
  }

  #inVram(offset: number, lengthBytes: number): boolean {
    return offset + lengthBytes <= this.#vram.sizeBytes;
  }

  #fill({ target, lengthBytes, pattern }: GpuCommand): GpuFault {
    const { memory, base } = this.#vram;
    fillPattern(memory, base + target, lengthBytes, pattern);
    return GPU_FAULT.NONE;
  }

  #send({ source, target, lengthBytes }: GpuCommand): GpuFault {
    const { memory, base } = this.#vram;
    this.#port.writeFrom(target, memory, base + source, lengthBytes);
    return GPU_FAULT.NONE; // Posted: nobody tells the engine what became of it.
  }

  #fetch({ source, target, lengthBytes }: GpuCommand): GpuFault {
    const { memory, base } = this.#vram;
    const { ok } = this.#port.readInto(source, memory, base + target, lengthBytes);
    return ok ? GPU_FAULT.NONE : GPU_FAULT.DMA_READ;
  }

  #move({ source, target, lengthBytes }: GpuCommand): GpuFault {
    const { memory, base } = this.#vram;
    memory.copyTo(base + source, memory, base + target, lengthBytes);
    return GPU_FAULT.NONE;
  }

  #writeFence(address: number, value: number): void {
    writeU64(this.#fenceView, 0, value);
    this.#port.write(address, this.#fence, 0, this.#fence.length);
    this.#port.interrupt(GPU_VECTOR);
  }

  #halt(fault: GpuFault): void {
    this.fault = fault;
    this.#busy = false;
    this.#port.interrupt(GPU_VECTOR);
  }

  /** Runs `step` in time, unless the engine was stopped meanwhile. */
  #later(delayNs: number, step: () => void): void {
    this.#port.clock.schedule(delayNs, this.#whileAlive(step));
  }

  #whileAlive(step: () => void): () => void {
    const life = this.#life;
    return () => {
      if (life === this.#life) {
        step();
      }
    };
  }
}
