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
import type { Gart, GartAccess } from "./gart.ts";
import { GPU_FAULT, type GpuFault } from "./registers.ts";

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
  readonly #gart: Gart;
  readonly #vector: number;
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
  /** Of a GART fault: where in the aperture. */
  faultAddress = 0;

  /** Engines of one GPU share VRAM and GART; each has a vector of its own. */
  constructor(port: DevicePort, vram: Vram, gart: Gart, vector: number) {
    this.#port = port;
    this.#vram = vram;
    this.#gart = gart;
    this.#vector = vector;
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
    this.faultAddress = 0;
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
    this.#later(COMMAND_NS, () => this.#begin(setup, command));
  }

  /** What cannot be done halts the engine before it takes any time. */
  #begin(setup: RingSetup, command: GpuCommand): void {
    const fault = this.#refusal(command);
    const runs = fault === GPU_FAULT.NONE ? this.#runsOf(command) : undefined;
    if (runs === undefined) {
      this.#halt(fault === GPU_FAULT.NONE ? GPU_FAULT.GART : fault);
      return;
    }
    const finish = this.#whileAlive(() => this.#finish(setup, command, runs));
    this.#port.transfer(this.#planOf(command, runs), finish);
  }

  /** The memory beyond the GPU that a command reads or writes. `undefined`: the GART has no page there. */
  #runsOf({ opcode, source, target, lengthBytes }: GpuCommand): readonly number[] | undefined {
    switch (opcode) {
      case GPU_OPCODE.VRAM_TO_DMA:
        return [target, lengthBytes];
      case GPU_OPCODE.DMA_TO_VRAM:
        return [source, lengthBytes];
      case GPU_OPCODE.VRAM_TO_GART:
        return this.#throughGart(target, lengthBytes, "write");
      case GPU_OPCODE.GART_TO_VRAM:
        return this.#throughGart(source, lengthBytes, "read");
      default:
        return [];
    }
  }

  #throughGart(
    offset: number,
    lengthBytes: number,
    access: GartAccess,
  ): readonly number[] | undefined {
    const found = this.#gart.find(offset, lengthBytes, access);
    if ("runs" in found) {
      return found.runs;
    }
    this.faultAddress = found.faultAt;
    return undefined;
  }

  #refusal({ opcode, source, target, lengthBytes }: GpuCommand): GpuFault {
    const inVram = (offset: number): boolean => offset + lengthBytes <= this.#vram.sizeBytes;
    switch (opcode) {
      case GPU_OPCODE.FENCE:
        return GPU_FAULT.NONE;
      case GPU_OPCODE.FILL:
      case GPU_OPCODE.DMA_TO_VRAM:
      case GPU_OPCODE.GART_TO_VRAM:
        return inVram(target) ? GPU_FAULT.NONE : GPU_FAULT.VRAM_RANGE;
      case GPU_OPCODE.VRAM_TO_DMA:
      case GPU_OPCODE.VRAM_TO_GART:
        return inVram(source) ? GPU_FAULT.NONE : GPU_FAULT.VRAM_RANGE;
      case GPU_OPCODE.VRAM_TO_VRAM:
        return inVram(source) && inVram(target) ? GPU_FAULT.NONE : GPU_FAULT.VRAM_RANGE;
      default:
        return GPU_FAULT.OPCODE;
    }
  }

  /** What stays in VRAM crosses no link. */
  #planOf({ opcode, lengthBytes }: GpuCommand, runs: readonly number[]): TransferPlan {
    const limits = opcode === GPU_OPCODE.FENCE ? [] : [{ limit: this.#limit, amount: lengthBytes }];
    const kind = isOutward(opcode) ? "write" : "read";
    return { legs: runs.length === 0 ? [] : [{ kind, runs }], limits };
  }

  #finish(setup: RingSetup, command: GpuCommand, runs: readonly number[]): void {
    const fault = this.#run(setup, command, runs);
    if (fault !== GPU_FAULT.NONE) {
      this.#halt(fault);
      return;
    }
    this.head = (this.head + 1) % setup.ringEntries;
    this.#takeNext();
  }

  #run(setup: RingSetup, command: GpuCommand, runs: readonly number[]): GpuFault {
    const { memory, base } = this.#vram;
    const { source, target, lengthBytes } = command;
    switch (command.opcode) {
      case GPU_OPCODE.FENCE:
        this.#writeFence(setup.fenceAddress, target);
        return GPU_FAULT.NONE;
      case GPU_OPCODE.FILL:
        fillPattern(memory, base + target, lengthBytes, command.pattern);
        return GPU_FAULT.NONE;
      case GPU_OPCODE.VRAM_TO_VRAM:
        memory.copyTo(base + source, memory, base + target, lengthBytes);
        return GPU_FAULT.NONE;
      default:
        return isOutward(command.opcode) ? this.#send(source, runs) : this.#fetch(target, runs);
    }
  }

  #send(source: number, runs: readonly number[]): GpuFault {
    const { memory, base } = this.#vram;
    let at = base + source;
    for (let index = 0; index < runs.length; index += 2) {
      const lengthBytes = runs[index + 1] as number;
      this.#port.writeFrom(runs[index] as number, memory, at, lengthBytes);
      at += lengthBytes;
    }
    return GPU_FAULT.NONE; // Posted: nobody tells the engine what became of it.
  }

  #fetch(target: number, runs: readonly number[]): GpuFault {
    const { memory, base } = this.#vram;
    let at = base + target;
    let ok = true;
    for (let index = 0; index < runs.length; index += 2) {
      const lengthBytes = runs[index + 1] as number;
      ok = this.#port.readInto(runs[index] as number, memory, at, lengthBytes).ok && ok;
      at += lengthBytes;
    }
    return ok ? GPU_FAULT.NONE : GPU_FAULT.DMA_READ;
  }

  #writeFence(address: number, value: number): void {
    writeU64(this.#fenceView, 0, value);
    this.#port.write(address, this.#fence, 0, this.#fence.length);
    this.#port.interrupt(this.#vector);
  }

  #halt(fault: GpuFault): void {
    this.fault = fault;
    this.#busy = false;
    this.#port.interrupt(this.#vector);
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

const isOutward = (opcode: number): boolean =>
  opcode === GPU_OPCODE.VRAM_TO_DMA || opcode === GPU_OPCODE.VRAM_TO_GART;
