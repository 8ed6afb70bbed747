/**
 * Moving exporter: the kit's own partner for importers, with two places and an engine that copies between them.
 *
 * A real driver in all but its device: buffers begin in device memory, whoever cannot take that drags a buffer to
 * host pages unless somebody has pinned it, an eviction moves everything that may move. A copy that fails is done
 * again, three times, before its fence carries an error. Reference for drivers that move, and without a mistake that
 * the kit would find.
 */
import {
  BARS,
  type Bar,
  type BufferControl,
  DEVICE,
  type Decline,
  type Device,
  DMA,
  decline,
  defineExporter,
  type ExporterDriver,
  FENCES,
  type FenceContext,
  FenceError,
  HOST_MEMORY,
  type HostMemory,
  type HostPages,
  P2P,
  PeerbufError,
  type PhysicalAddress,
  PhysicalRanges,
  type Placement,
  type PlacementRequest,
  reason,
  SoftwareFence,
  type Storage,
} from "@peerbuf/core";
import { DMA_ENGINE, type DmaEngine } from "../ground/dma-engine.ts";
import { DRIVER_STATE, type DriverState, type StatePart } from "../ground/driver-state.ts";

export interface MovingExporterApi {
  /** Moves every buffer that may move to its other place; says how many did. */
  evict(): number;
}

type Place = "device" | "system";

const TYPES: Storage["types"] = Object.freeze([{ type: P2P }, { type: DMA }]);

/** Tries of one copy. */
const TRIES_MAX = 4;
const EVICTED = reason("EVICTED", "its memory is needed elsewhere");
const ELSEWHERE = reason("MOVED", "it lies in host memory for now");

export const movingExporter: ExporterDriver<undefined, MovingExporterApi> = defineExporter({
  name: "moving",
  needsDevice: true,
  open(services) {
    const [bar] = services.get(BARS).memory;
    if (bar === undefined) {
      throw new PeerbufError("SERVICE_MISSING", "the device has no memory behind a BAR");
    }
    const domain = services.get(FENCES);
    let made = 0;
    const parts: Parts = {
      bar,
      device: services.get(DEVICE),
      memory: services.get(HOST_MEMORY),
      engine: services.get(DMA_ENGINE),
      state: services.get(DRIVER_STATE),
      timeline: () =>
        domain.createContext({ driverName: "moving", timelineName: `copies of buffer ${++made}` }),
    };
    const buffers = new Set<MovingBuffer>();
    let used = 0;
    return {
      api: { evict: () => [...buffers].filter((buffer) => buffer.evict()).length },
      allocate(sizeBytes, wishes, control) {
        const [unknown] = Object.keys(wishes);
        if (unknown !== undefined) {
          throw new PeerbufError("ARGUMENT_INVALID", `moving: there is no wish "${unknown}"`);
        }
        if (used + sizeBytes > bar.sizeBytes) {
          throw new PeerbufError("MEMORY_EXHAUSTED", `${sizeBytes} bytes of device memory`);
        }
        const home = PhysicalRanges.of((bar.start + used) as PhysicalAddress, sizeBytes);
        bar.write(used, new Uint8Array(sizeBytes)); // Nobody's old bytes.
        used += sizeBytes;
        const buffer = new MovingBuffer(parts, control, home);
        buffers.add(buffer);
        return storageOf(buffer, () => {
          buffers.delete(buffer);
          used -= buffers.size === 0 ? used : 0;
        });
      },
    };
  },
});

interface Parts {
  readonly device: Device;
  readonly memory: HostMemory;
  readonly bar: Bar;
  readonly engine: DmaEngine;
  readonly state: DriverState;
  /** Copies of different buffers end in any order, so each buffer has a timeline of its own. */
  timeline(): FenceContext;
}

function storageOf(buffer: MovingBuffer, released: () => void): Storage {
  return {
    types: TYPES,
    place: (request) => buffer.placement(request),
    pin: (request) => buffer.placement(request),
    unpin() {},
    read: (offset, target) => buffer.access(offset, target, "read"),
    write: (offset, source) => buffer.access(offset, source, "write"),
    release() {
      buffer.release();
      released();
    },
  };
}

class MovingBuffer {
  readonly #parts: Parts;
  readonly #control: BufferControl;
  readonly #home: PhysicalRanges;
  #place: Place = "device";
  #pages: HostPages | undefined;
  readonly #timeline: FenceContext;
  #seqno = 0;
  #isCopying = false;
  /** The rest of its state changes with the place of the buffer, which is seen without it. */
  readonly #copying: StatePart;
  /** Both made once a place: the same object may serve many mappings. */
  #there: Placement | undefined;

  constructor(parts: Parts, control: BufferControl, home: PhysicalRanges) {
    this.#parts = parts;
    this.#timeline = parts.timeline();
    this.#copying = parts.state.part(`copy from ${home.start(0)}`);
    this.#control = control;
    this.#home = home;
  }

  placement({ pair }: PlacementRequest): Placement | Decline {
    if (pair.type === DMA && this.#place === "device" && !this.move("system")) {
      return decline("PINNED_IN_DEVICE", "somebody needs it in device memory, or it is on its way");
    }
    if (pair.require && pair.type === P2P && this.#place === "system") {
      return decline(ELSEWHERE.code, ELSEWHERE.text);
    }
    this.#there ??= this.#here();
    return pair.type === P2P && this.#place === "system"
      ? { ...this.#there, reason: ELSEWHERE }
      : this.#there;
  }

  evict(): boolean {
    return this.move(this.#place === "device" ? "system" : "device");
  }

  /** False: it is pinned, or a copy is under way already. */
  move(to: Place): boolean {
    this.#copying.looks();
    if (this.#control.isPinned || this.#isCopying) {
      return false;
    }
    this.#control.move(EVICTED, (after) => {
      const copy = this.#begin(to);
      if (after.addCallback(copy.start, "the copy of a move") === "signaled") {
        copy.start();
      }
      return copy.fence;
    });
    return true;
  }

  /** A move may begin in the middle of a bracket: the CPU waits for the bytes. */
  async access(offset: number, bytes: Uint8Array, way: "read" | "write"): Promise<void> {
    const { reservation } = this.#control;
    while (!reservation.testSignaled("kernel")) {
      await reservation.idle("kernel");
    }
    this.#eachByte(offset, bytes, way);
  }

  #eachByte(offset: number, bytes: Uint8Array, way: "read" | "write"): void {
    if (this.#place === "device") {
      this.#parts.bar[way](this.#home.start(0) - this.#parts.bar.start + offset, bytes);
      return;
    }
    const ranges = this.#ranges();
    let before = 0;
    for (let index = 0; index < ranges.count; index++) {
      const length = ranges.lengthBytes(index);
      const from = Math.max(offset, before);
      const to = Math.min(offset + bytes.length, before + length);
      if (to > from) {
        const address = (ranges.start(index) + from - before) as PhysicalAddress;
        this.#parts.memory[way](address, bytes.subarray(from - offset, to - offset));
      }
      before += length;
    }
  }

  release(): void {
    if (this.#pages !== undefined) {
      this.#parts.memory.free(this.#pages);
    }
  }

  #here(): Placement {
    return this.#place === "device"
      ? { target: "device", provider: this.#parts.device, ranges: this.#home }
      : { target: "system", ranges: this.#ranges() };
  }

  #ranges(): PhysicalRanges {
    return this.#pages?.ranges ?? this.#home;
  }

  /** The copy, which begins when `start` is called. */
  #begin(to: Place): { start: () => void; fence: SoftwareFence } {
    const { memory } = this.#parts;
    const from = this.#ranges();
    const leaving = this.#pages;
    this.#pages = to === "system" ? memory.allocate(from.sizeBytes) : undefined;
    this.#place = to;
    this.#there = undefined;
    this.#copying.changes();
    this.#isCopying = true;
    const fence = new SoftwareFence(this.#timeline, ++this.#seqno);
    const target = this.#ranges();
    const finish = (): void => {
      this.#copying.changes();
      this.#isCopying = false;
      if (leaving !== undefined) {
        memory.free(leaving);
      }
      fence.signal();
    };
    return { fence, start: () => this.#copy(from, target, fence, finish, 1) };
  }

  #copy(
    from: PhysicalRanges,
    to: PhysicalRanges,
    fence: SoftwareFence,
    finish: () => void,
    tries: number,
  ): void {
    this.#parts.engine.copy(from, to, (ok) => {
      if (!ok && tries < TRIES_MAX) {
        this.#copy(from, to, fence, finish, tries + 1);
        return;
      }
      if (!ok) {
        fence.setError(new FenceError("EIO", `the copy failed ${tries} times`));
      }
      finish();
    });
  }
}
