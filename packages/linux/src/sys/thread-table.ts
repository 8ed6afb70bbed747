/**
 * Thread table: which thread of this process has which descriptors and mappings, so that a thread that is
 * terminated leaves none: they belong to the process, and nobody else would give them back.
 *
 * One table in shared memory, made by the first thread that takes a handle, and inherited by the threads it
 * starts from then on. Whoever started a thread gives back what it left, when it has ended and not before. A
 * number is struck out before it is closed: a thread that is ended between the two leaks one descriptor, and
 * never is a number closed that somebody else was given meanwhile.
 */
import { getEnvironmentData, setEnvironmentData, threadId, type Worker } from "node:worker_threads";
import { libc } from "./libc.ts";

/** Under this name threads inherit it; with the number of its layout. */
const NAME = "@peerbuf/linux thread table 1";
/** The kernel's own limit for a process (fs.nr_open). Memory is taken where it is written. */
const DESCRIPTORS_MAX: number = 2 ** 20;
/** More than a process may map (vm.max_map_count). */
const MAPPINGS_MAX: number = 2 ** 16;
/** Threads whose starter is remembered. */
const THREADS_MAX = 4096;

const NOBODY = 0;
/** Threads from 1 on: Node's main thread is 0. */
const SELF: number = threadId + 1;

class Table {
  readonly memory: SharedArrayBuffer;
  /** Thread by descriptor. */
  readonly descriptors: Int32Array;
  /** Thread by mapping; negative while its row is written. */
  readonly mappings: Int32Array;
  /** Thread, and who started it; a row each. */
  readonly threads: Int32Array;
  /** One more than the largest descriptor, and row of a mapping, that was ever entered. */
  readonly ends: Int32Array;
  /** Address and bytes; a row each. */
  readonly places: Float64Array;

  constructor(
    memory: SharedArrayBuffer = new SharedArrayBuffer(
      8 * 2 * MAPPINGS_MAX + 4 * (DESCRIPTORS_MAX + MAPPINGS_MAX + 2 * THREADS_MAX + 2),
    ),
  ) {
    let at = 0;
    const next = (count: number, bytesEach: number): number => {
      at += count * bytesEach;
      return at - count * bytesEach;
    };
    const column = (count: number): Int32Array => new Int32Array(memory, next(count, 4), count);
    this.memory = memory;
    this.places = new Float64Array(memory, next(2 * MAPPINGS_MAX, 8), 2 * MAPPINGS_MAX);
    this.descriptors = column(DESCRIPTORS_MAX);
    this.mappings = column(MAPPINGS_MAX);
    this.threads = column(2 * THREADS_MAX);
    this.ends = column(2);
  }

  reach(end: 0 | 1, count: number): void {
    for (let seen = Atomics.load(this.ends, end); seen < count; ) {
      seen = Atomics.compareExchange(this.ends, end, seen, count);
    }
  }
}

let table: Table | undefined;
/** Where to look first for a row of a mapping. */
let nextRow = 0;

function openTable(): Table {
  const inherited = getEnvironmentData(NAME);
  const opened = new Table(inherited instanceof SharedArrayBuffer ? inherited : undefined);
  setEnvironmentData(NAME, opened.memory);
  process.on("worker", (worker) => giveBackAfter(worker, opened));
  return opened;
}

/** This thread has it. */
export function claimDescriptor(number: number): void {
  table ??= openTable();
  table.descriptors[number] = SELF;
  if (number >= (table.ends[0] as number) && number < DESCRIPTORS_MAX) {
    table.reach(0, number + 1);
  }
}

/** This thread has it no more, or will not in a moment. */
export function disclaimDescriptor(number: number): void {
  if (table?.descriptors[number] === SELF) {
    table.descriptors[number] = NOBODY;
  }
}

/** The row in which it was entered, for `disclaimMapping`; -1 where there was no room. */
export function claimMapping(address: bigint, lengthBytes: number): number {
  table ??= openTable();
  const { mappings, places } = table;
  for (let tries = 0; tries < MAPPINGS_MAX; tries++) {
    const row = nextRow++ % MAPPINGS_MAX;
    if (Atomics.compareExchange(mappings, row, NOBODY, -SELF) === NOBODY) {
      places[2 * row] = Number(address);
      places[2 * row + 1] = lengthBytes;
      Atomics.store(mappings, row, SELF);
      table.reach(1, row + 1);
      return row;
    }
  }
  return -1;
}

export function disclaimMapping(row: number): void {
  if (row >= 0 && table !== undefined) {
    Atomics.store(table.mappings, row, NOBODY);
  }
}

/** Those that it started have ended with it. */
function giveBackAfter(worker: Worker, opened: Table): void {
  const thread = worker.threadId + 1;
  const at = 2 * (thread % THREADS_MAX);
  opened.threads[at] = thread;
  opened.threads[at + 1] = SELF;
  worker.once("exit", () => {
    for (const ended of withThoseItStarted(thread, opened.threads)) {
      closeDescriptorsOf(ended, opened);
      unmapMappingsOf(ended, opened);
    }
  });
}

function withThoseItStarted(thread: number, threads: Int32Array): Set<number> {
  const ended = new Set([thread]);
  for (const each of ended) {
    for (let at = 0; at < threads.length; at += 2) {
      if (threads[at + 1] === each) {
        ended.add(threads[at] as number);
      }
    }
  }
  return ended;
}

function closeDescriptorsOf(thread: number, { descriptors, ends }: Table): void {
  const end = Atomics.load(ends, 0);
  for (let number = 0; number < end; number++) {
    if (descriptors[number] === thread) {
      descriptors[number] = NOBODY;
      libc().close(number);
    }
  }
}

function unmapMappingsOf(thread: number, { mappings, places, ends }: Table): void {
  const end = Atomics.load(ends, 1);
  for (let row = 0; row < end; row++) {
    if (Math.abs(mappings[row] as number) === thread) {
      const isWhole = mappings[row] === thread;
      const [address, lengthBytes] = [places[2 * row] as number, places[2 * row + 1] as number];
      Atomics.store(mappings, row, NOBODY);
      if (isWhole) {
        libc().munmap(BigInt(address), lengthBytes);
      }
    }
  }
}
