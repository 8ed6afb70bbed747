/**
 * xHCI host controller: registers, doorbells, the command ring and the event ring (xHCI 1.2).
 *
 * Work in flight belongs to one run: stopping or resetting the controller ends it. A command ring that cannot
 * be read is a host system error (USBSTS.HSE), too many events that nobody takes a controller error
 * (USBSTS.HCE); both halt the controller until it is reset.
 */
import type { DevicePort } from "../../device-model.ts";
import type { DeviceLimit } from "../../links/transfer-plan.ts";
import { joinU64 } from "../little-endian.ts";
import type { Registers32 } from "../register-window.ts";
import type { BulkFunction } from "./bulk-function.ts";
import { ConsumerRing } from "./consumer-ring.ts";
import type { Endpoint } from "./endpoint.ts";
import { EventRing } from "./event-ring.ts";
import {
  CRCR,
  IMAN,
  RING_ALIGNMENT_BYTES,
  USBCMD,
  USBSTS,
  XHCI_CAPABILITIES,
  XHCI_REGISTER,
  XHCI_SLOTS_MAX,
  XHCI_VECTOR,
} from "./registers.ts";
import { Slots } from "./slots.ts";
import { type Code, type NewTrb, TRB, type Trb } from "./trb.ts";

const DOORBELL_NS = 500;
const COMMAND_NS = 2_000;

export class HostController implements Registers32 {
  readonly #port: DevicePort;
  readonly #device: BulkFunction;
  readonly #commands: ConsumerRing;
  readonly #events: EventRing;
  readonly #slots: Slots;
  readonly #written = new Map<number, number>();
  #status: number = USBSTS.HALTED;
  #isCommandBusy = false;
  #life = 0;

  constructor(port: DevicePort, device: BulkFunction, bus: DeviceLimit) {
    this.#port = port;
    this.#device = device;
    this.#commands = new ConsumerRing(port);
    this.#events = new EventRing(port);
    this.#slots = new Slots({
      port,
      device,
      bus,
      later: (delayNs, step) => this.#later(delayNs, step),
      whileAlive: (step) => this.#whileAlive(step),
      transferEvent: (endpoint, trb, code, residualBytes) =>
        this.#transferEvent(endpoint, trb, code, residualBytes),
      stateChanged: (endpoint) => this.#slots.writeState(endpoint),
      moved: () => this.#tryAll(),
      hostError: () => this.#halt(USBSTS.HOST_ERROR),
      contextArray: () => this.#address(XHCI_REGISTER.DCBAAP_LOW),
      slotCount: () => Math.min(this.read32(XHCI_REGISTER.CONFIG) & 0xff, XHCI_SLOTS_MAX),
    });
  }

  powerOn(): void {
    this.#written.clear();
    this.#stop();
    this.#slots.clear();
    this.#events.close();
    this.#device.reset();
    this.#status = USBSTS.HALTED;
  }

  read32(offset: number): number {
    switch (offset) {
      case XHCI_REGISTER.USBSTS:
        return this.#status;
      case XHCI_REGISTER.CRCR_LOW:
        return this.#isRunning ? CRCR.RUNNING : 0; // All else reads as 0 (section 5.4.5).
      case XHCI_REGISTER.CRCR_HIGH:
        return 0;
      default:
        return XHCI_CAPABILITIES.get(offset) ?? this.#written.get(offset) ?? 0;
    }
  }

  write32(offset: number, value: number): void {
    if (offset >= XHCI_REGISTER.DOORBELLS) {
      this.#ringDoorbell((offset - XHCI_REGISTER.DOORBELLS) / 4, value & 0xff);
      return;
    }
    switch (offset) {
      case XHCI_REGISTER.USBCMD:
        this.#command(value);
        break;
      case XHCI_REGISTER.USBSTS:
        this.#status &= ~(value & USBSTS.EVENT); // Written with 1 to clear.
        break;
      case XHCI_REGISTER.IMAN:
        this.#written.set(offset, value & IMAN.ENABLE);
        break;
      case XHCI_REGISTER.ERDP_HIGH:
        this.#written.set(offset, value);
        this.#events.moveHead(this.#address(XHCI_REGISTER.ERDP_LOW));
        this.#post();
        break;
      default:
        if (!XHCI_CAPABILITIES.has(offset)) {
          this.#written.set(offset, value);
        }
    }
  }

  get #isRunning(): boolean {
    return (this.#status & USBSTS.HALTED) === 0;
  }

  #command(value: number): void {
    if ((value & USBCMD.RESET) !== 0) {
      this.powerOn();
      return;
    }
    this.#written.set(XHCI_REGISTER.USBCMD, value & (USBCMD.RUN | USBCMD.INTERRUPTS));
    if ((value & USBCMD.RUN) === 0) {
      this.#stop();
    } else if (!this.#isRunning) {
      this.#run();
    }
  }

  #run(): void {
    const isBroken = (this.#status & (USBSTS.HOST_ERROR | USBSTS.ERROR)) !== 0;
    const hasTable = this.read32(XHCI_REGISTER.ERSTSZ) === 1;
    if (isBroken || !hasTable || !this.#events.open(this.#address(XHCI_REGISTER.ERSTBA_LOW))) {
      this.#halt(USBSTS.HOST_ERROR);
      return;
    }
    const low = this.#written.get(XHCI_REGISTER.CRCR_LOW) ?? 0;
    const high = this.#written.get(XHCI_REGISTER.CRCR_HIGH) ?? 0;
    const flags = low % RING_ALIGNMENT_BYTES;
    this.#commands.pointer = joinU64(low, high) - flags + (flags & CRCR.CYCLE);
    this.#status &= ~USBSTS.HALTED;
  }

  #stop(): void {
    this.#life++;
    this.#isCommandBusy = false;
    this.#status |= USBSTS.HALTED;
    for (const endpoint of this.#slots.endpoints()) {
      endpoint.forget();
    }
  }

  #halt(why: number): void {
    this.#stop();
    this.#status |= why;
  }

  #ringDoorbell(slot: number, target: number): void {
    if (!this.#isRunning) {
      return;
    }
    if (slot === 0) {
      this.#nextCommandIn(DOORBELL_NS);
    } else {
      this.#slots.find(slot, target)?.ringDoorbell();
    }
  }

  #nextCommandIn(delayNs: number): void {
    if (!this.#isCommandBusy) {
      this.#isCommandBusy = true;
      this.#later(delayNs, () => this.#takeCommand());
    }
  }

  #takeCommand(): void {
    const command = this.#commands.take();
    this.#isCommandBusy = false;
    if (command === "broken") {
      this.#halt(USBSTS.HOST_ERROR);
    } else if (command !== "empty") {
      const { code, slot } = this.#slots.run(command);
      const control = (TRB.COMMAND_EVENT << 10) | (slot << 24);
      this.#post({ parameter: command.address, status: code << 24, control });
      this.#nextCommandIn(COMMAND_NS);
    }
  }

  #tryAll(): void {
    for (const endpoint of this.#slots.endpoints()) {
      endpoint.tryNext();
    }
  }

  #transferEvent({ slot, index }: Endpoint, trb: Trb, code: Code, residualBytes: number): void {
    const control = (TRB.TRANSFER_EVENT << 10) | (index << 16) | (slot << 24);
    this.#post({ parameter: trb.address, status: (code << 24) | residualBytes, control });
  }

  #post(event?: NewTrb): void {
    if (!this.#isRunning) {
      return;
    }
    const posted = this.#events.post(event);
    if (posted === "full") {
      this.#halt(USBSTS.ERROR);
    } else if (posted === "posted") {
      this.#interrupt();
    }
  }

  #interrupt(): void {
    this.#status |= USBSTS.EVENT;
    const isEnabled =
      (this.read32(XHCI_REGISTER.USBCMD) & USBCMD.INTERRUPTS) !== 0 &&
      (this.read32(XHCI_REGISTER.IMAN) & IMAN.ENABLE) !== 0;
    if (isEnabled) {
      this.#port.interrupt(XHCI_VECTOR);
    }
  }

  #address(lowRegister: number): number {
    const low = this.#written.get(lowRegister) ?? 0;
    const high = this.#written.get(lowRegister + 4) ?? 0;
    return joinU64(low - (low % RING_ALIGNMENT_BYTES), high);
  }

  /** Runs `step` in time, unless this run of the controller ended before. */
  #later(delayNs: number, step: () => void): void {
    this.#port.clock.schedule(delayNs, this.#whileAlive(step));
  }

  #whileAlive(step: () => void): () => void {
    const life = this.#life;
    return () => {
      if (life === this.#life) {
        step();
      }
    };
  }
}
