/**
 * DMA guard: keeps devices within their mappings.
 *
 * It is not hardware, and not there by default where an IOMMU translates. Without one a real device
 * reaches all of memory at any time, and a DMA after unmap corrupts whoever owns the pages next. The
 * guard wraps the DMA layer and the devices' ports: it remembers what is mapped for each device, in
 * which direction, and turns any other access into a fault that hurts nobody: all ones for a read,
 * nothing for a write, counted and logged. The
 * fabric below does not know of it; a platform can be made without.
 */
import {
  type Clock,
  type Device,
  type Direction,
  type DmaLayer,
  type DmaRefusal,
  type DmaRequest,
  deviceReads,
  deviceWrites,
  PeerbufError,
  type ScheduledEvent,
  type SegmentList,
} from "@peerbuf/core";
import type { Completion, DevicePort } from "./device-model.ts";
import type { FaultLog } from "./fault-log.ts";
import type { TransferPlan } from "./links/transfer-plan.ts";
import { LiveRanges, MAY_READ, MAY_WRITE } from "./live-ranges.ts";
import { COMPLETED, lost } from "./port.ts";
import type { RequestAttributes } from "./requester.ts";
import { SparseMemory } from "./sparse-memory.ts";

export class DmaGuard implements DmaLayer {
  readonly name: string;
  readonly #inner: DmaLayer;
  readonly #log: FaultLog;
  readonly #requesterOf: (device: Device) => string;
  readonly #live = new Map<string, LiveRanges>();
  #faults = 0;

  /** `requesterOf`: BDF of the function that issues a device's requests. */
  constructor(inner: DmaLayer, log: FaultLog, requesterOf: (device: Device) => string) {
    this.#requesterOf = requesterOf;
    this.name = inner.name;
    this.#inner = inner;
    this.#log = log;
  }

  /** Accesses that were kept out. */
  get faultCount(): number {
    return this.#faults;
  }

  map(request: DmaRequest): SegmentList | DmaRefusal {
    const made = this.#inner.map(request);
    if ("answer" in made) {
      return made;
    }
    const live = this.#liveOf(this.#requesterOf(request.client));
    const rights = rightsOf(request.direction);
    for (let index = 0; index < made.count; index++) {
      live.add(made.address(index), made.lengthBytes(index), rights);
    }
    return made;
  }

  /** `HANDLE_CLOSED` for segments that are not mapped for this client in this direction; nothing changes then. */
  unmap(client: Device, segments: SegmentList, direction: Direction): void {
    const live = this.#liveOf(this.#requesterOf(client));
    const rights = rightsOf(direction);
    for (let index = 0; index < segments.count; index++) {
      if (!live.remove(segments.address(index), segments.lengthBytes(index), rights)) {
        restore(live, segments, rights, index);
        throw new PeerbufError(
          "HANDLE_CLOSED",
          `${client.id}: these segments are not mapped ${direction}`,
        );
      }
    }
    this.#inner.unmap(client, segments, direction);
  }

  /** The same port, kept within the device's mappings. */
  wrapPort(port: DevicePort): DevicePort {
    return new GuardedPort(port, this.#liveOf(port.bdf), (address, lengthBytes, kind) => {
      this.#faults++;
      this.#log.add({
        requester: port.bdf,
        address,
        lengthBytes,
        kind,
        reason: "NOT_MAPPED",
        at: "guard",
        timeNs: port.clock.nowNs,
      });
    });
  }

  #liveOf(requester: string): LiveRanges {
    let live = this.#live.get(requester);
    if (live === undefined) {
      live = new LiveRanges();
      this.#live.set(requester, live);
    }
    return live;
  }
}

const rightsOf = (direction: Direction): number =>
  (deviceReads(direction) ? MAY_READ : 0) | (deviceWrites(direction) ? MAY_WRITE : 0);

function restore(live: LiveRanges, segments: SegmentList, rights: number, count: number): void {
  for (let index = 0; index < count; index++) {
    live.add(segments.address(index), segments.lengthBytes(index), rights);
  }
}

type ReportFault = (address: number, lengthBytes: number, kind: "read" | "write") => void;
/** One piece of an access that is mapped. */
type Pass = (address: number, offset: number, lengthBytes: number) => Completion;

class GuardedPort implements DevicePort {
  readonly bdf: string;
  readonly clock: Clock;
  readonly #inner: DevicePort;
  readonly #live: LiveRanges;
  readonly #report: ReportFault;

  constructor(inner: DevicePort, live: LiveRanges, report: ReportFault) {
    this.bdf = inner.bdf;
    this.clock = inner.clock;
    this.#inner = inner;
    this.#live = live;
    this.#report = report;
  }

  read(address: number, target: Uint8Array, targetOffset: number, lengthBytes: number): Completion {
    if (this.#live.reach(address, MAY_READ) >= lengthBytes) {
      return this.#inner.read(address, target, targetOffset, lengthBytes);
    }
    const pass: Pass = (at, offset, piece) => this.#inner.read(at, target, offset, piece);
    return this.#pieces(address, targetOffset, lengthBytes, "read", pass, target);
  }

  readInto(
    address: number,
    target: SparseMemory,
    targetOffset: number,
    lengthBytes: number,
  ): Completion {
    if (this.#live.reach(address, MAY_READ) >= lengthBytes) {
      return this.#inner.readInto(address, target, targetOffset, lengthBytes);
    }
    const pass: Pass = (at, offset, piece) => this.#inner.readInto(at, target, offset, piece);
    return this.#pieces(address, targetOffset, lengthBytes, "read", pass, target);
  }

  write(
    address: number,
    source: Uint8Array,
    sourceOffset: number,
    lengthBytes: number,
  ): Completion {
    if (this.#live.reach(address, MAY_WRITE) >= lengthBytes) {
      return this.#inner.write(address, source, sourceOffset, lengthBytes);
    }
    const pass: Pass = (at, offset, piece) => this.#inner.write(at, source, offset, piece);
    return this.#pieces(address, sourceOffset, lengthBytes, "write", pass);
  }

  writeFrom(
    address: number,
    source: SparseMemory,
    sourceOffset: number,
    lengthBytes: number,
  ): Completion {
    if (this.#live.reach(address, MAY_WRITE) >= lengthBytes) {
      return this.#inner.writeFrom(address, source, sourceOffset, lengthBytes);
    }
    const pass: Pass = (at, offset, piece) => this.#inner.writeFrom(at, source, offset, piece);
    return this.#pieces(address, sourceOffset, lengthBytes, "write", pass);
  }

  transfer(plan: TransferPlan, done: () => void): ScheduledEvent {
    return this.#inner.transfer(plan, done);
  }

  get attributes(): RequestAttributes {
    return this.#inner.attributes;
  }

  as(attributes: RequestAttributes): DevicePort {
    return new GuardedPort(this.#inner.as(attributes), this.#live, this.#report);
  }

  interrupt(vector: number): void {
    this.#inner.interrupt(vector);
  }

  /** The slow way: an access over several mappings, or over the edge of one. */
  #pieces(
    address: number,
    offset: number,
    lengthBytes: number,
    kind: "read" | "write",
    pass: Pass,
    target?: Uint8Array | SparseMemory,
  ): Completion {
    const right = kind === "read" ? MAY_READ : MAY_WRITE;
    let lostBytes = 0;
    for (let done = 0; done < lengthBytes; ) {
      const at = address + done;
      const allowed = Math.min(this.#live.reach(at, right), lengthBytes - done);
      if (allowed > 0) {
        lostBytes += pass(at, offset + done, allowed).lostBytes;
        done += allowed;
        continue;
      }
      const gap = Math.min(this.#live.nextStart(at) - at, lengthBytes - done);
      this.#report(at, gap, kind);
      fillOnes(target, offset + done, gap);
      lostBytes += gap;
      done += gap;
    }
    return lostBytes === 0 ? COMPLETED : lost(lostBytes);
  }
}

function fillOnes(
  target: Uint8Array | SparseMemory | undefined,
  offset: number,
  lengthBytes: number,
): void {
  if (target instanceof SparseMemory) {
    target.fill(0xff, offset, lengthBytes);
  } else {
    target?.fill(0xff, offset, offset + lengthBytes);
  }
}
