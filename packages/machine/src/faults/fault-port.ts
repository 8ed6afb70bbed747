/**
 * Fault port: a device's link on which faults happen.
 *
 * Passes everything on as it is unless a rule strikes. What cannot be told from the outside of a real
 * device is not told here either: a posted write that vanished was sent, as far as its sender knows.
 */
import type { Clock, ScheduledEvent } from "@peerbuf/core";
import { fillOnes } from "../carry.ts";
import type { Completion, DevicePort } from "../device-model.ts";
import type { TransferPlan } from "../links/transfer-plan.ts";
import { COMPLETED, lost } from "../port.ts";
import type { RequestAttributes } from "../requester.ts";
import type { SparseMemory } from "../sparse-memory.ts";
import type { ActiveRule, Occasion } from "./active-rule.ts";
import type { FunctionState } from "./function-state.ts";

/** What a port needs of its injector. */
export interface FaultSource {
  /** The first rule that strikes here, if any. */
  strike(occasion: Occasion): ActiveRule | undefined;
  /** A number below `count`, from the choice source. */
  detail(rule: ActiveRule, device: string, count: number): number;
  /** Writes down what was done. */
  report(rule: ActiveRule, occasion: Occasion, text: string): void;
  /** Has a fault that lasts begun for this device? */
  lasting(fault: "engine-stall" | "fence-stuck", device: string): ActiveRule | undefined;
  /** Takes the function off the bus. */
  lose(device: string): void;
  /** Writes what an IOMMU would. */
  logIommuFault(device: string, address: number, lengthBytes: number, kind: "read" | "write"): void;
  targetOf(device: string, address: number, kind: "read" | "write"): string | undefined;
  /** Reading it twice changes nothing. */
  isMemory(device: string, address: number): boolean;
}

type Bytes = Uint8Array | SparseMemory;

export class FaultPort implements DevicePort {
  readonly bdf: string;
  readonly #inner: DevicePort;
  readonly #faults: FaultSource;
  readonly #state: FunctionState;

  constructor(inner: DevicePort, faults: FaultSource, state: FunctionState) {
    this.bdf = inner.bdf;
    this.#inner = inner;
    this.#faults = faults;
    this.#state = state;
  }

  get clock(): Clock {
    return this.#state.clock;
  }

  get attributes(): RequestAttributes {
    return this.#inner.attributes;
  }

  as(attributes: RequestAttributes): DevicePort {
    return new FaultPort(this.#inner.as(attributes), this.#faults, this.#state);
  }

  /** A stalled engine does not hear that its bytes could move. */
  transfer(plan: TransferPlan, done: () => void): ScheduledEvent {
    return this.#state.clock.plan((due) => this.#inner.transfer(plan, due), done);
  }

  read(address: number, target: Uint8Array, targetOffset: number, lengthBytes: number): Completion {
    return this.#read(address, target, targetOffset, lengthBytes, () =>
      this.#inner.read(address, target, targetOffset, lengthBytes),
    );
  }

  readInto(
    address: number,
    target: SparseMemory,
    targetOffset: number,
    lengthBytes: number,
  ): Completion {
    return this.#read(address, target, targetOffset, lengthBytes, () =>
      this.#inner.readInto(address, target, targetOffset, lengthBytes),
    );
  }

  write(
    address: number,
    source: Uint8Array,
    sourceOffset: number,
    lengthBytes: number,
  ): Completion {
    const copy = (): Uint8Array => source.slice(sourceOffset, sourceOffset + lengthBytes);
    return this.#write(address, lengthBytes, copy, () =>
      this.#inner.write(address, source, sourceOffset, lengthBytes),
    );
  }

  writeFrom(
    address: number,
    source: SparseMemory,
    sourceOffset: number,
    lengthBytes: number,
  ): Completion {
    const copy = (): Uint8Array => {
      const bytes = new Uint8Array(lengthBytes);
      source.read(sourceOffset, bytes);
      return bytes;
    };
    return this.#write(address, lengthBytes, copy, () =>
      this.#inner.writeFrom(address, source, sourceOffset, lengthBytes),
    );
  }

  interrupt(vector: number): void {
    const occasion: Occasion = { kind: "interrupt", device: this.bdf };
    const send = (): void => this.#inner.interrupt(vector);
    const lasting = this.#faults.lasting("fence-stuck", this.bdf);
    const rule = lasting ?? this.#faults.strike(occasion);
    const say = (text: string): void => {
      if (rule !== undefined) {
        this.#faults.report(rule, occasion, `vector ${vector} ${text}`);
      }
    };
    switch (rule?.rule.fault) {
      case "drop":
      case "fence-stuck":
        say("stays away");
        return;
      case "device-lost":
        say("stays away: the function is gone");
        this.#lose();
        return;
      case "delay":
        say(`comes ${rule.rule.delayNs} ns late`);
        this.#state.late.add(rule.rule.delayNs, send);
        return;
      case "duplicate":
        say("comes twice");
        this.#posted(send);
        break;
    }
    this.#posted(send);
  }

  #read(
    address: number,
    target: Bytes,
    targetOffset: number,
    lengthBytes: number,
    pass: () => Completion,
  ): Completion {
    this.#state.late.push();
    const occasion = this.#request("read", address, lengthBytes);
    const rule = this.#faults.strike(occasion);
    const say = (text: string): void => {
      if (rule !== undefined) {
        this.#faults.report(rule, occasion, text);
      }
    };
    switch (rule?.rule.fault) {
      case "drop":
        say("the completion never comes");
        return lostRead(target, targetOffset, lengthBytes);
      case "iommu-fault":
        say("stopped at the IOMMU");
        this.#faults.logIommuFault(this.bdf, address, lengthBytes, "read");
        return lostRead(target, targetOffset, lengthBytes);
      case "device-lost":
        say("lost: the function is gone");
        this.#lose();
        return lostRead(target, targetOffset, lengthBytes);
      case "duplicate":
        if (this.#faults.isMemory(this.bdf, address)) {
          say("read twice");
          pass();
        } else {
          say("left alone: reading it twice could have side effects");
        }
        return pass();
      case "corrupt": {
        const answer = pass();
        say(this.#corrupt(rule, target, targetOffset, lengthBytes));
        return answer;
      }
    }
    return pass();
  }

  #write(
    address: number,
    lengthBytes: number,
    copy: () => Uint8Array,
    pass: () => Completion,
  ): Completion {
    const occasion = this.#request("write", address, lengthBytes);
    const rule = this.#faults.strike(occasion);
    const say = (text: string): void => {
      if (rule !== undefined) {
        this.#faults.report(rule, occasion, text);
      }
    };
    switch (rule?.rule.fault) {
      case "drop":
        say("vanishes");
        return lost(lengthBytes);
      case "iommu-fault":
        say("stopped at the IOMMU");
        this.#faults.logIommuFault(this.bdf, address, lengthBytes, "write");
        return lost(lengthBytes);
      case "device-lost":
        say("lost: the function is gone");
        this.#lose();
        return lost(lengthBytes);
      case "delay": {
        const bytes = copy();
        say(`arrives ${rule.rule.delayNs} ns late`);
        this.#state.late.add(rule.rule.delayNs, () => {
          this.#inner.write(address, bytes, 0, lengthBytes);
        });
        return COMPLETED;
      }
      case "corrupt": {
        const bytes = copy();
        say(this.#corrupt(rule, bytes, 0, lengthBytes));
        return this.#send(() => this.#inner.write(address, bytes, 0, lengthBytes));
      }
    }
    if (this.#state.late.isEmpty) {
      return pass();
    }
    const bytes = copy();
    return this.#send(() => this.#inner.write(address, bytes, 0, lengthBytes));
  }

  /** A posted write, behind those that are late. */
  #send(deliver: () => Completion): Completion {
    if (this.#state.late.isEmpty) {
      return deliver();
    }
    this.#state.late.add(0, deliver);
    return COMPLETED;
  }

  #posted(deliver: () => void): void {
    if (this.#state.late.isEmpty) {
      deliver();
    } else {
      this.#state.late.add(0, deliver);
    }
  }

  #request(kind: "read" | "write", address: number, lengthBytes: number): Occasion {
    const { bdf } = this;
    const target = (): string | undefined => this.#faults.targetOf(bdf, address, kind);
    return { kind, device: bdf, address, lengthBytes, target };
  }

  /** Changes one byte. Returns what was done. */
  #corrupt(rule: ActiveRule, bytes: Bytes, offset: number, lengthBytes: number): string {
    const at = this.#faults.detail(rule, this.bdf, lengthBytes);
    const mask = 1 + this.#faults.detail(rule, this.bdf, 255);
    flip(bytes, offset + at, mask);
    return `byte ${at} arrives changed by 0x${mask.toString(16).padStart(2, "0")}`;
  }

  #lose(): void {
    this.#state.late.forget();
    this.#faults.lose(this.bdf);
  }
}

function lostRead(target: Bytes, offset: number, lengthBytes: number): Completion {
  fillOnes(target, offset, lengthBytes);
  return lost(lengthBytes);
}

function flip(bytes: Bytes, at: number, mask: number): void {
  if (bytes instanceof Uint8Array) {
    bytes[at] = (bytes[at] as number) ^ mask;
  } else {
    bytes.writeNumber(at, 1, bytes.readNumber(at, 1) ^ mask);
  }
}
