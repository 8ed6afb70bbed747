/**
 * Config space: a function's registers as `lspci -xxxx` reads and `setpci` writes them.
 *
 * As captured, with those registers alive that the machine acts upon or sets: Command and Status, Device
 * Control's reset bit, Device Status, Advanced Error Reporting, ACS control, ATS control and the memory bit of
 * SR-IOV control. Everything else keeps what was captured, whatever is written: BARs and windows do not move.
 * Errors that were logged before the capture are not shown. A function that was taken out reads as all ones.
 */
import { InputError, PeerbufError } from "@peerbuf/core";
import type { Fabric } from "./fabric.ts";
import type { HotPlug } from "./hot-plug.ts";
import { type LiveRegister, liveRegisters } from "./live-registers.ts";

const CONFIG_BYTES = 4096;

export class ConfigSpace {
  readonly #bdf: string;
  readonly #captured: Uint8Array;
  readonly #live: readonly LiveRegister[];
  readonly #isPresent: () => boolean;

  /** `InputError` when the capture has no config space of this function. */
  constructor(row: number, fabric: Fabric, hotPlug: HotPlug) {
    this.#bdf = fabric.topology.bdfOf(row);
    this.#captured = fabric.topology.configOf(row);
    this.#isPresent = () => fabric.power.isPresent(row);
    if (this.#captured.length === 0) {
      throw this.#unknown("config space");
    }
    this.#live = liveRegisters(row, fabric, hotPlug);
  }

  /**
   * 1, 2 or 4 bytes at an offset aligned to them. `ARGUMENT_INVALID` for others, `InputError` where the
   * capture ends before.
   */
  read(offset: number, sizeBytes: 1 | 2 | 4): number {
    this.#check(offset, sizeBytes);
    let value = 0;
    for (let at = offset + sizeBytes - 1; at >= offset; at--) {
      value = value * 256 + (this.#isPresent() ? this.#byteAt(at) : 0xff);
    }
    return value;
  }

  /** As `read`. Bytes of registers that are not written stay as they are. */
  write(offset: number, sizeBytes: 1 | 2 | 4, value: number): void {
    this.#check(offset, sizeBytes);
    if (!this.#isPresent()) {
      return;
    }
    for (const register of this.#live) {
      const end = register.offset + register.sizeBytes;
      if (register.write !== undefined && offset < end && offset + sizeBytes > register.offset) {
        register.write(merged(register, offset, sizeBytes, value));
      }
    }
  }

  #byteAt(offset: number): number {
    for (const { offset: start, sizeBytes, read } of this.#live) {
      if (offset >= start && offset < start + sizeBytes) {
        return byteOf(read(), offset - start);
      }
    }
    return this.#captured[offset] as number;
  }

  #check(offset: number, sizeBytes: number): void {
    const isAligned = Number.isInteger(offset) && offset % sizeBytes === 0;
    if (!(isAligned && offset >= 0 && offset + sizeBytes <= CONFIG_BYTES)) {
      throw new PeerbufError(
        "ARGUMENT_INVALID",
        `${this.#bdf}: ${sizeBytes} bytes at offset ${offset} of config space are no aligned register`,
      );
    }
    if (offset + sizeBytes > this.#captured.length) {
      throw this.#unknown(`config space beyond byte ${this.#captured.length}`);
    }
  }

  #unknown(what: string): InputError {
    return new InputError({
      source: this.#bdf,
      cause: `${what} of this function was not captured`,
      remedy: "Capture the machine as root, with all of config space",
    });
  }
}

const byteOf = (value: number, index: number): number => (value >>> (8 * index)) & 0xff;

/** What the register is written with: for bytes that are not, its own ones, or zeros where ones clear. */
function merged(
  { offset: start, sizeBytes: bytes, onesClear, read }: LiveRegister,
  offset: number,
  sizeBytes: number,
  value: number,
): number {
  const own = onesClear ? 0 : read();
  let result = 0;
  for (let index = bytes - 1; index >= 0; index--) {
    const at = start + index - offset;
    const isWritten = at >= 0 && at < sizeBytes;
    result = result * 256 + (isWritten ? byteOf(value, at) : byteOf(own, index));
  }
  return result;
}
