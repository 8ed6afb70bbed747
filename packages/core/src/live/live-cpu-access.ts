/**
 * Live CPU access: a bracket's begin, use and end.
 */
import type { CpuAccess, CpuUse } from "../cpu-access.ts";
import { PeerbufError } from "../error.ts";
import type { Storage } from "../exporter.ts";
import type { Reservation } from "../sync/reservation.ts";
import type { WaitOptions } from "../sync/wait.ts";
import type { Origin } from "./origin.ts";

/** What a bracket needs of its buffer. */
export interface CpuAccessOwner {
  readonly label: string;
  readonly sizeBytes: number;
  readonly reservation: Reservation;
  readonly exported: { readonly storage: Storage };
  readonly motion: { requireHeld(what: string): void };
  cpuAccessEnded(access: LiveCpuAccess): void;
}

export class LiveCpuAccess implements CpuAccess {
  readonly use: CpuUse;
  readonly origin: Origin;
  readonly #buffer: CpuAccessOwner;
  #open = true;

  constructor(buffer: CpuAccessOwner, use: CpuUse, origin: Origin) {
    this.#buffer = buffer;
    this.use = use;
    this.origin = origin;
  }

  /** Tells the exporter, then waits. If the wait fails, the exporter hears the end. */
  async begin(options: WaitOptions): Promise<void> {
    const { exported, reservation, motion } = this.#buffer;
    motion.requireHeld("touched");
    await exported.storage.beginCpuAccess?.(this.use);
    try {
      await reservation.idleBefore(this.use === "read" ? "read" : "write", options);
      motion.requireHeld("touched");
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  async read(offset: number, lengthBytes: number): Promise<Uint8Array> {
    this.#require(this.use !== "write", "read", offset, lengthBytes);
    const target = new Uint8Array(lengthBytes);
    await this.#buffer.exported.storage.read?.(offset, target);
    return target;
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    this.#require(this.use !== "read", "written", offset, source.length);
    await this.#buffer.exported.storage.write?.(offset, source);
  }

  async end(): Promise<void> {
    if (!this.#open) {
      throw new PeerbufError("HANDLE_CLOSED", `${this.origin} was ended before`);
    }
    this.#open = false;
    try {
      await this.#buffer.exported.storage.endCpuAccess?.(this.use);
    } finally {
      this.#buffer.cpuAccessEnded(this);
    }
  }

  /** The framework closes and nobody will end it: over at once, the exporter is told without waiting. */
  abandon(): void {
    this.#open = false;
    this.#buffer.cpuAccessEnded(this);
    // Nobody is left to hear of a failure: the leak itself is reported.
    this.#buffer.exported.storage.endCpuAccess?.(this.use).catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#open) {
      await this.end();
    }
  }

  #require(allowed: boolean, what: string, offset: number, lengthBytes: number): void {
    const { sizeBytes, motion } = this.#buffer;
    const end = offset + lengthBytes;
    motion.requireHeld(what);
    if (!this.#open) {
      throw new PeerbufError("ACCESS_FAULT", `${this.origin} is over: nothing can be ${what}`);
    }
    if (!allowed) {
      throw new PeerbufError(
        "ACCESS_FAULT",
        `${this.origin} is for ${this.use}: nothing can be ${what}`,
      );
    }
    if (
      !(
        Number.isSafeInteger(offset) &&
        Number.isSafeInteger(end) &&
        offset >= 0 &&
        end >= offset &&
        end <= sizeBytes
      )
    ) {
      const message = `bytes ${offset} to ${end} are not inside ${this.#buffer.label}, which has ${sizeBytes}`;
      throw new PeerbufError("ACCESS_FAULT", message);
    }
  }
}
