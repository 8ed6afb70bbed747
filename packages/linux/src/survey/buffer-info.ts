/**
 * bufinfo: every dma-buf of the kernel, with attached devices and fences, as debugfs shows them
 * (`dma_buf_debug_show`, drivers/dma-buf/dma-buf.c; fences since 5.18, their later form since 6.17).
 *
 * A name holds up to 31 bytes of anybody's choice, line ends too. So a buffer is found by its header line,
 * which needs more bytes than that, devices are counted back from the total behind them, and a pending
 * fence's line needs 32 bytes at least: no name makes up any of them.
 */
import { type PendingFence, parsePendingFence } from "./pending-fence.ts";

/** A dma-buf as the kernel's own list shows it. */
export interface BufferInfo {
  readonly inode: number;
  readonly sizeBytes: number;
  readonly referenceCount: number;
  readonly exporter: string;
  /** Empty when it has none. */
  readonly name: string;
  /** Names of the attached devices as the kernel has them: a BDF, a platform device. */
  readonly devices: readonly string[];
  readonly fences: readonly PendingFence[];
}

/** size, flags, mode, count, exporter, inode, name: by tabs, numbers padded to eight places. */
const HEADER = /^(\d{8,})\t[0-9a-f]{8}\t[0-9a-f]{8}\t(\d{8,})\t([^\t]*)\t(\d{8,})\t(.*)$/;
const TOTAL = /^Total (\d+) devices attached$/;
/** Signaled ones too. */
const FENCE = /^\t(kernel|write|read|bookkeep) fence:.*signalled$/;
const NO_NAME = "<none>";

/** In the order of the list, newest first. Text that is no bufinfo has no buffers. */
export function parseBufferInfo(text: string): BufferInfo[] {
  const blocks: string[][] = [];
  for (const line of text.split("\n")) {
    if (HEADER.test(line)) {
      blocks.push([line]);
    } else {
      blocks.at(-1)?.push(line);
    }
  }
  return blocks.map(bufferOf);
}

function bufferOf([header = "", ...lines]: readonly string[]): BufferInfo {
  const [, size, count, exporter = "", inode, name = ""] = HEADER.exec(header) ?? [];
  const total = lines.findLastIndex((line) => TOTAL.test(line));
  const deviceCount = Number(TOTAL.exec(lines[total] ?? "")?.[1] ?? 0);
  // Where the title of the devices stands; fences are above it, and the rest of the name above these.
  const title = Math.max(0, total - deviceCount - 1);
  const described = lines.slice(0, title);
  const nameEnd = described.findLastIndex((line) => !FENCE.test(line)) + 1;
  const fullName = [name, ...described.slice(0, nameEnd)].join("\n");
  return {
    inode: Number(inode),
    sizeBytes: Number(size),
    referenceCount: Number(count),
    exporter,
    name: fullName === NO_NAME ? "" : fullName,
    devices: lines.slice(title + 1, Math.max(0, total)).map((line) => line.slice(1)),
    fences: described.slice(nameEnd).flatMap((line) => parsePendingFence(line) ?? []),
  };
}
