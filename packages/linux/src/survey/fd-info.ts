/**
 * fdinfo: what /proc/PID/fdinfo/FD says of a dma-buf (`dma_buf_show_fdinfo`, drivers/dma-buf/dma-buf.c; the
 * inode since 5.14, fs/proc/fd.c).
 *
 * The name comes last and is whatever somebody gave it, line ends included: nothing behind it is believed.
 */

/** A dma-buf as one of its descriptors shows it. */
export interface FdInfo {
  /** Unique since boot. */
  readonly inode: number;
  readonly sizeBytes: number;
  /** References to the file: descriptors, mappings, and what the kernel holds. */
  readonly referenceCount: number | undefined;
  readonly exporter: string;
  /** Empty when it has none. */
  readonly name: string;
}

const NAME = "\nname:\t";

/** Undefined for a descriptor of anything else, and for kernels before 5.14. */
export function parseFdInfo(text: string): FdInfo | undefined {
  const nameAt = text.indexOf(NAME);
  const head = nameAt < 0 ? text : text.slice(0, nameAt);
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}:\\t(.*)$`, "m").exec(head)?.[1];
  const inode = numberIn(field("ino"));
  const sizeBytes = numberIn(field("size"));
  const exporter = field("exp_name");
  if (inode === undefined || sizeBytes === undefined || exporter === undefined) {
    return undefined;
  }
  const name = nameAt < 0 ? "" : text.slice(nameAt + NAME.length).replace(/\n$/, "");
  return { inode, sizeBytes, referenceCount: numberIn(field("count")), exporter, name };
}

const numberIn = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
