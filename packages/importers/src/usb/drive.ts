/**
 * USB drive, as its users' transfers meet it: one transfer after the other, each in as many commands as its
 * segments need. A controller that was stopped is brought up afresh by the next transfer.
 */
import {
  BARS,
  type Bar,
  CLOCK,
  DEVICE,
  DEVICE_DMA,
  INTERRUPTS,
  PeerbufError,
  type Services,
} from "@peerbuf/core";
import { cutForTrbs } from "./buffer-pieces.ts";
import { HostController, type HostControllerParts } from "./host-controller.ts";
import { MassStorage } from "./mass-storage.ts";
import { TRANSFER_TRBS_MAX } from "./producer-ring.ts";
import { CAPABILITY, OPERATIONAL, PAGE_4_KIB, REGISTER_BYTES } from "./registers.ts";

export interface DriveMove {
  /** Address and length in turn. */
  readonly pieces: readonly number[];
  /** Bytes into the drive. */
  readonly offset: number;
  readonly toDrive: boolean;
}

interface Running {
  readonly controller: HostController;
  readonly storage: MassStorage;
  readonly capacityBytes: number;
}

export class Drive {
  readonly #parts: HostControllerParts;
  #controller: HostController | undefined;
  #storage: MassStorage | undefined;
  #running: Promise<Running> | undefined;
  /** Settles when the transfers asked for so far are over. */
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  /** `DEVICE_FAILED` when the registers do not answer as an xHCI controller's. */
  constructor(services: Services) {
    const label = `usb ${services.get(DEVICE).id}`;
    this.#parts = {
      label,
      bar: findRegisters(services.get(BARS).memory, label),
      dma: services.get(DEVICE_DMA),
      clock: services.get(CLOCK),
      interrupts: services.get(INTERRUPTS),
    };
  }

  async capacityBytes(): Promise<number> {
    return (await this.#inTurn(() => this.#up())).capacityBytes;
  }

  /** Resolves when the bytes are there. `ARGUMENT_INVALID` for bytes that the drive has not. */
  move(move: DriveMove): Promise<void> {
    return this.#inTurn(async () => this.#moveAll(await this.#up(), move));
  }

  close(): void {
    this.#isClosed = true;
    this.#takeDown("it is closed");
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined); // Its caller hears of it; those behind go on.
    return done;
  }

  async #moveAll({ storage, capacityBytes }: Running, move: DriveMove): Promise<void> {
    const { toDrive } = move;
    requireInside(move, capacityBytes);
    const pieces = cutForTrbs(move.pieces);
    let offset = move.offset;
    for (let at = 0; at < pieces.length; at += 2 * TRANSFER_TRBS_MAX) {
      const part = pieces.slice(at, at + 2 * TRANSFER_TRBS_MAX);
      const lengthBytes = bytesOf(part);
      await storage.move({ toDrive, offset, lengthBytes, pieces: part });
      offset += lengthBytes;
    }
  }

  /** The controller, brought up unless it is. */
  async #up(): Promise<Running> {
    if (this.#isClosed) {
      throw new PeerbufError("DEVICE_GONE", `${this.#parts.label} is closed`);
    }
    if (this.#controller?.isStopped === true) {
      this.#takeDown("it is started anew");
    }
    this.#running ??= this.#bringUp();
    return await this.#running;
  }

  async #bringUp(): Promise<Running> {
    const { label, dma } = this.#parts;
    try {
      const controller = new HostController(this.#parts);
      this.#controller = controller;
      const storage = new MassStorage(label, controller, dma);
      this.#storage = storage;
      await controller.start();
      return { controller, storage, capacityBytes: await storage.capacityBytes() };
    } catch (error) {
      this.#takeDown("it could not be started");
      throw error;
    }
  }

  #takeDown(why: string): void {
    this.#controller?.stop(why);
    this.#storage?.free();
    this.#controller = undefined;
    this.#storage = undefined;
    this.#running = undefined;
  }
}

function requireInside({ offset, pieces }: DriveMove, capacityBytes: number): void {
  const lengthBytes = bytesOf(pieces);
  if (offset + lengthBytes > capacityBytes) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `${lengthBytes} bytes from byte ${offset} are not inside the drive's ${capacityBytes} bytes`,
    );
  }
}

function bytesOf(pieces: readonly number[]): number {
  let lengthBytes = 0;
  for (let at = 1; at < pieces.length; at += 2) {
    lengthBytes += pieces[at] as number;
  }
  return lengthBytes;
}

/** The smallest memory BAR that is not prefetchable and can hold the registers. */
function findRegisters(memory: readonly Bar[], label: string): Bar {
  const [bar] = memory
    .filter(({ prefetchable, sizeBytes }) => !prefetchable && sizeBytes >= REGISTER_BYTES)
    .sort((one, other) => one.sizeBytes - other.sizeBytes);
  const length = (bar?.read32(CAPABILITY.LENGTH) ?? 0) & 0xff;
  const pages = bar?.read32(length + OPERATIONAL.PAGESIZE);
  if (bar === undefined || length < 0x20 || pages !== PAGE_4_KIB) {
    throw new PeerbufError("DEVICE_FAILED", `${label}: no xHCI controller answers`);
  }
  return bar;
}
