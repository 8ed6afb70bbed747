/**
 * Block device: direct I/O between a drive and mapped bytes: the drive's own DMA, past the page cache.
 *
 * With bytes of a peer's memory the kernel judges the path, per request: EREMOTEIO is its "no" (blk_rq_map_sg
 * and nvme_map_data, 6.12). The bytes of a dma-heap or udmabuf mapping cannot be used (EFAULT): the kernel
 * lets no direct I/O into them. Memory of `sharedMemory` and `P2pMemory` can.
 */
import { constants, readFileSync, readlinkSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { PeerbufError } from "@peerbuf/core";

/** Mapped bytes that a drive can be given. */
export interface DirectMemory {
  readonly sizeBytes: number;
  withBytes<T>(
    use: "read" | "write",
    work: (bytes: Uint8Array<ArrayBuffer>) => Promise<T>,
  ): Promise<T>;
}

/** A part of mapped bytes and where it goes on the drive. All in bytes, whole logical blocks. */
export interface Extent {
  readonly position: number;
  readonly offset?: number;
  readonly lengthBytes?: number;
}

export class BlockDevice {
  readonly path: string;
  readonly sizeBytes: number;
  readonly logicalBlockBytes: number;
  /** The PCI function it sits on; undefined when it sits on none. */
  readonly bdf: string | undefined;
  readonly #file: FileHandle;

  private constructor(path: string, file: FileHandle) {
    const name = basename(path);
    this.path = path;
    this.#file = file;
    // The kernel counts in units of 512 bytes here, whatever the drive does.
    this.sizeBytes = Number(readFileSync(`/sys/class/block/${name}/size`, "utf8")) * 512;
    this.logicalBlockBytes = Number(
      readFileSync(`/sys/class/block/${name}/queue/logical_block_size`, "utf8"),
    );
    this.bdf = bdfOf(name);
  }

  /** Opens for direct I/O. `SYSCALL_FAILED` with the kernel's errno, ENOENT for what is no block device. */
  static async open(path: string): Promise<BlockDevice> {
    let file: FileHandle | undefined;
    try {
      file = await open(path, constants.O_RDWR | constants.O_DIRECT | constants.O_EXCL);
      return new BlockDevice(path, file);
    } catch (error) {
      await file?.close();
      throw refused(`open ${path}`, error);
    }
  }

  /** The drive fetches the bytes. `SYSCALL_FAILED`: EREMOTEIO when it may not reach them. */
  write(memory: DirectMemory, extent: Extent): Promise<void> {
    return this.#move(memory, extent, "read");
  }

  /** The drive delivers bytes. `SYSCALL_FAILED`: EREMOTEIO when it may not reach them. */
  read(memory: DirectMemory, extent: Extent): Promise<void> {
    return this.#move(memory, extent, "write");
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #move(
    memory: DirectMemory,
    { position, offset = 0, lengthBytes = memory.sizeBytes - offset }: Extent,
    use: "read" | "write",
  ): Promise<void> {
    this.#check(position, lengthBytes);
    checkPart(memory, offset, lengthBytes);
    const what = `${use === "read" ? "write to" : "read from"} ${this.path} at ${position}`;
    const moved = await memory.withBytes(use, async (bytes) => {
      try {
        return use === "read"
          ? (await this.#file.write(bytes, offset, lengthBytes, position)).bytesWritten
          : (await this.#file.read(bytes, offset, lengthBytes, position)).bytesRead;
      } catch (error) {
        throw refused(what, error);
      }
    });
    if (moved !== lengthBytes) {
      const message = `${what}: ${moved} of ${lengthBytes} bytes were moved`;
      throw new PeerbufError("DEVICE_FAILED", message);
    }
  }

  #check(position: number, lengthBytes: number): void {
    const unit = this.logicalBlockBytes;
    const fits = position >= 0 && lengthBytes > 0 && position + lengthBytes <= this.sizeBytes;
    if (!fits || position % unit !== 0 || lengthBytes % unit !== 0) {
      throw new PeerbufError(
        "ARGUMENT_INVALID",
        `${lengthBytes} bytes at ${position} of ${this.path}: whole blocks of ${unit} bytes within ${this.sizeBytes} are possible`,
      );
    }
  }
}

function checkPart({ sizeBytes }: DirectMemory, offset: number, lengthBytes: number): void {
  if (!(Number.isInteger(offset) && offset >= 0 && offset + lengthBytes <= sizeBytes)) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `${lengthBytes} bytes from ${offset} of ${sizeBytes} bytes of memory: they do not lie within it`,
    );
  }
}

/** The PCI function above a namespace: .../0000:03:00.0/nvme/nvme0/nvme0n1. */
function bdfOf(name: string): string | undefined {
  const place = readlinkSync(`/sys/class/block/${name}`);
  return dirname(place)
    .split("/")
    .findLast((part) => /^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/.test(part));
}

function refused(what: string, error: unknown): unknown {
  const { code, errno, message } = error as { code?: unknown; errno?: unknown; message: string };
  if (typeof code === "string" && code.startsWith("ERR_INVALID_ARG")) {
    return new PeerbufError("ARGUMENT_INVALID", message, { cause: error });
  }
  if (typeof code !== "string" || typeof errno !== "number") {
    return error;
  }
  // libuv has no name for some numbers; the kernel does.
  const name = errno === -121 ? "EREMOTEIO" : code;
  return new PeerbufError("SYSCALL_FAILED", `${what}: ${name}`, { errno: name, cause: error });
}
