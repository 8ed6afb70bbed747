/**
 * udmabuf: a dma-buf over the pages of memfds (drivers/dma-buf/udmabuf.c, 6.12).
 *
 * The memfd must be sealed against shrinking and not against writing. Both see the same bytes. Pages are
 * pinned at creation, so the limits of the module apply: 64 MiB and 1,024 pieces unless configured.
 */
import { existsSync } from "node:fs";
import { PeerbufError } from "@peerbuf/core";
import { Descriptor } from "../sys/descriptor.ts";
import { missingNode } from "../sys/device-node.ts";
import { ioctl, request } from "../sys/ioctl.ts";
import { addSeals, createMemfd, SEAL, sealsOf } from "../sys/memfd.ts";
import { checkSize } from "./buffer-size.ts";
import { LinuxBuffer } from "./linux-buffer.ts";

const NODE = "/dev/udmabuf";
/** struct udmabuf_create_list: flags @0, count @4; then per item memfd @0, pad @4, offset @8, size @16. */
const UDMABUF_CREATE_LIST: number = request("write", "u", 0x43, 8);
const ITEM_BYTES = 24;
const HEADER_BYTES = 8;
const CLOEXEC = 1;
const O_RDWR = 2;
/** Items that fit the kernel's default `list_limit`. */
export const UDMABUF_ITEMS_MAX = 1024;

/** Has this machine got udmabuf? */
export const hasUdmabuf = (): boolean => existsSync(NODE);

/** A piece of a memfd. Offset and size in bytes, whole pages; the offset is 0 unless given. */
export interface MemfdPiece {
  readonly memfd: Descriptor | LinuxBuffer;
  readonly offset?: number;
  readonly sizeBytes: number;
}

/**
 * One buffer over pieces of memfds, in order; or over `sizeBytes` of a memfd made for it. A memfd that may
 * still shrink is sealed against it. `ARGUMENT_INVALID` naming the seal that is in the way; `PLATFORM_MISSING`;
 * `SYSCALL_FAILED` with EINVAL for a range outside the file or beyond the module's limits.
 */
export function udmabuf(source: number | readonly MemfdPiece[], name = "peerbuf"): LinuxBuffer {
  if (!hasUdmabuf()) {
    throw missingNode(NODE, "CONFIG_UDMABUF (modprobe udmabuf)");
  }
  if (typeof source !== "number") {
    return create(source);
  }
  checkSize(source);
  // The dma-buf keeps the pages; nobody needs this descriptor afterwards.
  using memfd = createMemfd(name, source);
  return create([{ memfd, sizeBytes: source }]);
}

function create(pieces: readonly MemfdPiece[]): LinuxBuffer {
  if (pieces.length === 0 || pieces.length > UDMABUF_ITEMS_MAX) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `a udmabuf of ${pieces.length} pieces: 1 to ${UDMABUF_ITEMS_MAX} are possible`,
    );
  }
  const argument = new DataView(new ArrayBuffer(HEADER_BYTES + pieces.length * ITEM_BYTES));
  argument.setUint32(0, CLOEXEC, true);
  argument.setUint32(4, pieces.length, true);
  for (const [index, piece] of pieces.entries()) {
    writeItem(argument, HEADER_BYTES + index * ITEM_BYTES, piece);
  }
  using node = Descriptor.open(NODE, O_RDWR);
  const number = ioctl(
    node,
    UDMABUF_CREATE_LIST,
    new Uint8Array(argument.buffer),
    `make a dma-buf of ${pieces.length} pieces of memfds`,
  );
  return new LinuxBuffer(new Descriptor(number, "udmabuf"));
}

function writeItem(
  argument: DataView,
  at: number,
  { memfd, offset = 0, sizeBytes }: MemfdPiece,
): void {
  checkSize(sizeBytes);
  checkOffset(offset);
  const file = memfd instanceof LinuxBuffer ? memfd.descriptor : memfd;
  sealForSharing(file);
  argument.setUint32(at, file.number, true);
  argument.setBigUint64(at + 8, BigInt(offset), true);
  argument.setBigUint64(at + 16, BigInt(sizeBytes), true);
}

function checkOffset(offset: number): void {
  if (offset !== 0) {
    checkSize(offset);
  }
}

function sealForSharing(file: Descriptor): void {
  const seals = sealsOf(file);
  if (seals === undefined) {
    throw new PeerbufError("ARGUMENT_INVALID", `${file.what} is no memfd: it cannot be sealed`, {
      errno: "EBADFD",
    });
  }
  if ((seals & (SEAL.WRITE | SEAL.FUTURE_WRITE)) !== 0) {
    throw new PeerbufError(
      "ARGUMENT_INVALID",
      `${file.what} is sealed against writing, so no device may have it: make it without F_SEAL_WRITE and F_SEAL_FUTURE_WRITE`,
    );
  }
  if ((seals & SEAL.SHRINK) === 0) {
    addSeals(file, SEAL.SHRINK);
  }
}
