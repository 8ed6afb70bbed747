/**
 * Ports: through which a device model issues its requests.
 *
 * `FabricPort` is the link itself. `SocketPort` is what the model is given: it passes everything on
 * to whatever is plugged in behind it, so that a guard or a fault injector can be put in between
 * without the model or the fabric knowing. Requests are checked there, once: a model that makes none of
 * a driver's numbers throws, and nobody behind it meets an address or a length that is none.
 */
import { type Clock, PeerbufError, type ScheduledEvent } from "@peerbuf/core";
import type { Bytes } from "./carry.ts";
import { ContainedClock } from "./containment/contained-clock.ts";
import type { Containment } from "./containment/containment.ts";
import type { Completion, DevicePort } from "./device-model.ts";
import type { Fabric } from "./fabric.ts";
import type { InterruptLines } from "./interrupts.ts";
import type { MachineLinks } from "./links/machine-links.ts";
import type { TransferPlan } from "./links/transfer-plan.ts";
import type { LaneClock } from "./machine-clock.ts";
import { type RequestAttributes, Requester } from "./requester.ts";
import type { SparseMemory } from "./sparse-memory.ts";

export const COMPLETED: Completion = Object.freeze({ ok: true, lostBytes: 0 });

export const lost = (lostBytes: number): Completion =>
  lostBytes === 0 ? COMPLETED : { ok: false, lostBytes };

export class FabricPort implements DevicePort {
  readonly bdf: string;
  readonly clock: LaneClock;
  readonly #row: number;
  readonly #fabric: Fabric;
  readonly #interrupts: InterruptLines;
  readonly #links: MachineLinks;
  readonly #requester: Requester;

  constructor(
    row: number,
    fabric: Fabric,
    interrupts: InterruptLines,
    clock: LaneClock,
    links: MachineLinks,
    attributes: RequestAttributes = {},
  ) {
    this.bdf = fabric.topology.bdfOf(row);
    this.clock = clock;
    this.#row = row;
    this.#fabric = fabric;
    this.#interrupts = interrupts;
    this.#links = links;
    this.#requester = new Requester(fabric.topology, row, attributes);
  }

  get attributes(): RequestAttributes {
    return this.#requester.attributes;
  }

  as(attributes: RequestAttributes): DevicePort {
    const parts = [this.#fabric, this.#interrupts, this.clock, this.#links] as const;
    return new FabricPort(this.#row, ...parts, attributes);
  }

  read(address: number, target: Bytes, targetOffset: number, lengthBytes: number): Completion {
    return lost(this.#fabric.read(this.#requester, address, target, targetOffset, lengthBytes));
  }

  write(address: number, source: Bytes, sourceOffset: number, lengthBytes: number): Completion {
    return lost(this.#fabric.write(this.#requester, address, source, sourceOffset, lengthBytes));
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
    return this.#links.transfer(this.#row, plan, done, this.clock);
  }

  /** A message is a write: it is lost where the function may not issue one. */
  interrupt(vector: number): void {
    if (this.#fabric.mayIssue(this.#row)) {
      this.#interrupts.raise(vector);
    }
  }
}

/** A whole number beyond 2^53 is an address where nothing is; a driver may well have programmed one. */
function checkAddress(address: number, bdf: string): void {
  if (!(Number.isInteger(address) && address >= 0)) {
    throw new PeerbufError(
      "ADDRESS_INVALID",
      `${bdf} issued a request at ${address}, no bus address`,
    );
  }
}

/** The model's side of a request lies within the model's own memory, whatever a driver told it. */
function checkOwn(offset: number, lengthBytes: number, sizeBytes: number, bdf: string): void {
  const isWithin =
    Number.isInteger(offset) &&
    Number.isInteger(lengthBytes) &&
    offset >= 0 &&
    lengthBytes >= 0 &&
    offset + lengthBytes <= sizeBytes;
  if (!isWithin) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `${bdf} issued a request of ${lengthBytes} bytes for ${offset} on of its own ${sizeBytes} bytes`,
    );
  }
}

/** In this order, whatever the order in which a model names them. */
const ATTRIBUTES: (keyof RequestAttributes)[] = [
  "translated",
  "relaxedOrdering",
  "idOrdering",
  "noSnoop",
  "requesterId",
];

export class SocketPort implements DevicePort {
  readonly bdf: string;
  /** One for each set of attributes that was asked for. */
  readonly #attributed = new Map<string, SocketPort>();
  readonly #containment: Containment;
  #plug: DevicePort;
  /** The model's events run contained. */
  readonly clock: Clock;

  constructor(plug: DevicePort, containment: Containment) {
    this.bdf = plug.bdf;
    this.#plug = plug;
    this.#containment = containment;
    this.clock = new ContainedClock(() => this.#plug.clock, containment);
  }

  /** Where requests go. */
  get plug(): DevicePort {
    return this.#plug;
  }

  set plug(plug: DevicePort) {
    this.#plug = plug;
    for (const socket of this.#attributed.values()) {
      socket.plug = plug.as(socket.attributes);
    }
  }

  get attributes(): RequestAttributes {
    return this.#plug.attributes;
  }

  as(attributes: RequestAttributes): DevicePort {
    const key = JSON.stringify(attributes, ATTRIBUTES);
    const known = this.#attributed.get(key);
    if (known !== undefined) {
      return known;
    }
    const socket = new SocketPort(this.#plug.as(attributes), this.#containment);
    this.#attributed.set(key, socket);
    return socket;
  }

  read(address: number, target: Uint8Array, targetOffset: number, lengthBytes: number): Completion {
    checkAddress(address, this.bdf);
    checkOwn(targetOffset, lengthBytes, target.length, this.bdf);
    return this.#plug.read(address, target, targetOffset, lengthBytes);
  }

  write(
    address: number,
    source: Uint8Array,
    sourceOffset: number,
    lengthBytes: number,
  ): Completion {
    checkAddress(address, this.bdf);
    checkOwn(sourceOffset, lengthBytes, source.length, this.bdf);
    return this.#plug.write(address, source, sourceOffset, lengthBytes);
  }

  readInto(
    address: number,
    target: SparseMemory,
    targetOffset: number,
    lengthBytes: number,
  ): Completion {
    checkAddress(address, this.bdf);
    checkOwn(targetOffset, lengthBytes, target.sizeBytes, this.bdf);
    return this.#plug.readInto(address, target, targetOffset, lengthBytes);
  }

  writeFrom(
    address: number,
    source: SparseMemory,
    sourceOffset: number,
    lengthBytes: number,
  ): Completion {
    checkAddress(address, this.bdf);
    checkOwn(sourceOffset, lengthBytes, source.sizeBytes, this.bdf);
    return this.#plug.writeFrom(address, source, sourceOffset, lengthBytes);
  }

  transfer(plan: TransferPlan, done: () => void): ScheduledEvent {
    return this.#plug.transfer(plan, this.#containment.event(done));
  }

  interrupt(vector: number): void {
    this.#plug.interrupt(vector);
  }
}
