/**
 * Media: what a namespace keeps its bytes on. In memory here, in a file on disk in `file-media.ts`.
 *
 * Offsets and lengths are in bytes and inside the media; whoever calls has checked that. Nothing here
 * throws: what goes wrong is the status of the command.
 */
import type { DevicePort } from "../../device-model.ts";
import { SparseMemory } from "../../sparse-memory.ts";
import { STATUS, type Status } from "./status.ts";

export interface Media {
  readonly sizeBytes: number;
  /** What was written is on the media only after a flush (VWC). */
  readonly hasWriteCache: boolean;
  /** Host memory to media. What could not be read is stored as it arrived, all ones, and the command fails. */
  store(port: DevicePort, address: number, offset: number, lengthBytes: number): Status;
  /** Media to host memory. Posted writes report nothing back, so only the media itself can fail. */
  load(port: DevicePort, address: number, offset: number, lengthBytes: number): Status;
  zero(offset: number, lengthBytes: number): Status;
  flush(): Status;
  /** The bytes are out of reach from now on: commands end with Namespace Not Ready. */
  close(): void;
}

export class MemoryMedia implements Media {
  readonly sizeBytes: number;
  readonly hasWriteCache = false;
  readonly memory: SparseMemory;
  #isOpen = true;

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
    this.memory = new SparseMemory(sizeBytes);
  }

  store(port: DevicePort, address: number, offset: number, lengthBytes: number): Status {
    if (!this.#isOpen) {
      return STATUS.NAMESPACE_NOT_READY;
    }
    const { ok } = port.readInto(address, this.memory, offset, lengthBytes);
    return ok ? STATUS.SUCCESS : STATUS.DATA_TRANSFER_ERROR;
  }

  load(port: DevicePort, address: number, offset: number, lengthBytes: number): Status {
    if (!this.#isOpen) {
      return STATUS.NAMESPACE_NOT_READY;
    }
    port.writeFrom(address, this.memory, offset, lengthBytes);
    return STATUS.SUCCESS;
  }

  zero(offset: number, lengthBytes: number): Status {
    if (!this.#isOpen) {
      return STATUS.NAMESPACE_NOT_READY;
    }
    this.memory.fill(0, offset, lengthBytes);
    return STATUS.SUCCESS;
  }

  flush(): Status {
    return this.#isOpen ? STATUS.SUCCESS : STATUS.NAMESPACE_NOT_READY;
  }

  close(): void {
    this.#isOpen = false;
  }
}
