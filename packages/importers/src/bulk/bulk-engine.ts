/**
 * Bulk engine, the driver's side: moves a list of segments to or from the device's own memory.
 *
 * Transfers run one after the other, each in as many runs as its segments need. An engine that does
 * not answer is stopped, which ends its DMA, and started afresh by the next transfer.
 */
import {
  BARS,
  type Bar,
  CLOCK,
  type Clock,
  type CoherentMemory,
  DEVICE,
  DEVICE_DMA,
  type DeviceDma,
  INTERRUPTS,
  PAGE_BYTES,
  PeerbufError,
  type ScheduledEvent,
  type Services,
} from "@peerbuf/core";
import { writeU64 } from "../little-endian.ts";
import {
  CONTROL,
  ENTRIES_MAX,
  ENTRY_BYTES,
  FAULT_TEXT,
  ID,
  REGISTER,
  REGISTER_BYTES,
  STATUS,
  VECTOR,
} from "./registers.ts";

/** The kernel gives a USB storage command 30 s (6.12: SD_TIMEOUT); no other device here needs more. */
const TIMEOUT_NS = 30_000_000_000;

/** Numbers two by two: address and length of each piece, in order. */
export type PieceTable = readonly number[];

export interface BulkMove {
  readonly pieces: PieceTable;
  /** Bytes into the device's own memory. */
  readonly localOffset: number;
  /** `true`: from the pieces to the device's own memory. */
  readonly toLocal: boolean;
  /** `true`: the addresses are on the device's private link. */
  readonly overLink: boolean;
  /** Aborted: the transfer ends at once, or never begins. Its reason is a text. */
  readonly signal: AbortSignal;
}

/** The run that the engine is at. */
interface Run {
  readonly watch: ScheduledEvent;
  readonly end: (failure: PeerbufError | undefined) => void;
}

export class BulkEngine {
  readonly label: string;
  /** The device's own memory. */
  readonly localBytes: number;
  readonly #bar: Bar;
  readonly #dma: DeviceDma;
  readonly #clock: Clock;
  readonly #table: CoherentMemory;
  readonly #interrupt: { off(): void };
  #running: Run | undefined;
  /** Settles when the transfers asked for so far are over. */
  #last: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** `DEVICE_FAILED` when the registers do not answer as an engine of this kind. */
  constructor(services: Services, driver: string, kind: number) {
    this.label = `${driver} ${services.get(DEVICE).id}`;
    this.#bar = findRegisters(services.get(BARS).memory, this.label, kind);
    this.#dma = services.get(DEVICE_DMA);
    this.#clock = services.get(CLOCK);
    this.localBytes = this.#bar.read32(REGISTER.LOCAL_PAGES) * PAGE_BYTES;
    this.#table = this.#dma.allocateCoherent(ENTRIES_MAX * ENTRY_BYTES);
    this.#interrupt = services.get(INTERRUPTS).on(VECTOR, () => this.#interrupted());
  }

  /** Resolves when the bytes are there. `DEVICE_FAILED` with the engine's reason, `DEVICE_GONE` when closed or aborted. */
  move(move: BulkMove): Promise<void> {
    const moved = this.#last.then(() => this.#moveAll(move));
    this.#last = moved.catch(() => undefined); // Its caller hears of it; those behind go on.
    return moved;
  }

  close(): void {
    this.#isClosed = true;
    this.#stop("it is closed");
    this.#interrupt.off();
    this.#dma.freeCoherent(this.#table);
  }

  async #moveAll({ pieces, localOffset, toLocal, overLink, signal }: BulkMove): Promise<void> {
    const control =
      (toLocal ? CONTROL.TO_LOCAL : CONTROL.FROM_LOCAL) + (overLink ? CONTROL.OVER_LINK : 0);
    let local = localOffset;
    const stop = (): void => this.#stop(String(signal.reason));
    for (let at = 0; at < pieces.length; at += 2 * ENTRIES_MAX) {
      const part = pieces.slice(at, at + 2 * ENTRIES_MAX);
      if (signal.aborted) {
        throw new PeerbufError("DEVICE_GONE", `${this.label} did not begin: ${signal.reason}`);
      }
      signal.addEventListener("abort", stop);
      try {
        await this.#run(part, local, control);
      } finally {
        signal.removeEventListener("abort", stop);
      }
      local += lengthOf(part);
    }
  }

  #run(part: PieceTable, local: number, control: number): Promise<void> {
    if (this.#isClosed) {
      throw new PeerbufError("DEVICE_GONE", `${this.label} is closed`);
    }
    return new Promise((resolve, reject) => {
      const watch = this.#clock.schedule(TIMEOUT_NS, () =>
        this.#stop(`no answer within ${TIMEOUT_NS / 1e9} s`),
      );
      const end = (failure: PeerbufError | undefined): void =>
        failure === undefined ? resolve() : reject(failure);
      this.#running = { watch, end };
      this.#start(part, local, control);
    });
  }

  #start(part: PieceTable, local: number, control: number): void {
    const bytes = new Uint8Array((part.length / 2) * ENTRY_BYTES);
    const view = new DataView(bytes.buffer);
    part.forEach((value, index) => {
      writeU64(view, 8 * index, value);
    });
    this.#table.write(0, bytes);
    this.#write64(REGISTER.TABLE, this.#table.deviceAddress);
    this.#write64(REGISTER.LOCAL, local);
    this.#bar.write32(REGISTER.ENTRIES, part.length / 2);
    this.#bar.write32(REGISTER.CONTROL, control);
  }

  /** Ends the engine's DMA at once, and the run with it. */
  #stop(why: string): void {
    this.#bar.write32(REGISTER.CONTROL, CONTROL.STOP);
    this.#endRun(new PeerbufError("DEVICE_GONE", `${this.label} was stopped: ${why}`));
  }

  /** Anything but an end is the late interrupt of a run that was stopped. */
  #interrupted(): void {
    const status = this.#bar.read32(REGISTER.STATUS);
    if (status === STATUS.DONE) {
      this.#endRun(undefined);
    } else if (status === STATUS.FAILED) {
      const fault = FAULT_TEXT[this.#bar.read32(REGISTER.FAULT)] ?? "an unknown fault";
      this.#endRun(new PeerbufError("DEVICE_FAILED", `${this.label}: ${fault}`));
    }
  }

  #endRun(failure: PeerbufError | undefined): void {
    const run = this.#running;
    this.#running = undefined;
    run?.watch.cancel();
    run?.end(failure);
  }

  #write64(lowRegister: number, value: number): void {
    this.#bar.write32(lowRegister, value % 2 ** 32);
    this.#bar.write32(lowRegister + 4, Math.floor(value / 2 ** 32));
  }
}

function lengthOf(part: PieceTable): number {
  let lengthBytes = 0;
  for (let at = 1; at < part.length; at += 2) {
    lengthBytes += part[at] as number;
  }
  return lengthBytes;
}

/** The smallest memory BAR that is not prefetchable and holds the registers. */
function findRegisters(memory: readonly Bar[], label: string, kind: number): Bar {
  const [bar] = memory
    .filter(({ prefetchable, sizeBytes }) => !prefetchable && sizeBytes >= REGISTER_BYTES)
    .sort((one, other) => one.sizeBytes - other.sizeBytes);
  const id = bar?.read32(REGISTER.ID);
  if (bar === undefined || id !== ID || bar.read32(REGISTER.KIND) !== kind) {
    const found = id === undefined ? "no BAR for them" : `0x${id.toString(16)}`;
    throw new PeerbufError("DEVICE_FAILED", `${label}: no such registers answer (${found})`);
  }
  return bar;
}
