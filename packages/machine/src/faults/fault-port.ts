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
    const say = this.#sayer(rule, occasion);
    switch (rule?.rule.fault) {
      case "drop":
      case "fence-stuck":
        say(`vector ${vector} stays away`);
        return;
      case "device-lost":
        say(`vector ${vector} stays away: the function is gone`);
        this.#lose();
        return;
      case "delay":
        say(`vector ${vector} comes ${rule.rule.delayNs} ns late`);
        this.#late(rule, send);
        return;
      case "duplicate":
        say(`vector ${vector} comes twice`);
        this.#state.post(send);
        break;
    }
    this.#state.post(send);
  }

  #read(
    address: number,
    target: Bytes,
    targetOffset: number,
    lengthBytes: number,
    pass: () => Completion,
  ): Completion {
    this.#state.arrive();
    const occasion = this.#request("read", address, lengthBytes);
    const rule = this.#faults.strike(occasion);
    const say = this.#sayer(rule, occasion);
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
        this.#readAgain(address, say, pass);
        return pass();
      case "corrupt": {
        const answer = pass();
        say(this.#corrupt(rule, target, targetOffset, lengthBytes));
        return answer;
      }
    }
    return pass();
  }

  /** What has side effects is not read twice. */
  #readAgain(address: number, say: (text: string) => void, pass: () => Completion): void {
    if (this.#faults.isMemory(this.bdf, address)) {
      say("read twice");
      pass();
    } else {
      say("left alone: reading it twice could have side effects");
    }
  }

  #write(
    address: number,
    lengthBytes: number,
    copy: () => Uint8Array,
    pass: () => Completion,
  ): Completion {
    const occasion = this.#request("write", address, lengthBytes);
    const rule = this.#faults.strike(occasion);
    return rule === undefined
      ? this.#passOn(address, lengthBytes, copy, pass)
      : this.#strikeWrite(rule, occasion, address, lengthBytes, copy());
  }

  #passOn(
    address: number,
    lengthBytes: number,
    copy: () => Uint8Array,
    pass: () => Completion,
  ): Completion {
    const { late, passable } = this.#state;
    if (!late.isEmpty) {
      const bytes = copy();
      late.add(0, () => this.#inner.write(address, bytes, 0, lengthBytes));
      return COMPLETED;
    }
    if (this.attributes.relaxedOrdering !== true) {
      passable.arrive();
      return pass();
    }
    const answer = pass();
    passable.overtake();
    return answer;
  }

  #strikeWrite(
    rule: ActiveRule,
    occasion: Occasion,
    address: number,
    lengthBytes: number,
    bytes: Uint8Array,
  ): Completion {
    const say = this.#sayer(rule, occasion);
    const deliver = (): void => void this.#inner.write(address, bytes, 0, lengthBytes);
    switch (rule.rule.fault) {
      case "iommu-fault":
        say("stopped at the IOMMU");
        this.#faults.logIommuFault(this.bdf, address, lengthBytes, "write");
        return lost(lengthBytes);
      case "device-lost":
        say("lost: the function is gone");
        this.#lose();
        return lost(lengthBytes);
      case "delay":
        say(`arrives ${rule.rule.delayNs} ns late`);
        this.#late(rule, deliver);
        return COMPLETED;
      case "reorder":
        this.#state.letPass(rule.rule.delayNs, deliver, () =>
          say("was overtaken by a later write"),
        );
        return COMPLETED;
      case "corrupt":
        say(this.#corrupt(rule, bytes, 0, lengthBytes));
        this.#state.post(deliver);
        return COMPLETED;
      default:
        say("vanishes");
        return lost(lengthBytes);
    }
  }

  /** Behind what was posted before. */
  #late({ rule }: ActiveRule, deliver: () => void): void {
    this.#state.passable.arrive();
    this.#state.late.add(rule.delayNs, deliver);
  }

  #sayer(rule: ActiveRule | undefined, occasion: Occasion): (text: string) => void {
    return (text) => {
      if (rule !== undefined) {
        this.#faults.report(rule, occasion, text);
      }
    };
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
    this.#state.forget();
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
