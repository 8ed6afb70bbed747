/**
 * File media: a namespace kept in a file on disk, byte 0 of the file being byte 0 of block 0.
 *
 * Reads and writes are synchronous: the process waits for the disk, the modelled clock does not. The
 * file is open from the making of the drive until its `close`. Nothing locks it: two drives on one file
 * write over each other. A write that the disk refuses (full, broken) is the status of its command.
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { InputError } from "@peerbuf/core";
import type { DevicePort } from "../../device-model.ts";
import type { Media } from "./media.ts";
import { STATUS, type Status } from "./status.ts";

export interface NamespaceFile {
  readonly path: string;
  /** `true`: a new file is made, of the drive's capacity; one that is there already is refused. Default `false`. */
  readonly create?: boolean;
}

/** Pieces in which bytes pass through the process's memory. */
const STAGING_BYTES = 1024 * 1024;

export class FileMedia implements Media {
  readonly sizeBytes: number;
  readonly hasWriteCache = true;
  readonly #staging: Uint8Array;
  #file: number | undefined;

  /** Takes an open file over. */
  private constructor(file: number, sizeBytes: number) {
    this.#file = file;
    this.sizeBytes = sizeBytes;
    this.#staging = new Uint8Array(Math.min(STAGING_BYTES, sizeBytes));
  }

  /** `capacityBytes` undefined: as large as the file is. `InputError` for a file that cannot be had, or is too short. */
  static open(wanted: NamespaceFile, capacityBytes: number | undefined): FileMedia {
    const { path } = wanted;
    const take =
      wanted.create === true ? created(path, capacityBytes) : opened(path, capacityBytes);
    return new FileMedia(take.file, take.sizeBytes);
  }

  store(port: DevicePort, address: number, offset: number, lengthBytes: number): Status {
    let arrived = true;
    const status = this.#inPieces(lengthBytes, (file, done, piece) => {
      arrived = port.read(address + done, this.#staging, 0, piece).ok && arrived;
      return writeAll(file, this.#staging, piece, offset + done);
    });
    return status === STATUS.SUCCESS && !arrived ? STATUS.DATA_TRANSFER_ERROR : status;
  }

  load(port: DevicePort, address: number, offset: number, lengthBytes: number): Status {
    return this.#inPieces(lengthBytes, (file, done, piece) => {
      const status = readAll(file, this.#staging, piece, offset + done);
      if (status === STATUS.SUCCESS) {
        port.write(address + done, this.#staging, 0, piece);
      }
      return status;
    });
  }

  zero(offset: number, lengthBytes: number): Status {
    this.#staging.fill(0, 0, Math.min(lengthBytes, this.#staging.length));
    return this.#inPieces(lengthBytes, (file, done, piece) =>
      writeAll(file, this.#staging, piece, offset + done),
    );
  }

  flush(): Status {
    if (this.#file === undefined) {
      return STATUS.NAMESPACE_NOT_READY;
    }
    try {
      fsyncSync(this.#file);
      return STATUS.SUCCESS;
    } catch {
      return STATUS.WRITE_FAULT;
    }
  }

  close(): void {
    const file = this.#file;
    this.#file = undefined;
    if (file !== undefined) {
      closeSync(file);
    }
  }

  /** Up to the first piece that fails. */
  #inPieces(
    lengthBytes: number,
    move: (file: number, done: number, pieceBytes: number) => Status,
  ): Status {
    for (let done = 0; done < lengthBytes; done += this.#staging.length) {
      if (this.#file === undefined) {
        return STATUS.NAMESPACE_NOT_READY;
      }
      const status = move(this.#file, done, Math.min(lengthBytes - done, this.#staging.length));
      if (status !== STATUS.SUCCESS) {
        return status;
      }
    }
    return STATUS.SUCCESS;
  }
}

function readAll(file: number, target: Uint8Array, lengthBytes: number, position: number): Status {
  try {
    for (let done = 0; done < lengthBytes; ) {
      const count = readSync(file, target, done, lengthBytes - done, position + done);
      if (count === 0) {
        return STATUS.UNRECOVERED_READ_ERROR; // Somebody made the file shorter.
      }
      done += count;
    }
    return STATUS.SUCCESS;
  } catch {
    return STATUS.UNRECOVERED_READ_ERROR;
  }
}

function writeAll(file: number, source: Uint8Array, lengthBytes: number, position: number): Status {
  try {
    for (let done = 0; done < lengthBytes; ) {
      done += writeSync(file, source, done, lengthBytes - done, position + done);
    }
    return STATUS.SUCCESS;
  } catch {
    return STATUS.WRITE_FAULT;
  }
}

interface OpenFile {
  readonly file: number;
  readonly sizeBytes: number;
}

function opened(path: string, capacityBytes: number | undefined): OpenFile {
  // Without O_NONBLOCK, opening a named pipe by mistake would wait for ever.
  const file = open(path, constants.O_RDWR | constants.O_NONBLOCK);
  return keptOpen(file, () => {
    const found = fstatSync(file);
    if (!found.isFile()) {
      throw refused(path, "it is no ordinary file", "Name an ordinary file");
    }
    const sizeBytes = capacityBytes ?? found.size;
    if (found.size < sizeBytes) {
      const cause = `it has ${found.size} bytes, fewer than the drive's capacity of ${sizeBytes}`;
      throw refused(path, cause, "Lengthen the file, or state a smaller capacity");
    }
    if (sizeBytes === 0) {
      throw refused(path, "it is empty", "Lengthen it, or let the drive create a new one");
    }
    return { file, sizeBytes };
  });
}

function created(path: string, capacityBytes: number | undefined): OpenFile {
  if (capacityBytes === undefined) {
    throw refused(path, "a file that is to be created needs a size", "State `capacityBytes`");
  }
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
  const file = open(path, flags, 0o600);
  return keptOpen(file, () => {
    try {
      ftruncateSync(file, capacityBytes);
    } catch (error) {
      unlinkSync(path);
      throw refused(path, reasonOf(error), "Choose a place with more room");
    }
    return { file, sizeBytes: capacityBytes };
  });
}

function open(path: string, flags: number, mode?: number): number {
  try {
    return openSync(path, flags, mode);
  } catch (error) {
    throw refused(
      path,
      reasonOf(error),
      "Check that the path is right and may be read and written",
    );
  }
}

/** Closes the file again when `take` refuses it. */
function keptOpen<Taken>(file: number, take: () => Taken): Taken {
  try {
    return take();
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

const refused = (path: string, cause: string, remedy: string): InputError =>
  new InputError({ source: path, cause: `no namespace can be kept there: ${cause}`, remedy });
