/**
 * Holders: which processes hold which dma-bufs, by descriptor or by mapping, read from /proc.
 *
 * Only links and texts are read: no descriptor of a buffer is opened, so looking changes no reference
 * count. A process that ends meanwhile is left out, or appears with what was read before.
 */
import { readdirSync, readFileSync, readlinkSync, statfsSync, statSync } from "node:fs";
import { DMA_BUF_MAGIC } from "../buffers/dma-buf-requests.ts";
import { type FdInfo, parseFdInfo } from "./fd-info.ts";
import { look } from "./look.ts";
import { type MappedRange, parseMaps } from "./mapped-ranges.ts";

/** One process and one buffer. */
export interface Holder {
  readonly pid: number;
  /** Its short name (comm), at most 15 bytes. */
  readonly command: string;
  /** Numbers of its descriptors of the buffer, ascending. */
  readonly descriptors: readonly number[];
  /** Mappings of the buffer, or of parts of it. */
  readonly mappingCount: number;
  /** Bytes of these together. */
  readonly mappedBytes: number;
}

/** A mapping, and the buffer's size where it may be asked for (root). */
export interface HeldRange extends MappedRange {
  readonly sizeBytes: number | undefined;
}

/** What a process holds of dma-bufs. */
export interface Holdings {
  readonly pid: number;
  readonly command: string;
  readonly descriptors: readonly { readonly number: number; readonly info: FdInfo }[];
  readonly ranges: readonly HeldRange[];
}

export interface ProcessTable {
  /** Processes that hold any dma-buf. */
  readonly holdings: readonly Holdings[];
  /** Processes that were there. */
  readonly processCount: number;
  /** Processes that may not be looked into: other users', without root. */
  readonly deniedCount: number;
}

/** Reads `root`/proc. */
export function readProcesses(root: string): ProcessTable {
  const proc = `${root}/proc`;
  const pids = (look(() => readdirSync(proc)) ?? []).filter((name) => /^\d+$/.test(name));
  const denied = new Set<string>();
  const holdings = pids.flatMap((pid) => {
    const held = holdingsOf(`${proc}/${pid}`, Number(pid), () => denied.add(pid));
    return held.descriptors.length + held.ranges.length === 0 ? [] : [held];
  });
  return { holdings, processCount: pids.length, deniedCount: denied.size };
}

function holdingsOf(folder: string, pid: number, onDenied: () => void): Holdings {
  const numbers = look(() => readdirSync(`${folder}/fd`), onDenied) ?? [];
  const descriptors = numbers
    .filter((number) => isDmaBufLink(`${folder}/fd/${number}`, onDenied))
    .map(Number)
    .sort((one, other) => one - other)
    .flatMap((number) => {
      const text = look(() => readFileSync(`${folder}/fdinfo/${number}`, "utf8"), onDenied);
      const info = text === undefined ? undefined : parseFdInfo(text);
      return info === undefined ? [] : [{ number, info }];
    });
  const maps = look(() => readFileSync(`${folder}/maps`, "utf8"), onDenied) ?? "";
  const ranges = (maps.includes("/dmabuf:") ? parseMaps(maps) : []).flatMap((range) =>
    heldRange(folder, range),
  );
  const held = descriptors.length + ranges.length > 0;
  const command = held ? look(() => readFileSync(`${folder}/comm`, "utf8")) : undefined;
  return { pid, command: (command ?? "").replace(/\n$/, ""), descriptors, ranges };
}

const isDmaBufLink = (path: string, onDenied: () => void): boolean =>
  look(() => readlinkSync(path), onDenied)?.startsWith("/dmabuf:") === true;

/** Leaves out what only has such a path; that can be seen where map_files may be followed (root). */
function heldRange(folder: string, range: MappedRange): HeldRange[] {
  const path = `${folder}/map_files/${range.start}-${range.end}`;
  const type = look(() => statfsSync(path).type);
  if (type !== undefined && type !== DMA_BUF_MAGIC) {
    return [];
  }
  return [{ ...range, sizeBytes: look(() => statSync(path).size) }];
}
