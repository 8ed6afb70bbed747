/**
 * Error registers: what each function logged of requests that went wrong, as its config space would show it.
 *
 * Status register, Device Status, Advanced Error Reporting with the header of the first error (PCIe base
 * specification 5.0, 6.2, 7.5 and 7.8.4). Who detects an error logs it: an Unsupported Request where nobody
 * answered, an ACS Violation at the port that blocked, a Completion Timeout at who waits in vain, an
 * Unexpected Completion at who did not ask. An error that the requester of a read is told of by the
 * completion's status is advisory there (6.2.3.2.4.1). What a root complex drops in silence is logged by nobody.
 *
 * AER is kept for functions that have the capability, or whose config space was not captured. Messages to
 * root ports, severities and DPC are not modelled; poisoned packets never arise.
 */
import { findExtendedCapability, type Topology } from "@peerbuf/topology";

export const EXTENDED_AER = 0x0001;

/** Device Status. */
const CORRECTABLE = 0x1;
const NON_FATAL = 0x2;
const UNSUPPORTED_REQUEST = 0x8;

/** Bits of the uncorrectable error status register. */
export const UNCORRECTABLE = {
  SURPRISE_DOWN: 0x0000_0020,
  POISONED_TLP: 0x0000_1000,
  COMPLETION_TIMEOUT: 0x0000_4000,
  COMPLETER_ABORT: 0x0000_8000,
  UNEXPECTED_COMPLETION: 0x0001_0000,
  UNSUPPORTED_REQUEST: 0x0010_0000,
  ACS_VIOLATION: 0x0020_0000,
} as const;

export type UncorrectableError = keyof typeof UNCORRECTABLE;

/** Correctable error status. */
const ADVISORY_NON_FATAL = 0x2000;

/** Status register at 0x06. */
const SIGNALED_TARGET_ABORT = 0x0800;
const RECEIVED_TARGET_ABORT = 0x1000;
const RECEIVED_MASTER_ABORT = 0x2000;

/** Registers of one function. Names where hardware has bits, in bit order. */
export interface FunctionErrors {
  /** Status register. */
  readonly status: readonly (
    | "signaled-target-abort"
    | "received-target-abort"
    | "received-master-abort"
  )[];
  /** Device Status of the PCI Express capability. */
  readonly deviceStatus: readonly ("correctable" | "non-fatal" | "unsupported-request")[];
  readonly uncorrectable: readonly UncorrectableError[];
  readonly correctable: readonly "ADVISORY_NON_FATAL"[];
  /** The error that came first since the log was cleared; `undefined` for none. */
  readonly firstError: UncorrectableError | undefined;
  /** Header of the packet that was the first error, four double words; empty for errors without one. */
  readonly headerLog: readonly number[];
}

/** The same as numbers, bit for bit. */
export interface RawErrors {
  readonly status: number;
  readonly deviceStatus: number;
  readonly uncorrectable: number;
  readonly correctable: number;
  readonly firstErrorPointer: number;
  readonly headerLog: readonly number[];
}

/** A packet's header, made only when one is logged. */
export type Header = () => readonly number[];

interface FirstError {
  readonly error: UncorrectableError;
  readonly header: readonly number[];
}

export class ErrorRegisters {
  readonly #topology: Topology;
  readonly #status: Uint16Array;
  readonly #deviceStatus: Uint8Array;
  readonly #uncorrectable: Uint32Array;
  readonly #advisory: Uint8Array;
  readonly #first = new Map<number, FirstError>();

  constructor(topology: Topology) {
    this.#topology = topology;
    this.#status = new Uint16Array(topology.count);
    this.#deviceStatus = new Uint8Array(topology.count);
    this.#uncorrectable = new Uint32Array(topology.count);
    this.#advisory = new Uint8Array(topology.count);
  }

  /** The function detects an error. `isAdvisory`: somebody else is told of it, and handles it. */
  detect(row: number, error: UncorrectableError, isAdvisory: boolean, header?: Header): void {
    const isUnsupported = error === "UNSUPPORTED_REQUEST";
    this.#deviceStatus[row] =
      (this.#deviceStatus[row] as number) |
      (isAdvisory ? CORRECTABLE : NON_FATAL) |
      (isUnsupported ? UNSUPPORTED_REQUEST : 0);
    if (!this.#hasAer(row)) {
      return;
    }
    this.#advisory[row] = (this.#advisory[row] as number) | (isAdvisory ? 1 : 0);
    this.#uncorrectable[row] = (this.#uncorrectable[row] as number) | UNCORRECTABLE[error];
    if (!this.#first.has(row)) {
      this.#first.set(row, { error, header: header?.() ?? [] });
    }
  }

  /** The function answers a read with Completer Abort status. */
  signalAbort(row: number): void {
    this.#raise(row, SIGNALED_TARGET_ABORT);
  }

  /** The completion of the function's read says Unsupported Request, or Completer Abort. */
  receiveAbort(row: number, isCompleterAbort: boolean): void {
    this.#raise(row, isCompleterAbort ? RECEIVED_TARGET_ABORT : RECEIVED_MASTER_ABORT);
  }

  of(row: number): FunctionErrors {
    const status = this.#status[row] as number;
    const device = this.#deviceStatus[row] as number;
    const uncorrectable = this.#uncorrectable[row] as number;
    const first = this.#first.get(row);
    return {
      status: named(status, [
        [SIGNALED_TARGET_ABORT, "signaled-target-abort"],
        [RECEIVED_TARGET_ABORT, "received-target-abort"],
        [RECEIVED_MASTER_ABORT, "received-master-abort"],
      ]),
      deviceStatus: named(device, [
        [CORRECTABLE, "correctable"],
        [NON_FATAL, "non-fatal"],
        [UNSUPPORTED_REQUEST, "unsupported-request"],
      ]),
      uncorrectable: named(
        uncorrectable,
        Object.entries(UNCORRECTABLE).map(([name, bit]) => [bit, name as UncorrectableError]),
      ),
      correctable: this.#advisory[row] === 0 ? [] : ["ADVISORY_NON_FATAL"],
      firstError: first?.error,
      headerLog: first?.header ?? [],
    };
  }

  /** As the bits stand in config space. */
  raw(row: number): RawErrors {
    const error = this.#first.get(row)?.error;
    return {
      status: this.#status[row] as number,
      deviceStatus: this.#deviceStatus[row] as number,
      uncorrectable: this.#uncorrectable[row] as number,
      correctable: this.#advisory[row] === 0 ? 0 : ADVISORY_NON_FATAL,
      firstErrorPointer: error === undefined ? 0 : Math.log2(UNCORRECTABLE[error]),
      headerLog: this.#first.get(row)?.header ?? [],
    };
  }

  /** Ones clear bits. With the bit of the first error the header log is free for the next. */
  clearBits(row: number, bits: Partial<Omit<RawErrors, "firstErrorPointer" | "headerLog">>): void {
    const { status = 0, deviceStatus = 0, uncorrectable = 0, correctable = 0 } = bits;
    this.#status[row] = (this.#status[row] as number) & ~status;
    this.#deviceStatus[row] = (this.#deviceStatus[row] as number) & ~deviceStatus;
    this.#uncorrectable[row] = (this.#uncorrectable[row] as number) & ~uncorrectable;
    if ((correctable & ADVISORY_NON_FATAL) !== 0) {
      this.#advisory[row] = 0;
    }
    const first = this.#first.get(row);
    if (first !== undefined && (UNCORRECTABLE[first.error] & uncorrectable) !== 0) {
      this.#first.delete(row);
    }
  }

  /** Ones to every bit; the next error is a first one again. */
  clear(row: number): void {
    const all = 0xffff_ffff;
    this.clearBits(row, { status: all, deviceStatus: all, uncorrectable: all, correctable: all });
  }

  /** A reset of the function: AER's registers are sticky and survive it (7.8.4), the others do not. */
  reset(row: number): void {
    this.clearBits(row, { status: 0xffff, deviceStatus: 0xffff });
  }

  #raise(row: number, bit: number): void {
    this.#status[row] = (this.#status[row] as number) | bit;
  }

  #hasAer(row: number): boolean {
    const config = this.#topology.configOf(row);
    return config.length === 0 || findExtendedCapability(config, EXTENDED_AER) !== 0;
  }
}

function named<Name>(bits: number, names: readonly (readonly [number, Name])[]): Name[] {
  return names.filter(([bit]) => (bits & bit) !== 0).map(([, name]) => name);
}
