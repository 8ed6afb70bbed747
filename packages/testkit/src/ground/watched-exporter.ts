/**
 * Watched exporter: a driver whose buffers tell their world what happens to them.
 *
 * Wraps what the driver answers and changes none of it: counts transitions, tells the story, notes what a
 * step touched, keeps the control over each buffer for faults that come by themselves, and puts in the
 * faults that an exporter can meet at a call.
 */
import {
  ACCEPT,
  type AttachAnswer,
  type AttachRequest,
  type BufferControl,
  type CpuUse,
  type Decline,
  type Device,
  decline,
  type Exporter,
  type ExporterDriver,
  type Fence,
  PeerbufError,
  type PhysicalRanges,
  type Placement,
  type PlacementRequest,
  type Reason,
  type Storage,
  type WaitOptions,
} from "@peerbuf/core";
import type { OwnedState } from "./driver-state.ts";
import type { CallFault } from "./fault-kind.ts";
import { type Transition, transitionNumber } from "./transition.ts";

/** The ear of the world. */
export interface ExporterWatch {
  fault(kind: CallFault, at: string): boolean;
  /** Its driver asks for the attachments of a buffer, or whether it is pinned. */
  asked(buffer: WatchedBuffer): void;
  /** A buffer was allocated. */
  made(buffer: WatchedBuffer): void;
  /** Something happened to a buffer: the number of the transition, and what else is to be told of it. */
  happened(buffer: WatchedBuffer, now: number, detail: string): void;
}

/** One buffer of a watched exporter. */
export interface WatchedBuffer {
  readonly name: string;
  readonly driverName: string;
  readonly control: BufferControl;
  /** Of its driver. */
  readonly state: OwnedState;
  /** The number of its latest transition. */
  last: number;
  isReleased: boolean;
}

/** The same driver; `watch` hears of each buffer it allocates. */
export function watchedExporter<Options, Api>(
  driver: ExporterDriver<Options, Api>,
  watch: ExporterWatch,
  state: OwnedState,
): ExporterDriver<Options, Api> {
  const { role, name, needsDevice } = driver;
  return {
    role,
    name,
    needsDevice,
    open: (services, options) =>
      new WatchedExporter(name, driver.open(services, options), watch, state),
  };
}

class WatchedExporter<Api> implements Exporter<Api> {
  readonly #name: string;
  readonly #inner: Exporter<Api>;
  readonly #watch: ExporterWatch;
  readonly #state: OwnedState;
  #made = 0;

  constructor(name: string, inner: Exporter<Api>, watch: ExporterWatch, state: OwnedState) {
    this.#state = state;
    this.#name = name;
    this.#inner = inner;
    this.#watch = watch;
  }

  get api(): Api {
    return this.#inner.api;
  }

  allocate(...[sizeBytes, wishes, control]: Parameters<Exporter<Api>["allocate"]>): Storage {
    const name = `${this.#name} buffer ${++this.#made}`;
    const watched = new WatchedControl(control, name, this.#name, this.#watch, this.#state);
    const storage = this.#inner.allocate(sizeBytes, wishes, watched);
    this.#watch.happened(watched, ALLOCATE, `${sizeBytes} bytes`);
    this.#watch.made(watched);
    return new WatchedStorage(storage, watched, this.#watch);
  }

  close(): void {
    this.#inner.close?.();
  }
}

const numbers = (...names: Transition[]): number[] => names.map(transitionNumber);

const [ALLOCATE, ATTACH, ATTACH_REFUSED, PIN, UNPIN, PLACE, PLACE_REFUSED, MAP, UNMAP] = numbers(
  "allocate",
  "attach",
  "attach refused",
  "pin",
  "unpin",
  "place",
  "place refused",
  "map",
  "unmap",
) as [number, number, number, number, number, number, number, number, number];
const [
  MOVE,
  MOVE_REFUSED,
  REVOKE,
  RESTORE,
  COPY_OUT,
  COPY_BACK,
  CPU_BEGIN,
  CPU_END,
  DETACH,
  RELEASE,
] = numbers(
  "move",
  "move refused",
  "revoke",
  "restore",
  "copy out",
  "copy back",
  "cpu begin",
  "cpu end",
  "detach",
  "release",
) as [number, number, number, number, number, number, number, number, number, number];

const INJECTED = decline("FAULT_INJECTED", "the explorer refuses this attach");

function exhausted(): PeerbufError {
  return new PeerbufError("MEMORY_EXHAUSTED", "the explorer has taken the memory away");
}

/** An operation that the driver leaves out stays left out where that means something: those are fields. */
class WatchedStorage implements Storage {
  readonly types: Storage["types"];
  readonly reason?: Reason;
  readonly pin?: NonNullable<Storage["pin"]>;
  readonly unpin?: NonNullable<Storage["unpin"]>;
  readonly copy?: NonNullable<Storage["copy"]>;
  readonly read?: NonNullable<Storage["read"]>;
  readonly write?: NonNullable<Storage["write"]>;
  readonly #inner: Storage;
  readonly #buffer: WatchedControl;
  readonly #watch: ExporterWatch;

  constructor(inner: Storage, buffer: WatchedControl, watch: ExporterWatch) {
    this.#inner = inner;
    this.#buffer = buffer;
    this.#watch = watch;
    this.types = inner.types;
    const { reason, pin, unpin, copy, read, write } = inner;
    if (reason !== undefined) {
      this.reason = reason;
    }
    if (pin !== undefined) {
      this.pin = watchedPin;
    }
    if (unpin !== undefined) {
      this.unpin = watchedUnpin;
    }
    if (copy !== undefined) {
      this.copy = watchedCopy;
    }
    if (read !== undefined) {
      this.read = watchedRead;
    }
    if (write !== undefined) {
      this.write = watchedWrite;
    }
  }

  attach(request: AttachRequest): AttachAnswer {
    const fault = this.#watch.fault("attach-refused", this.#buffer.name);
    const answer = fault ? INJECTED : (this.#inner.attach?.(request) ?? ACCEPT);
    this.told(answer.answer === "decline" ? ATTACH_REFUSED : ATTACH, request.client.id);
    return answer;
  }

  detach(client: Device): void {
    this.told(DETACH, client.id);
    this.#inner.detach?.(client);
  }

  place(request: PlacementRequest): Placement | Decline {
    if (this.#watch.fault("map-exhausted", this.#buffer.name)) {
      this.told(PLACE_REFUSED, "MEMORY_EXHAUSTED");
      throw exhausted();
    }
    return this.placed(this.#inner.place(request), PLACE);
  }

  mapped(placement: Placement): void {
    this.told(MAP, placement.target);
    this.#inner.mapped?.(placement);
  }

  unmapped(placement: Placement): void {
    this.told(UNMAP, placement.target);
    this.#inner.unmapped?.(placement);
  }

  async beginCpuAccess(use: CpuUse): Promise<void> {
    if (this.#watch.fault("cpu-access-refused", this.#buffer.name)) {
      throw new PeerbufError("DEVICE_FAILED", "the explorer refuses this CPU access");
    }
    this.told(CPU_BEGIN, use);
    await this.#inner.beginCpuAccess?.(use);
  }

  async endCpuAccess(use: CpuUse): Promise<void> {
    this.told(CPU_END, use);
    await this.#inner.endCpuAccess?.(use);
  }

  release(): void {
    this.told(RELEASE, "");
    this.#buffer.isReleased = true;
    this.#inner.release();
  }

  /** For the operations that are fields. */
  get inner(): Storage {
    return this.#inner;
  }

  told(now: number, detail: string): void {
    this.#watch.happened(this.#buffer, now, detail);
  }

  placed(answer: Placement | Decline, now: number): Placement | Decline {
    const isNo = "answer" in answer;
    this.told(isNo ? PLACE_REFUSED : now, isNo ? answer.reason.code : answer.target);
    return answer;
  }
}

// Each made once, and put into every storage whose driver has the operation.

type Whole = Required<Storage>;

function watchedPin(this: WatchedStorage, request: PlacementRequest): Placement | Decline {
  return this.placed((this.inner as Whole).pin(request), PIN);
}

function watchedUnpin(this: WatchedStorage): void {
  this.told(UNPIN, "");
  (this.inner as Whole).unpin();
}

function watchedCopy(this: WatchedStorage, target: PhysicalRanges, way: "out" | "back"): Fence {
  this.told(way === "out" ? COPY_OUT : COPY_BACK, "");
  return (this.inner as Whole).copy(target, way);
}

function watchedRead(this: WatchedStorage, offset: number, target: Uint8Array): Promise<void> {
  return (this.inner as Whole).read(offset, target);
}

function watchedWrite(this: WatchedStorage, offset: number, source: Uint8Array): Promise<void> {
  return (this.inner as Whole).write(offset, source);
}

/** The control over a buffer, and the world hears what its exporter does with it. */
class WatchedControl implements BufferControl, WatchedBuffer {
  readonly name: string;
  readonly driverName: string;
  last: number = ALLOCATE;
  isReleased = false;
  readonly #inner: BufferControl;
  readonly #watch: ExporterWatch;
  readonly state: OwnedState;

  constructor(
    inner: BufferControl,
    name: string,
    driverName: string,
    watch: ExporterWatch,
    state: OwnedState,
  ) {
    this.state = state;
    this.#inner = inner;
    this.name = name;
    this.driverName = driverName;
    this.#watch = watch;
  }

  get control(): BufferControl {
    return this;
  }

  get reservation(): BufferControl["reservation"] {
    return this.#inner.reservation;
  }

  get attachments(): BufferControl["attachments"] {
    this.#watch.asked(this);
    return this.#inner.attachments;
  }

  get isPinned(): boolean {
    this.#watch.asked(this);
    return this.#inner.isPinned;
  }

  move(why: Reason, start: (after: Fence) => Fence): Fence {
    try {
      return this.#inner.move(why, (after) => {
        this.#watch.happened(this, MOVE, why.code);
        return start(after);
      });
    } catch (error) {
      this.#watch.happened(this, MOVE_REFUSED, codeOf(error));
      throw error;
    }
  }

  async revoke(why: Reason, options?: WaitOptions): Promise<void> {
    this.#watch.happened(this, REVOKE, why.code);
    await this.#inner.revoke(why, options);
  }

  restore(): void {
    this.#inner.restore();
    this.#watch.happened(this, RESTORE, "");
  }
}

const codeOf = (error: unknown): string =>
  error instanceof PeerbufError ? error.code : String(error);
