/**
 * Buffer stats: size and exporter of every dma-buf from /sys/kernel/dmabuf/buffers/INODE, where the kernel
 * was built with CONFIG_DMABUF_SYSFS_STATS (5.13 and later; few distributions). Readable without root.
 */
import { readdirSync, readFileSync } from "node:fs";
import { look } from "./look.ts";

export interface BufferStats {
  readonly inode: number;
  readonly sizeBytes: number;
  readonly exporter: string;
}

/** Undefined where the kernel keeps none. */
export function readBufferStats(root: string): BufferStats[] | undefined {
  const folder = `${root}/sys/kernel/dmabuf/buffers`;
  const inodes = look(() => readdirSync(folder))?.filter((name) => /^\d+$/.test(name));
  return inodes?.flatMap((inode) => {
    const read = (name: string): string | undefined =>
      look(() => readFileSync(`${folder}/${inode}/${name}`, "utf8"))?.trim();
    const size = read("size");
    const exporter = read("exporter_name");
    return size === undefined || exporter === undefined
      ? []
      : [{ inode: Number(inode), sizeBytes: Number(size), exporter }];
  });
}
