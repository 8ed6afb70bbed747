/**
 * Ports: through which a device model issues its requests.
 *
 * `FabricPort` is the link itself. `SocketPort` is what the model is given: it passes everything on
 * to whatever is plugged in behind it, so that a guard or a fault injector can be put in between
 * without the model or the fabric knowing.
 */
import { type Clock, PeerbufError, type ScheduledEvent } from "@peerbuf/core";
import type { Bytes } from "./carry.ts";
import type { Completion, DevicePort } from "./device-model.ts";
import type { Fabric } from "./fabric.ts";
import type { InterruptLines } from "./interrupts.ts";
import type { MachineLinks } from "./links/machine-links.ts";
import type { TransferPlan } from "./links/transfer-plan.ts";
import type { SparseMemory } from "./sparse-memory.ts";

export const COMPLETED: Completion = Object.freeze({ ok: true, lostBytes: 0 });

export const lost = (lostBytes: number): Completion =>
  lostBytes === 0 ? COMPLETED : { ok: false, lostBytes };

export class FabricPort implements DevicePort {
  readonly bdf: string;
  readonly clock: Clock;
  readonly #row: number;
  readonly #fabric: Fabric;
  readonly #interrupts: InterruptLines;
  readonly #links: MachineLinks;

  constructor(
    row: number,
    fabric: Fabric,
    interrupts: InterruptLines,
    clock: Clock,
    links: MachineLinks,
  ) {
    this.#links = links;
    this.bdf = fabric.topology.bdfOf(row);
    this.clock = clock;
    this.#row = row;
    this.#fabric = fabric;
    this.#interrupts = interrupts;
  }

  read(address: number, target: Bytes, targetOffset: number, lengthBytes: number): Completion {
    checkAddress(address, this.bdf);
    return lost(this.#fabric.read(this.#row, address, target, targetOffset, lengthBytes));
  }

  write(address: number, source: Bytes, sourceOffset: number, lengthBytes: number): Completion {
    checkAddress(address, this.bdf);
    return lost(this.#fabric.write(this.#row, address, source, sourceOffset, lengthBytes));
  }

  readInto(
    address: number,
    target: SparseMemory,
    targetOffset: number,
    lengthBytes: number,
  ): Completion {
    return this.read(address, target, targetOffset, lengthBytes);
  }

  writeFrom(
    address: number,
    source: SparseMemory,
    sourceOffset: number,
    lengthBytes: number,
  ): Completion {
    return this.write(address, source, sourceOffset, lengthBytes);
  }

  transfer(plan: TransferPlan, done: () => void): ScheduledEvent {
    return this.#links.transfer(this.#row, plan, done);
  }

  interrupt(vector: number): void {
    this.#interrupts.raise(vector);
  }
}

function checkAddress(address: number, bdf: string): void {
  if (!(Number.isSafeInteger(address) && address >= 0)) {
    throw new PeerbufError(
      "ADDRESS_INVALID",
      `${bdf} issued a request at ${address}, no bus address`,
    );
  }
}

export class SocketPort implements DevicePort {
  readonly bdf: string;
  readonly clock: Clock;
  /** Where requests go. */
  plug: DevicePort;

  constructor(plug: DevicePort) {
    this.bdf = plug.bdf;
    this.clock = plug.clock;
    this.plug = plug;
  }

  read(address: number, target: Uint8Array, targetOffset: number, lengthBytes: number): Completion {
    return this.plug.read(address, target, targetOffset, lengthBytes);
  }

  write(
    address: number,
    source: Uint8Array,
    sourceOffset: number,
    lengthBytes: number,
  ): Completion {
    return this.plug.write(address, source, sourceOffset, lengthBytes);
  }

  readInto(
    address: number,
    target: SparseMemory,
    targetOffset: number,
    lengthBytes: number,
  ): Completion {
    return this.plug.readInto(address, target, targetOffset, lengthBytes);
  }

  writeFrom(
    address: number,
    source: SparseMemory,
    sourceOffset: number,
    lengthBytes: number,
  ): Completion {
    return this.plug.writeFrom(address, source, sourceOffset, lengthBytes);
  }

  transfer(plan: TransferPlan, done: () => void): ScheduledEvent {
    return this.plug.transfer(plan, done);
  }

  interrupt(vector: number): void {
    this.plug.interrupt(vector);
  }
}
