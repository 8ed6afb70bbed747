/**
 * Inspect: what a harness may see of a machine and no device or driver can.
 *
 * A test instrument, not hardware: it reads and writes bytes where they are, without the fabric, the
 * root complex or any counter taking part.
 */
import { PeerbufError } from "@peerbuf/core";
import type { Observable } from "rxjs";
import type { BarSlot } from "./bar-slot.ts";
import type { CommandBits } from "./command-register.ts";
import type { FunctionErrors } from "./error-registers.ts";
import type { Fabric } from "./fabric.ts";
import type { Fault, FaultLog } from "./fault-log.ts";
import type { ModelledHostMemory } from "./host-memory.ts";
import { CPU, type RequestAttributes } from "./requester.ts";
import type { AccessKind } from "./root-complex.ts";
import { type Hop, type HopEvent, type LossReason, lostAt, ROOT_COMPLEX } from "./route.ts";
import type { SparseMemory } from "./sparse-memory.ts";
import type { MemoryTraffic, TrafficCounters } from "./traffic.ts";

/** One step of a request's way. */
export interface TraceHop {
  /** BDF, or `root complex`. */
  readonly at: string;
  readonly event: HopEvent;
}

export interface Trace {
  readonly hops: readonly TraceHop[];
  /** The way back of a read's completion, from the completer on; empty for writes. */
  readonly completion: readonly TraceHop[];
  /** Where it ends: RAM, or byte `offset` of a function's BAR. Undefined when it reaches nothing. */
  readonly arrivesAt:
    | { readonly kind: "ram"; readonly node: number }
    | { readonly kind: "bar"; readonly bdf: string; readonly bar: number; readonly offset: number }
    | undefined;
  /** Why it reaches nothing. */
  readonly loss: LossReason | undefined;
}

/** A memory BAR that has an address. */
export interface BarPlace {
  readonly bdf: string;
  readonly bar: number;
  /** CPU physical address of the first byte. */
  readonly start: number;
  readonly sizeBytes: number;
}

/** A BAR that has an address which the processors cannot reach, or not all of it. */
export interface UnreachableBar extends BarPlace {
  /** The first byte that is not reached, and where the request ends. */
  readonly firstLost: number;
  readonly at: string;
}

export class Inspect {
  readonly #memory: ModelledHostMemory;
  readonly #fabric: Fabric;
  readonly #log: FaultLog;

  constructor(memory: ModelledHostMemory, fabric: Fabric, log: FaultLog) {
    this.#memory = memory;
    this.#fabric = fabric;
    this.#log = log;
  }

  /** Every request that reaches nothing, from now on. */
  get faults(): Observable<Fault> {
    return this.#log.faults;
  }

  /** The last `FAULTS_KEPT_MAX` of them, oldest first. */
  recentFaults(): readonly Fault[] {
    return this.#log.recent();
  }

  /** All of them since the start. */
  get faultCount(): number {
    return this.#log.count;
  }

  /** Reads RAM or device memory at a CPU physical address. `ACCESS_FAULT` where there is none. */
  peek(address: number, target: Uint8Array): void {
    const { memory, offset } = this.#locate(address, target.length);
    memory.read(offset, target);
  }

  /** Writes RAM or device memory at a CPU physical address. `ACCESS_FAULT` where there is none. */
  poke(address: number, source: Uint8Array): void {
    const { memory, offset } = this.#locate(address, source.length);
    memory.write(offset, source);
  }

  /** What a function (BDF), or `cpu`, issued and lost. */
  traffic(requester: string): TrafficCounters {
    return this.#fabric.traffic.of(requester === "cpu" ? CPU : this.#row(requester));
  }

  totalTraffic(): TrafficCounters {
    return this.#fabric.traffic.total();
  }

  /** Bytes that passed a bridge (BDF), or the `root complex`, in either direction. */
  passedBytes(at: string): number {
    return this.#fabric.traffic.passedBytes(at === "root complex" ? ROOT_COMPLEX : this.#row(at));
  }

  /** What requests of devices, not of the processors, took from host RAM and put there. */
  memoryTraffic(): MemoryTraffic {
    return this.#fabric.traffic.ofMemory();
  }

  /**
   * Error registers of a function (BDF), as `lspci -vvv` would show them: what it logged of requests that
   * went wrong. They stay set until cleared.
   */
  errors(bdf: string): FunctionErrors {
    return this.#fabric.errors.of(this.#row(bdf));
  }

  /** Writes ones to all error bits of a function, which clears them. */
  clearErrors(bdf: string): void {
    this.#fabric.errors.clear(this.#row(bdf));
  }

  /** Memory Space Enable and Bus Master Enable of a function as they are now, and whether it is there at all. */
  command(bdf: string): Required<CommandBits> & { readonly present: boolean } {
    const row = this.#row(bdf);
    const { command, power } = this.#fabric;
    return {
      memory: command.memory(row),
      busMaster: command.busMaster(row),
      present: power.isPresent(row),
    };
  }

  /** The way of a request for the byte at a bus address of the requester (BDF or `cpu`); nothing is moved or counted. */
  trace(
    requester: string,
    address: number,
    kind: AccessKind,
    attributes: RequestAttributes = {},
  ): Trace {
    const row = requester === "cpu" ? CPU : this.#row(requester);
    const { route, hops, physical, loss } = this.#fabric.trace(row, address, kind, attributes);
    const named = ({ row: at, event }: Hop): TraceHop => ({ at: this.#name(at), event });
    return {
      hops: hops.map(named),
      completion: route.completion.map(named),
      arrivesAt: this.#end(route.slot, route.bank?.node, physical),
      loss,
    };
  }

  /** The memory BARs of all functions, bridges included, in row order. Those without an address or of unknown size are not there. */
  bars(): readonly BarPlace[] {
    return this.#fabric.map.slots.map((slot) => this.#place(slot));
  }

  /** BARs that claim their address and which the processors do not reach in full: outside of their bridges' windows. */
  unreachableBars(): readonly UnreachableBar[] {
    const { command, power } = this.#fabric;
    return this.#fabric.map.slots
      .filter(({ row }) => command.memory(row) && power.isPresent(row))
      .flatMap((slot) => this.#unreached(slot));
  }

  /** Bytes of real memory behind the machine's RAM. */
  get committedBytes(): number {
    return this.#memory.banks.reduce((sum, bank) => sum + bank.memory.committedBytes, 0);
  }

  #unreached(slot: BarSlot): UnreachableBar[] {
    const { route } = this.#fabric.trace(CPU, slot.start, "read");
    const isReached = route.slot === slot;
    const end = slot.start + slot.sizeBytes;
    if (isReached && route.until >= end) {
      return [];
    }
    const firstLost = isReached ? route.until : slot.start;
    const lost = this.#fabric.trace(CPU, firstLost, "read").route;
    return [
      {
        ...this.#place(slot),
        firstLost,
        at: this.#name(lostAt(lost)),
      },
    ];
  }

  #place({ row, index, start, sizeBytes }: BarSlot): BarPlace {
    return { bdf: this.#name(row), bar: index, start, sizeBytes };
  }

  #locate(address: number, lengthBytes: number): { memory: SparseMemory; offset: number } {
    const end = address + lengthBytes;
    for (const bank of this.#memory.banks) {
      if (address >= bank.start && end <= bank.end) {
        return { memory: bank.memory, offset: address - bank.start };
      }
    }
    for (const { start, sizeBytes, model } of this.#fabric.map.slots) {
      if (model?.kind === "memory" && address >= start && end <= start + sizeBytes) {
        return { memory: model.memory, offset: model.base + address - start };
      }
    }
    throw new PeerbufError(
      "ACCESS_FAULT",
      `there is neither RAM nor one device's memory at 0x${address.toString(16)} + ${lengthBytes} bytes`,
    );
  }

  #end(slot: BarSlot | undefined, node: number | undefined, physical: number): Trace["arrivesAt"] {
    if (slot !== undefined) {
      const offset = physical - slot.start;
      return { kind: "bar", bdf: this.#name(slot.row), bar: slot.index, offset };
    }
    return node === undefined ? undefined : { kind: "ram", node };
  }

  #row(bdf: string): number {
    return this.#fabric.topology.require(bdf);
  }

  #name(row: number): string {
    return row === ROOT_COMPLEX ? "root complex" : this.#fabric.topology.bdfOf(row);
  }
}
