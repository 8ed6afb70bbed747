/**
 * Bulk engine: moves bytes between a device's own memory and a list of segments, one transfer at a time.
 *
 * The bytes of a transfer move in one step when its time is over. A lost posted write is not noticed,
 * as on hardware; a lost read fails the transfer with what came before it in place.
 */
import { PAGE_BYTES } from "@peerbuf/core";
import type { DevicePort } from "../../device-model.ts";
import type { DeviceLimit, TransferPlan } from "../../links/transfer-plan.ts";
import type { SparseMemory } from "../../sparse-memory.ts";
import { joinU64, readU64 } from "../little-endian.ts";
import type { Registers32 } from "../register-window.ts";
import type { PrivateLink } from "./private-link.ts";
import {
  BULK_CONTROL,
  BULK_ENTRIES_MAX,
  BULK_ENTRY_BYTES,
  BULK_FAULT,
  BULK_ID,
  BULK_NO_LINK,
  BULK_REGISTER,
  BULK_STATUS,
  BULK_VECTOR,
  type BulkFault,
} from "./registers.ts";

export interface BulkEngineParts {
  readonly port: DevicePort;
  readonly memory: SparseMemory;
  /** One of `BULK_KIND`. */
  readonly kind: number;
  /** From the start of a transfer to its first byte. */
  readonly startNs: number;
  readonly bytesPerNs: number;
  readonly link?: { readonly wire: PrivateLink; readonly port: number } | undefined;
}

interface Segment {
  readonly address: number;
  readonly lengthBytes: number;
}

export class BulkEngine implements Registers32 {
  readonly #parts: BulkEngineParts;
  readonly #written = new Map<number, number>();
  readonly #limit: DeviceLimit;
  #status: number = BULK_STATUS.IDLE;
  #fault: BulkFault = BULK_FAULT.NONE;
  /** Grows at each stop, so that what was on its way never arrives. */
  #life = 0;

  constructor(parts: BulkEngineParts) {
    this.#parts = parts;
    this.#limit = { name: "engine", perNs: parts.bytesPerNs };
  }

  powerOn(): void {
    this.#written.clear();
    this.#stop();
  }

  read32(offset: number): number {
    switch (offset) {
      case BULK_REGISTER.ID:
        return BULK_ID;
      case BULK_REGISTER.KIND:
        return this.#parts.kind;
      case BULK_REGISTER.LOCAL_PAGES:
        return this.#parts.memory.sizeBytes / PAGE_BYTES;
      case BULK_REGISTER.LINK_PORT:
        return this.#parts.link?.port ?? BULK_NO_LINK;
      case BULK_REGISTER.STATUS:
        return this.#status;
      case BULK_REGISTER.FAULT:
        return this.#fault;
      default:
        return this.#written.get(offset) ?? 0;
    }
  }

  write32(offset: number, value: number): void {
    if (offset === BULK_REGISTER.CONTROL) {
      this.#control(value);
    } else if (offset >= BULK_REGISTER.TABLE_LOW && offset < BULK_REGISTER.CONTROL) {
      this.#written.set(offset, value);
    }
  }

  #control(value: number): void {
    if (value === BULK_CONTROL.STOP) {
      this.#stop();
    } else if (this.#status !== BULK_STATUS.BUSY) {
      this.#status = BULK_STATUS.BUSY;
      this.#fault = BULK_FAULT.NONE;
      this.#later(this.#parts.startNs, () => this.#begin(value));
    }
  }

  #stop(): void {
    this.#life++;
    this.#status = BULK_STATUS.IDLE;
    this.#fault = BULK_FAULT.NONE;
  }

  #begin(control: number): void {
    const segments = this.#fetchTable();
    const local = this.#address(BULK_REGISTER.LOCAL_LOW);
    const lengthBytes = segments?.reduce((sum, each) => sum + each.lengthBytes, 0) ?? 0;
    if (segments === undefined) {
      this.#end(BULK_FAULT.TABLE);
    } else if (local + lengthBytes > this.#parts.memory.sizeBytes) {
      this.#end(BULK_FAULT.LOCAL_RANGE);
    } else {
      const plan = this.#planOf(control, segments, lengthBytes);
      const end = (): void => this.#end(this.#moveAll(control, segments, local));
      this.#parts.port.transfer(plan, this.#whileAlive(end));
    }
  }

  /** What goes over the private link does not load PCIe. */
  #planOf(control: number, segments: readonly Segment[], lengthBytes: number): TransferPlan {
    const kind = (control & BULK_CONTROL.TO_LOCAL) === 0 ? "write" : "read";
    const runs = segments.flatMap(({ address, lengthBytes: bytes }) => [address, bytes]);
    return {
      legs: (control & BULK_CONTROL.OVER_LINK) === 0 ? [{ kind, runs }] : [],
      limits: [{ limit: this.#limit, amount: lengthBytes }],
    };
  }

  #fetchTable(): Segment[] | undefined {
    const count = this.read32(BULK_REGISTER.ENTRIES);
    if (count < 1 || count > BULK_ENTRIES_MAX) {
      return undefined;
    }
    const table = new Uint8Array(count * BULK_ENTRY_BYTES);
    if (!this.#parts.port.read(this.#address(BULK_REGISTER.TABLE_LOW), table, 0, table.length).ok) {
      return undefined;
    }
    const view = new DataView(table.buffer);
    return Array.from({ length: count }, (_, index) => ({
      address: readU64(view, index * BULK_ENTRY_BYTES),
      lengthBytes: readU64(view, index * BULK_ENTRY_BYTES + 8),
    }));
  }

  #moveAll(control: number, segments: readonly Segment[], local: number): BulkFault {
    const toLocal = (control & BULK_CONTROL.TO_LOCAL) !== 0;
    const overLink = (control & BULK_CONTROL.OVER_LINK) !== 0;
    let at = local;
    for (const segment of segments) {
      const moved = overLink
        ? this.#moveOverLink(segment, at, toLocal)
        : this.#moveByDma(segment, at, toLocal);
      if (!moved) {
        return overLink ? BULK_FAULT.LINK : BULK_FAULT.DMA_READ;
      }
      at += segment.lengthBytes;
    }
    return BULK_FAULT.NONE;
  }

  #moveByDma({ address, lengthBytes }: Segment, local: number, toLocal: boolean): boolean {
    const { port, memory } = this.#parts;
    if (toLocal) {
      return port.readInto(address, memory, local, lengthBytes).ok;
    }
    port.writeFrom(address, memory, local, lengthBytes);
    return true; // Posted: nobody tells the engine what became of it.
  }

  #moveOverLink({ address, lengthBytes }: Segment, local: number, toLocal: boolean): boolean {
    const { memory, link } = this.#parts;
    const far = link?.wire.find(address, lengthBytes);
    if (far === undefined) {
      return false;
    }
    if (toLocal) {
      far.memory.copyTo(far.offset, memory, local, lengthBytes);
    } else {
      memory.copyTo(local, far.memory, far.offset, lengthBytes);
    }
    return true;
  }

  #end(fault: BulkFault): void {
    this.#fault = fault;
    this.#status = fault === BULK_FAULT.NONE ? BULK_STATUS.DONE : BULK_STATUS.FAILED;
    this.#parts.port.interrupt(BULK_VECTOR);
  }

  #address(lowRegister: number): number {
    return joinU64(this.read32(lowRegister), this.read32(lowRegister + 4));
  }

  #later(delayNs: number, step: () => void): void {
    this.#parts.port.clock.schedule(delayNs, this.#whileAlive(step));
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
