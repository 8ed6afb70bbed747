/**
 * Watched port: a device's link whose requests the world looks at before they go out.
 */
import type { Clock, ScheduledEvent } from "@peerbuf/core";
import type { Completion, DevicePort, RequestAttributes, SparseMemory } from "@peerbuf/machine";

/** One request of a device. */
export type Look = (address: number, lengthBytes: number, kind: "read" | "write") => void;

type Plan = Parameters<DevicePort["transfer"]>[0];

export class WatchedPort implements DevicePort {
  readonly bdf: string;
  readonly #inner: DevicePort;
  readonly #look: Look;

  constructor(inner: DevicePort, look: Look) {
    this.bdf = inner.bdf;
    this.#inner = inner;
    this.#look = look;
  }

  get clock(): Clock {
    return this.#inner.clock;
  }

  get attributes(): RequestAttributes {
    return this.#inner.attributes;
  }

  as(attributes: RequestAttributes): DevicePort {
    return new WatchedPort(this.#inner.as(attributes), this.#look);
  }

  transfer(plan: Plan, done: () => void): ScheduledEvent {
    return this.#inner.transfer(plan, done);
  }

  interrupt(vector: number): void {
    this.#inner.interrupt(vector);
  }

  read(address: number, target: Uint8Array, targetOffset: number, lengthBytes: number): Completion {
    this.#look(address, lengthBytes, "read");
    return this.#inner.read(address, target, targetOffset, lengthBytes);
  }

  readInto(
    address: number,
    target: SparseMemory,
    targetOffset: number,
    lengthBytes: number,
  ): Completion {
    this.#look(address, lengthBytes, "read");
    return this.#inner.readInto(address, target, targetOffset, lengthBytes);
  }

  write(
    address: number,
    source: Uint8Array,
    sourceOffset: number,
    lengthBytes: number,
  ): Completion {
    this.#look(address, lengthBytes, "write");
    return this.#inner.write(address, source, sourceOffset, lengthBytes);
  }

  writeFrom(
    address: number,
    source: SparseMemory,
    sourceOffset: number,
    lengthBytes: number,
  ): Completion {
    this.#look(address, lengthBytes, "write");
    return this.#inner.writeFrom(address, source, sourceOffset, lengthBytes);
  }
}
