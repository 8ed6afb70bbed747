/**
 * Containment: a device model's code, run so that what it throws is the end of that device and of nobody else.
 *
 * A model that throws is dead: its registers read as all ones and take nothing, its events never come, until
 * it is reset. Its memory stays what it is, as memory does.
 */
import { InputError, PeerbufError } from "@peerbuf/core";
import type { BarModel, BarShape, DeviceModel, DevicePort } from "../device-model.ts";
import type { AccessKind } from "../root-complex.ts";
import type { FailureLog } from "./failure-log.ts";

/** All ones at every width: a register is cut into bytes from its low end. */
const ALL_ONES = -1;

export class Containment implements DeviceModel {
  readonly name: string;
  readonly #model: DeviceModel;
  readonly #bdf: string;
  readonly #log: FailureLog;
  #isDead = false;

  constructor(model: DeviceModel, bdf: string, log: FailureLog) {
    this.name = model.name;
    this.#model = model;
    this.#bdf = bdf;
    this.#log = log;
  }

  /** The model threw, and has not been reset since. */
  get isDead(): boolean {
    return this.#isDead;
  }

  /** Connects the model. `InputError` when it does not fit, `DEVICE_FAILED` when it throws anything else. */
  connect(port: DevicePort, bars: readonly BarShape[]): ReadonlyMap<number, BarModel> {
    try {
      const answers = this.#model.connect(port, bars);
      return new Map([...answers].map(([index, bar]) => [index, this.#contained(index, bar)]));
    } catch (error) {
      if (error instanceof InputError || error instanceof PeerbufError) {
        throw error;
      }
      const what = error instanceof Error ? error.message : String(error);
      const text = `${this.#bdf}, model ${this.#model.name}: threw when it was placed: ${what}`;
      throw new PeerbufError("DEVICE_FAILED", text, { cause: error });
    }
  }

  /** Back to the state after power-on, also from death. */
  reset(): void {
    this.#isDead = false;
    this.#run("reset", () => this.#model.reset());
  }

  /** The model's event: does not come once it is dead. */
  event(run: () => void): () => void {
    return () => this.#run("event", run);
  }

  #contained(index: number, bar: BarModel): BarModel {
    const what = bar.kind === "memory" ? "byte" : "register";
    const at = (offset: number): string => `${what} 0x${offset.toString(16)} of BAR${index}`;
    const accepts = bar.accepts !== undefined && {
      accepts: (offset: number, lengthBytes: number, kind: AccessKind) =>
        this.#isDead || this.#accepts(bar, offset, lengthBytes, kind, at),
    };
    if (bar.kind === "memory") {
      return { kind: "memory", memory: bar.memory, base: bar.base, ...accepts };
    }
    return {
      kind: "registers",
      read: (offset, sizeBytes) =>
        this.#isDead ? ALL_ONES : this.#read(bar, offset, sizeBytes, at),
      write: (offset, sizeBytes, value) => {
        if (!this.#isDead) {
          this.#write(bar, offset, sizeBytes, value, at);
        }
      },
      ...accepts,
    };
  }

  #accepts(
    bar: BarModel,
    offset: number,
    lengthBytes: number,
    kind: AccessKind,
    at: (offset: number) => string,
  ): boolean {
    try {
      return bar.accepts?.(offset, lengthBytes, kind) !== false;
    } catch (error) {
      this.#die(`${kind} of ${at(offset)}`, error);
      return true;
    }
  }

  #read(bar: Registers, offset: number, sizeBytes: number, at: (offset: number) => string): number {
    try {
      return bar.read(offset, sizeBytes);
    } catch (error) {
      this.#die(`read of ${at(offset)}`, error);
      return ALL_ONES;
    }
  }

  #write(
    bar: Registers,
    offset: number,
    sizeBytes: number,
    value: number,
    at: (offset: number) => string,
  ): void {
    try {
      bar.write(offset, sizeBytes, value);
    } catch (error) {
      this.#die(`write of ${at(offset)}`, error);
    }
  }

  #run(what: string, run: () => void): void {
    if (this.#isDead) {
      return;
    }
    try {
      run();
    } catch (error) {
      this.#die(what, error);
    }
  }

  #die(what: string, error: unknown): void {
    this.#isDead = true;
    this.#log.model(this.#bdf, `model ${this.#model.name}, ${what}`, error);
  }
}

type Registers = Extract<BarModel, { kind: "registers" }>;
