/**
 * Mapped ranges: the dma-bufs among the mappings of a process (/proc/PID/maps, fs/proc/task_mmu.c).
 *
 * A dma-buf's path is `/dmabuf:` and its name, with line ends as \012; it lives on a device without a
 * major number, as no file of a disk does.
 */

export interface MappedRange {
  /** As in maps and in the names of map_files. */
  readonly start: string;
  readonly end: string;
  readonly lengthBytes: number;
  readonly inode: number;
  readonly name: string;
}

const LINE = /^([0-9a-f]+)-([0-9a-f]+) [-rwxsp]{4} [0-9a-f]+ 00:[0-9a-f]+ (\d+) +\/dmabuf:(.*)$/gm;

/** In order of address. */
export function parseMaps(text: string): MappedRange[] {
  return [...text.matchAll(LINE)].map(([, start = "", end = "", inode, name = ""]) => ({
    start,
    end,
    // Addresses of user space are below 2^57: the difference of two is exact as far as it matters.
    lengthBytes: Number(BigInt(`0x${end}`) - BigInt(`0x${start}`)),
    inode: Number(inode),
    name: name.replaceAll("\\012", "\n"),
  }));
}
