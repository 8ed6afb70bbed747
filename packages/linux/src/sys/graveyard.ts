/**
 * Graveyard: addresses of mappings that were given back, blank, for a while.
 *
 * Node's thread pool (crypto.randomFill, fs.read, ...) works on bytes by their address and does not notice that
 * their views were taken away. What is still underway when a buffer is closed reads zeros here and writes to
 * nobody, instead of ending the process (SIGSEGV). Ranges leave in the order in which they came, when there are too
 * many or when the kernel has no room for a mapping; blank pages that nobody touches take no memory.
 */
import { libc } from "./libc.ts";
import { disclaimMapping } from "./thread-table.ts";

const PROT_READ = 1;
const PROT_WRITE = 2;
/** MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE. */
const MAP_BLANK: number = 0x2 | 0x10 | 0x20 | 0x4000;
/** (void *)-1. */
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

/** The youngest always stays, however large it is. */
const RANGES_MAX = 1024;
const BYTES_MAX: number = 2 ** 32;

/** What was mapped. */
export interface Range {
  readonly address: bigint;
  readonly lengthBytes: number;
  /** In the table of threads, until it is unmapped. */
  readonly row: number;
}

/** Oldest first. */
const ranges = new Set<Range>();
let totalBytes = 0;

/** Puts blank memory of nobody over a range. False: the kernel has no room for it. */
export function blank({ address, lengthBytes }: Range): boolean {
  const protection = PROT_READ | PROT_WRITE;
  const answer = libc().mmap(address, lengthBytes, protection, MAP_BLANK, -1, 0);
  return answer !== null && BigInt.asUintN(64, answer) !== MAP_FAILED;
}

/** Its bytes are gone from here on, its addresses later. */
export function bury(range: Range): void {
  if (!blank(range)) {
    unmap(range);
    return;
  }
  ranges.add(range);
  totalBytes += range.lengthBytes;
  for (const oldest of ranges) {
    if (oldest === range || (ranges.size <= RANGES_MAX && totalBytes <= BYTES_MAX)) {
      break;
    }
    remove(oldest);
  }
}

/** Gives every address back. False when there was none. */
export function emptyGraveyard(): boolean {
  const wasEmpty = ranges.size === 0;
  for (const range of ranges) {
    remove(range);
  }
  return !wasEmpty;
}

function remove(range: Range): void {
  ranges.delete(range);
  totalBytes -= range.lengthBytes;
  unmap(range);
}

function unmap({ address, lengthBytes, row }: Range): void {
  disclaimMapping(row);
  libc().munmap(address, lengthBytes);
}
