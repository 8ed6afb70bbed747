/**
 * Error log: the last errors of a controller, newest first (NVMe 1.4 section 5.14.1.1, log page 01h).
 */
import { writeU64 } from "../little-endian.ts";
import type { Status } from "./status.ts";

export const ERROR_LOG_PAGE = 0x01;
/** ELPE + 1. */
export const ERROR_LOG_ENTRIES = 16;
const ENTRY_BYTES = 64;

export interface LoggedError {
  readonly queueId: number;
  /** `NO_COMMAND` for an error of no command. */
  readonly commandId: number;
  readonly status: Status;
  readonly namespaceId: number;
}

export const NO_COMMAND = 0xffff;

export class ErrorLog {
  readonly #entries: LoggedError[] = [];
  #count = 0;

  add(error: LoggedError): void {
    this.#count++;
    this.#entries.unshift(error);
    if (this.#entries.length > ERROR_LOG_ENTRIES) {
      this.#entries.pop();
    }
  }

  clear(): void {
    this.#entries.length = 0;
    this.#count = 0;
  }

  /** The log page. */
  page(): Uint8Array {
    const bytes = new Uint8Array(ERROR_LOG_ENTRIES * ENTRY_BYTES);
    const view = new DataView(bytes.buffer);
    this.#entries.forEach((error, index) => {
      const at = index * ENTRY_BYTES;
      writeU64(view, at, this.#count - index);
      view.setUint16(at + 8, error.queueId, true);
      view.setUint16(at + 10, error.commandId, true);
      view.setUint16(at + 12, error.status << 1, true);
      view.setUint32(at + 24, error.namespaceId, true);
    });
    return bytes;
  }
}
