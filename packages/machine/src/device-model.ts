/**
 * Device model: the contract between the machine and the hardware modelled in `devices/`.
 *
 * A model sees what a real device sees: requests that hit its BARs, and a port through which it
 * issues requests of its own. It never sees the machine, other devices or the rules that negotiate.
 */
import type { Clock, ScheduledEvent } from "@peerbuf/core";
import type { TransferPlan } from "./links/transfer-plan.ts";
import type { RequestAttributes } from "./requester.ts";
import type { AccessKind } from "./root-complex.ts";
import type { SparseMemory } from "./sparse-memory.ts";

/** The device's side of its PCIe link. Lengths and offsets in bytes. */
export interface DevicePort {
  /** The function it sits in, for messages. */
  readonly bdf: string;
  readonly clock: Clock;
  /**
   * One DMA read of `lengthBytes` at `address` into `target` from `targetOffset`. What reaches nothing
   * arrives as all ones, and the answer says so. `ADDRESS_INVALID`, `ARGUMENT_INVALID`, here and below: a number that is
   * no address, bytes outside of the model's own memory.
   */
  read(address: number, target: Uint8Array, targetOffset: number, lengthBytes: number): Completion;
  /** One DMA write, posted: what reaches nothing vanishes; a real device would not be told, and `ok` is for counters only. */
  write(address: number, source: Uint8Array, sourceOffset: number, lengthBytes: number): Completion;
  /** As `read` and `write`, between the fabric and the device's own memory, without a copy in between. */
  readInto(
    address: number,
    target: SparseMemory,
    targetOffset: number,
    lengthBytes: number,
  ): Completion;
  writeFrom(
    address: number,
    source: SparseMemory,
    sourceOffset: number,
    lengthBytes: number,
  ): Completion;
  /**
   * How long a transfer takes: `done` runs when links and limits have carried it, never within this call. No byte is
   * moved by it: the model reads and writes in `done`. The answer takes back what has not arrived yet.
   * `ARGUMENT_INVALID` for lengths, amounts and rates that are none.
   */
  transfer(plan: TransferPlan, done: () => void): ScheduledEvent;
  /** What the requests issued here bear beside address and length. */
  readonly attributes: RequestAttributes;
  /**
   * The same link, for requests with other attributes; those not named are off. For devices that hold
   * translations, order loosely, or are meant to misbehave. `InputError` for a requester id that is no BDF.
   */
  as(attributes: RequestAttributes): DevicePort;
  /** Sends the MSI-X message of this vector; lost, as any write, where the function may not issue one. */
  interrupt(vector: number): void;
}

/** How a request ended (PCIe base specification, completion status): all of it arrived, or part reached nothing. */
export interface Completion {
  readonly ok: boolean;
  /** Bytes that reached nothing. */
  readonly lostBytes: number;
}

/** What answers at a BAR. */
export type BarModel =
  | {
      /** Memory, such as VRAM: byte `offset` of the BAR is byte `base + offset` of the memory. */
      readonly kind: "memory";
      readonly memory: SparseMemory;
      readonly base: number;
      /** As for registers: `false` where the function decodes less than its BAR. Left out: all of it answers. */
      accepts?(offset: number, lengthBytes: number, kind: AccessKind): boolean;
    }
  | {
      /** Registers: called for naturally aligned accesses of 1, 2, 4 or 8 bytes; wider requests are split into 4. */
      readonly kind: "registers";
      read(offset: number, sizeBytes: number): number;
      write(offset: number, sizeBytes: number, value: number): void;
      /**
       * Asked before a request is split. `false`: the function answers it with Completer Abort: a read brings all
       * ones, a write does nothing, and the error registers show it. Left out: it takes whatever comes.
       */
      accepts?(offset: number, lengthBytes: number, kind: AccessKind): boolean;
    };

/** A BAR of the function as the capture has it. */
export interface BarShape {
  readonly index: number;
  readonly sizeBytes: number;
  readonly prefetchable: boolean;
}

/** A model, ready to be placed behind a captured function. */
export interface DeviceModel {
  /** What it is, e.g. `nvme`. */
  readonly name: string;
  /**
   * Takes the place. Chooses which of the function's memory BARs carries what, by index; BARs it does not
   * name answer nothing. Throws `InputError` when the function's BARs do not fit the model.
   */
  connect(port: DevicePort, bars: readonly BarShape[]): ReadonlyMap<number, BarModel>;
  /** Back to the state after power-on; work in flight is lost. */
  reset(): void;
}
