/**
 * xHCI slots: the commands that bring a device up and its endpoints with it (xHCI 1.2 section 4.6).
 *
 * The driver describes endpoints in an input context; the controller writes states into the device context
 * that the slot's entry of the context array (DCBAA) names.
 */
import type { DevicePort } from "../../device-model.ts";
import { readU64 } from "../little-endian.ts";
import { ENDPOINT_STATE, Endpoint, type EndpointHost, type EndpointKind } from "./endpoint.ts";
import { CODE, type Code, endpointOf, slotOf, TRB, type Trb, typeOf } from "./trb.ts";

const CONTEXT_BYTES = 32;
/** Input control context, slot context, and 31 endpoints. */
const INPUT_CONTEXTS = 33;
const CONTROL_ENDPOINT = 1;
const ENDPOINTS_MAX = 31;
/** Endpoint types that the device has (table 6-9). */
const KINDS: ReadonlyMap<number, EndpointKind> = new Map([
  [2, "out"],
  [4, "control"],
  [6, "in"],
]);
const DECONFIGURE = 1 << 9;

export interface SlotsHost extends EndpointHost {
  /** Where the context array is. */
  contextArray(): number;
  /** How many slots the driver has enabled (CONFIG). */
  slotCount(): number;
}

interface Slot {
  readonly endpoints: Map<number, Endpoint>;
  /** Address of its device context, once the device has an address. */
  context: number | undefined;
}

export interface CommandResult {
  readonly code: Code;
  readonly slot: number;
}

export class Slots {
  readonly #host: SlotsHost;
  readonly #slots = new Map<number, Slot>();

  constructor(host: SlotsHost) {
    this.#host = host;
  }

  clear(): void {
    for (const endpoint of this.endpoints()) {
      endpoint.forget();
    }
    this.#slots.clear();
  }

  *endpoints(): Iterable<Endpoint> {
    for (const { endpoints } of this.#slots.values()) {
      yield* endpoints.values();
    }
  }

  find(slot: number, endpoint: number): Endpoint | undefined {
    return this.#slots.get(slot)?.endpoints.get(endpoint);
  }

  run(command: Trb): CommandResult {
    const type = typeOf(command);
    if (type === TRB.NO_OP_COMMAND) {
      return { code: CODE.SUCCESS, slot: 0 };
    }
    if (type === TRB.ENABLE_SLOT) {
      return this.#enable();
    }
    const id = slotOf(command);
    const slot = this.#slots.get(id);
    const code = slot === undefined ? CODE.SLOT_NOT_ENABLED : this.#runOn(slot, id, type, command);
    return { code, slot: id };
  }

  /** The endpoint's state, where the driver may read it. */
  writeState({ slot, index, state }: Endpoint): void {
    const context = this.#slots.get(slot)?.context;
    if (context !== undefined) {
      writeU32(this.#host.port, context + index * CONTEXT_BYTES, state);
    }
  }

  #enable(): CommandResult {
    for (let id = 1; id <= this.#host.slotCount(); id++) {
      if (!this.#slots.has(id)) {
        this.#slots.set(id, { endpoints: new Map(), context: undefined });
        return { code: CODE.SUCCESS, slot: id };
      }
    }
    return { code: CODE.NO_SLOTS, slot: 0 };
  }

  #runOn(slot: Slot, id: number, type: number, command: Trb): Code {
    switch (type) {
      case TRB.DISABLE_SLOT:
        this.#dropFrom(slot, CONTROL_ENDPOINT);
        this.#slots.delete(id);
        return CODE.SUCCESS;
      case TRB.ADDRESS_DEVICE:
        return this.#address(slot, id, command);
      case TRB.CONFIGURE_ENDPOINT:
        return this.#configure(slot, id, command);
      case TRB.RESET_DEVICE:
        this.#dropFrom(slot, CONTROL_ENDPOINT + 1);
        this.#host.device.reset();
        return CODE.SUCCESS;
      default:
        return this.#runOnEndpoint(slot.endpoints.get(endpointOf(command)), type, command);
    }
  }

  #runOnEndpoint(endpoint: Endpoint | undefined, type: number, { parameter }: Trb): Code {
    if (type !== TRB.RESET_ENDPOINT && type !== TRB.STOP_ENDPOINT && type !== TRB.SET_DEQUEUE) {
      return CODE.TRB_ERROR;
    }
    if (endpoint === undefined) {
      return CODE.ENDPOINT_NOT_ENABLED;
    }
    const { RUNNING, HALTED, STOPPED, ERROR } = ENDPOINT_STATE;
    if (type === TRB.STOP_ENDPOINT && endpoint.state === RUNNING) {
      endpoint.stop();
    } else if (type === TRB.RESET_ENDPOINT && endpoint.state === HALTED) {
      endpoint.state = STOPPED;
    } else if (
      type === TRB.SET_DEQUEUE &&
      (endpoint.state === STOPPED || endpoint.state === ERROR)
    ) {
      endpoint.ring.pointer = parameter;
      endpoint.state = STOPPED;
    } else {
      return CODE.CONTEXT_STATE_ERROR;
    }
    return CODE.SUCCESS;
  }

  #address(slot: Slot, id: number, { parameter }: Trb): Code {
    const context = this.#contextOf(id);
    const input = this.#readInput(parameter);
    if (context === undefined || input === undefined) {
      return CODE.PARAMETER_ERROR;
    }
    slot.context = context;
    const port = (input.getUint32(CONTEXT_BYTES + 4, true) >>> 16) & 0xff;
    return port === 1 ? this.#open(slot, id, input, CONTROL_ENDPOINT) : CODE.PARAMETER_ERROR;
  }

  #configure(slot: Slot, id: number, { parameter, control }: Trb): Code {
    if (slot.context === undefined) {
      return CODE.CONTEXT_STATE_ERROR;
    }
    if ((control & DECONFIGURE) !== 0) {
      this.#dropFrom(slot, CONTROL_ENDPOINT + 1);
      return CODE.SUCCESS;
    }
    const input = this.#readInput(parameter);
    const added = input?.getUint32(4, true) ?? 0;
    for (let index = CONTROL_ENDPOINT + 1; index <= ENDPOINTS_MAX && input; index++) {
      const isAdded = ((added >>> index) & 1) !== 0;
      const code = isAdded ? this.#open(slot, id, input, index) : CODE.SUCCESS;
      if (code !== CODE.SUCCESS) {
        return code;
      }
    }
    return input === undefined ? CODE.PARAMETER_ERROR : CODE.SUCCESS;
  }

  /** Makes the endpoint that the input context describes. */
  #open(slot: Slot, id: number, input: DataView, index: number): Code {
    const at = (index + 1) * CONTEXT_BYTES;
    const kind = KINDS.get((input.getUint32(at + 4, true) >>> 3) & 7);
    if (kind === undefined || (kind === "control") !== (index === CONTROL_ENDPOINT)) {
      return CODE.PARAMETER_ERROR;
    }
    slot.endpoints.get(index)?.forget();
    const endpoint = new Endpoint(id, index, kind, this.#host);
    endpoint.ring.pointer = readU64(input, at + 8);
    slot.endpoints.set(index, endpoint);
    endpoint.state = ENDPOINT_STATE.RUNNING;
    return CODE.SUCCESS;
  }

  #dropFrom({ endpoints }: Slot, first: number): void {
    for (const [index, endpoint] of [...endpoints]) {
      if (index >= first) {
        endpoint.forget();
        endpoints.delete(index);
      }
    }
  }

  #readInput(address: number): DataView | undefined {
    const bytes = new Uint8Array(INPUT_CONTEXTS * CONTEXT_BYTES);
    const { ok } = this.#host.port.read(address, bytes, 0, bytes.length);
    return ok ? new DataView(bytes.buffer) : undefined;
  }

  #contextOf(slot: number): number | undefined {
    const entry = new Uint8Array(8);
    const { ok } = this.#host.port.read(this.#host.contextArray() + 8 * slot, entry, 0, 8);
    return ok ? readU64(new DataView(entry.buffer), 0) : undefined;
  }
}

function writeU32(port: DevicePort, address: number, value: number): void {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  port.write(address, bytes, 0, bytes.length);
}
