/**
 * xHCI host controller, the driver's side: from reset to one device with its two bulk pipes.
 *
 * Each command and each transfer ends with an event, which becomes a promise; or the controller is stopped,
 * which ends all its DMA, and everything on its way with it. A stopped one is not started again: whoever
 * wants to go on makes a new one.
 */
import { type Bar, type Clock, type DeviceDma, type Interrupts, PeerbufError } from "@peerbuf/core";
import { writeU64 } from "../little-endian.ts";
import { addressContext, bulkContext, INPUT_CONTEXT_BYTES } from "./contexts.ts";
import type { Event } from "./event-queue.ts";
import { HostMemoryParts } from "./host-memory-parts.ts";
import type { ProducerRing, Trb } from "./producer-ring.ts";
import {
  CAPABILITY,
  CODE,
  COMMAND,
  describeCode,
  ENDPOINT,
  FLAG,
  INTERRUPTER_ENABLE,
  OPERATIONAL,
  RUNTIME,
  STATUS_EVENT,
  TRB,
  VECTOR,
  write64,
} from "./registers.ts";

/** The kernel gives a USB storage command 30 s (6.12: SD_TIMEOUT). */
const TIMEOUT_NS = 30_000_000_000;

export interface HostControllerParts {
  readonly label: string;
  readonly bar: Bar;
  readonly dma: DeviceDma;
  readonly clock: Clock;
  readonly interrupts: Interrupts;
}

export type Pipe = typeof ENDPOINT.CONTROL | typeof ENDPOINT.OUT | typeof ENDPOINT.IN;

export class HostController {
  readonly #parts: HostControllerParts;
  readonly #operational: number;
  readonly #runtime: number;
  readonly #doorbells: number;
  readonly #interrupt: { off(): void };
  readonly #memory: HostMemoryParts;
  /** What waits for an event: commands by the address of their TRB, transfers by their pipe. */
  readonly #waiting = new Map<string, (event: Event | undefined) => void>();
  #slot = 0;
  #stopped: string | undefined;

  constructor(parts: HostControllerParts) {
    const { bar, dma, interrupts } = parts;
    this.#parts = parts;
    this.#operational = bar.read32(CAPABILITY.LENGTH) & 0xff;
    this.#runtime = bar.read32(CAPABILITY.RTSOFF);
    this.#doorbells = bar.read32(CAPABILITY.DBOFF);
    this.#memory = new HostMemoryParts(dma);
    this.#interrupt = interrupts.on(VECTOR, () => this.#takeIn());
  }

  get isStopped(): boolean {
    return this.#stopped !== undefined;
  }

  /** Brings up the device on the root port (section 4.3). `DEVICE_FAILED` with the controller's reason. */
  async start(): Promise<void> {
    this.#run();
    this.#slot = (
      await this.command({ type: TRB.ENABLE_SLOT, parameter: 0 }, "enabling a slot")
    ).slot;
    const entry = new Uint8Array(8);
    writeU64(new DataView(entry.buffer), 0, this.#memory.deviceContext.deviceAddress);
    this.#memory.contextArray.write(8 * this.#slot, entry);
    await this.#withInput(TRB.ADDRESS_DEVICE, addressContext(this.#ringOf(ENDPOINT.CONTROL)));
    const bulk = bulkContext(this.#ringOf(ENDPOINT.OUT), this.#ringOf(ENDPOINT.IN));
    await this.#withInput(TRB.CONFIGURE_ENDPOINT, bulk);
    await this.control(SET_CONFIGURATION_1, 0);
  }

  /** Runs a command. `DEVICE_FAILED` with its completion code, `DEVICE_GONE` when stopped. */
  async command(trb: Trb, what: string): Promise<Event> {
    const flags = (trb.flags ?? 0) | ((this.#slot << 24) >>> 0);
    const about = this.#put(this.#memory.commands, [{ ...trb, flags }]);
    this.#ring(0, 0);
    const event = await this.#wait(`command ${about}`, what);
    if (event.code !== CODE.SUCCESS) {
      throw this.#failed(what, event.code);
    }
    return event;
  }

  /** Runs one transfer of a bulk pipe; how it ended is for the caller to judge. `DEVICE_GONE` when stopped. */
  async transfer(pipe: Pipe, trbs: readonly Trb[], what: string): Promise<Event> {
    this.#put(this.#memory.pipes.get(pipe) as ProducerRing, trbs);
    this.#ring(this.#slot, pipe);
    return await this.#wait(`pipe ${pipe}`, what);
  }

  /** A control request without data: setup and status. */
  async control(setupLow: number, setupHigh: number): Promise<void> {
    const setup = { parameter: setupLow, parameterHigh: setupHigh, status: SETUP_BYTES };
    const ring = this.#memory.pipes.get(ENDPOINT.CONTROL) as ProducerRing;
    this.#put(ring, [{ type: TRB.SETUP_STAGE, ...setup, flags: FLAG.IMMEDIATE }]);
    const last = { type: TRB.STATUS_STAGE, parameter: 0, flags: FLAG.INTERRUPT_ON_COMPLETION };
    const { code } = await this.transfer(ENDPOINT.CONTROL, [last], "a control request");
    if (code !== CODE.SUCCESS) {
      throw this.#failed("a control request", code);
    }
  }

  /** Makes a stalled pipe usable again, at the controller and at the device (section 4.6.8). */
  async clearHalt(pipe: typeof ENDPOINT.OUT | typeof ENDPOINT.IN): Promise<void> {
    const flags = pipe << 16;
    await this.command({ type: TRB.RESET_ENDPOINT, parameter: 0, flags }, "resetting an endpoint");
    const parameter = this.#ringOf(pipe);
    await this.command({ type: TRB.SET_DEQUEUE, parameter, flags }, "moving a ring on");
    const address = pipe === ENDPOINT.IN ? 0x81 : 0x01;
    await this.control(CLEAR_ENDPOINT_HALT, address);
  }

  /** Ends all DMA; what is on its way ends with `DEVICE_GONE`. Gives back everything. A second time does nothing. */
  stop(why: string): void {
    if (this.#stopped !== undefined) {
      return;
    }
    this.#stopped = why;
    this.#parts.bar.write32(this.#operational + OPERATIONAL.USBCMD, 0);
    this.#interrupt.off();
    for (const waiting of [...this.#waiting.values()]) {
      waiting(undefined);
    }
    this.#memory.free();
  }

  /** Section 4.2, without the waiting: the controller is reset at once. */
  #run(): void {
    const { bar } = this.#parts;
    const [operational, runtime] = [this.#operational, this.#runtime];
    bar.write32(operational + OPERATIONAL.USBCMD, COMMAND.RESET);
    bar.write32(operational + OPERATIONAL.CONFIG, 1);
    write64(bar, operational + OPERATIONAL.DCBAAP, this.#memory.contextArray.deviceAddress);
    write64(bar, operational + OPERATIONAL.CRCR, this.#memory.commands.pointer);
    bar.write32(runtime + RUNTIME.ERSTSZ, 1);
    write64(bar, runtime + RUNTIME.ERDP, this.#memory.events.pointer);
    write64(bar, runtime + RUNTIME.ERSTBA, this.#memory.events.tableAddress);
    bar.write32(runtime + RUNTIME.IMAN, INTERRUPTER_ENABLE);
    bar.write32(operational + OPERATIONAL.USBCMD, COMMAND.RUN | COMMAND.INTERRUPTS);
  }

  async #withInput(type: number, context: Uint8Array): Promise<void> {
    this.#requireRunning();
    this.#memory.inputContext.write(0, context.subarray(0, INPUT_CONTEXT_BYTES));
    const parameter = this.#memory.inputContext.deviceAddress;
    await this.command({ type, parameter }, "describing the device");
  }

  #ringOf(pipe: Pipe): number {
    return (this.#memory.pipes.get(pipe) as ProducerRing).pointer;
  }

  #put(ring: ProducerRing, trbs: readonly Trb[]): number {
    this.#requireRunning();
    return ring.put(trbs);
  }

  #ring(slot: number, target: number): void {
    this.#parts.bar.write32(this.#doorbells + 4 * slot, target);
  }

  async #wait(name: string, what: string): Promise<Event> {
    const { clock } = this.#parts;
    const watch = clock.schedule(TIMEOUT_NS, () =>
      this.stop(`no answer within ${TIMEOUT_NS / 1e9} s to ${what}`),
    );
    const event = await new Promise<Event | undefined>((resolve) => {
      this.#waiting.set(name, resolve);
    });
    this.#waiting.delete(name);
    watch.cancel();
    if (event === undefined) {
      this.#requireRunning();
    }
    return event as Event;
  }

  #takeIn(): void {
    const { bar } = this.#parts;
    bar.write32(this.#operational + OPERATIONAL.USBSTS, STATUS_EVENT);
    const taken: Event[] = [];
    for (
      let event = this.#memory.events.take();
      event !== undefined;
      event = this.#memory.events.take()
    ) {
      taken.push(event);
    }
    write64(bar, this.#runtime + RUNTIME.ERDP, this.#memory.events.pointer);
    for (const event of taken) {
      const name =
        event.type === TRB.COMMAND_EVENT ? `command ${event.about}` : `pipe ${event.endpoint}`;
      this.#waiting.get(name)?.(event);
    }
  }

  #requireRunning(): void {
    if (this.#stopped !== undefined) {
      throw new PeerbufError("DEVICE_GONE", `${this.#parts.label} was stopped: ${this.#stopped}`);
    }
  }

  #failed(what: string, code: number): PeerbufError {
    const text = `${this.#parts.label}: ${what} failed: ${describeCode(code)}`;
    return new PeerbufError("DEVICE_FAILED", text);
  }
}

const SETUP_BYTES = 8;
/** bmRequestType, bRequest and wValue of USB 3.2 section 9.4: SET_CONFIGURATION 1, CLEAR_FEATURE(ENDPOINT_HALT). */
const SET_CONFIGURATION_1 = 0x0001_0900;
const CLEAR_ENDPOINT_HALT = 0x0000_0102;
