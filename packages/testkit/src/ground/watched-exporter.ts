/**
 * Watched exporter: a driver whose buffers tell their world what happens to them.
 *
 * Wraps what the driver answers and changes none of it: counts transitions, tells the story, notes what a
 * step touched, keeps the control over each buffer for faults that come by themselves, and puts in the
 * faults that an exporter can meet at a call.
 */
import {
  ACCEPT,
  type BufferControl,
  decline,
  type Exporter,
  type ExporterDriver,
  type Fence,
  PeerbufError,
  type Placement,
  type Storage,
} from "@peerbuf/core";
import type { CallFault } from "./fault-kind.ts";
import { type Transition, transitionNumber } from "./transition.ts";

/** The ear of the world. */
export interface ExporterWatch {
  fault(kind: CallFault, at: string): boolean;
  /** Something happened to a buffer: its number, the step before, the step now. */
  happened(buffer: WatchedBuffer, now: number, detail: string): void;
}

/** One buffer of a watched exporter. */
export interface WatchedBuffer {
  readonly name: string;
  readonly driverName: string;
  readonly control: BufferControl;
  /** The number of its latest transition. */
  last: number;
  isReleased: boolean;
}

/** The same driver; `onBuffer` hears of each buffer it allocates. */
export function watchedExporter<Options, Api>(
  driver: ExporterDriver<Options, Api>,
  watch: ExporterWatch,
  onBuffer: (buffer: WatchedBuffer) => void,
): ExporterDriver<Options, Api> {
  let made = 0;
  const open: typeof driver.open = (services, options) => {
    const exporter = driver.open(services, options);
    const allocate: Exporter<Api>["allocate"] = (sizeBytes, wishes, control) => {
      const buffer: WatchedBuffer = {
        name: `${driver.name} buffer ${++made}`,
        driverName: driver.name,
        control: undefined as unknown as BufferControl,
        last: ALLOCATE,
        isReleased: false,
      };
      const watched = new WatchedControl(control, buffer, watch);
      (buffer as { control: BufferControl }).control = watched;
      const storage = exporter.allocate(sizeBytes, wishes, watched);
      watch.happened(buffer, ALLOCATE, `${sizeBytes} bytes`);
      onBuffer(buffer);
      return watchedStorage(storage, buffer, watch);
    };
    return { ...exporter, api: exporter.api, allocate };
  };
  return { ...driver, open };
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

/** An operation that the driver leaves out stays left out where that means something. */
function watchedStorage(storage: Storage, buffer: WatchedBuffer, watch: ExporterWatch): Storage {
  const told = (now: number, detail = ""): void => watch.happened(buffer, now, detail);
  const placed = (answer: ReturnType<Storage["place"]>, now: number): typeof answer => {
    const isNo = "answer" in answer;
    told(isNo ? PLACE_REFUSED : now, isNo ? answer.reason.code : answer.target);
    return answer;
  };
  const { pin, unpin, copy, beginCpuAccess, endCpuAccess, read, write } = storage;
  return {
    types: storage.types,
    ...(storage.reason === undefined ? {} : { reason: storage.reason }),
    attach(request) {
      const fault = watch.fault("attach-refused", buffer.name);
      const answer = fault ? INJECTED : (storage.attach?.(request) ?? ACCEPT);
      told(answer.answer === "decline" ? ATTACH_REFUSED : ATTACH, request.client.id);
      return answer;
    },
    detach(client) {
      told(DETACH, client.id);
      storage.detach?.(client);
    },
    place(request) {
      if (watch.fault("map-exhausted", buffer.name)) {
        told(PLACE_REFUSED, "MEMORY_EXHAUSTED");
        throw exhausted();
      }
      return placed(storage.place(request), PLACE);
    },
    mapped(placement: Placement) {
      told(MAP, placement.target);
      storage.mapped?.(placement);
    },
    unmapped(placement: Placement) {
      told(UNMAP, placement.target);
      storage.unmapped?.(placement);
    },
    ...(pin === undefined ? {} : { pin: (request) => placed(pin.call(storage, request), PIN) }),
    ...(unpin === undefined
      ? {}
      : {
          unpin() {
            told(UNPIN);
            unpin.call(storage);
          },
        }),
    ...(copy === undefined
      ? {}
      : {
          copy(target, way) {
            told(way === "out" ? COPY_OUT : COPY_BACK);
            return copy.call(storage, target, way);
          },
        }),
    async beginCpuAccess(use) {
      if (watch.fault("cpu-access-refused", buffer.name)) {
        throw new PeerbufError("DEVICE_FAILED", "the explorer refuses this CPU access");
      }
      told(CPU_BEGIN, use);
      await beginCpuAccess?.call(storage, use);
    },
    async endCpuAccess(use) {
      told(CPU_END, use);
      await endCpuAccess?.call(storage, use);
    },
    ...(read === undefined ? {} : { read: (offset, target) => read.call(storage, offset, target) }),
    ...(write === undefined
      ? {}
      : { write: (offset, source) => write.call(storage, offset, source) }),
    release() {
      told(RELEASE);
      buffer.isReleased = true;
      storage.release();
    },
  };
}

/** The control over a buffer, and the world hears what its exporter does with it. */
class WatchedControl implements BufferControl {
  readonly #inner: BufferControl;
  readonly #buffer: WatchedBuffer;
  readonly #watch: ExporterWatch;

  constructor(inner: BufferControl, buffer: WatchedBuffer, watch: ExporterWatch) {
    this.#inner = inner;
    this.#buffer = buffer;
    this.#watch = watch;
  }

  get reservation(): BufferControl["reservation"] {
    return this.#inner.reservation;
  }

  get attachments(): BufferControl["attachments"] {
    return this.#inner.attachments;
  }

  get isPinned(): boolean {
    return this.#inner.isPinned;
  }

  move(...args: Parameters<BufferControl["move"]>): Fence {
    try {
      const fence = this.#inner.move(args[0], (after) => {
        this.#watch.happened(this.#buffer, MOVE, args[0].code);
        return args[1](after);
      });
      return fence;
    } catch (error) {
      this.#watch.happened(this.#buffer, MOVE_REFUSED, codeOf(error));
      throw error;
    }
  }

  async revoke(...args: Parameters<BufferControl["revoke"]>): Promise<void> {
    this.#watch.happened(this.#buffer, REVOKE, args[0].code);
    await this.#inner.revoke(...args);
  }

  restore(): void {
    this.#inner.restore();
    this.#watch.happened(this.#buffer, RESTORE, "");
  }
}

const codeOf = (error: unknown): string =>
  error instanceof PeerbufError ? error.code : String(error);
