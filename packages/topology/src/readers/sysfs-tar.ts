/**
 * Sysfs tar: a tar, tar.gz or tar.bz2 of /sys (and /proc), read as a stream.
 *
 * Only the few files that a topology needs are kept; all else is skipped as it flows by. A leading
 * folder (`machine-name/sys/...`) is taken off. Nothing is ever written to disk, so a path with `..`
 * can harm nobody; such an entry is skipped.
 */
import { Transform, type TransformCallback } from "node:stream";
import { pipeline } from "node:stream/promises";
import { InputError } from "@peerbuf/core";
import { extract, type Header } from "tar-stream";
import type { Topology } from "../topology.ts";
import type { CaptureHead } from "./capture-head.ts";
import { MemoryTree } from "./memory-tree.ts";
import { topologyFromSysfs } from "./sysfs-topology.ts";
import { TREE_FILE_BYTES_MAX } from "./sysfs-tree.ts";

/** Bytes of a tar after decompression, at most. A whole /sys of a large server stays below 500 MB. */
export const TAR_BYTES_MAX: number = 2 ** 30;
/** Entries of a tar, at most. */
export const TAR_ENTRY_COUNT_MAX = 2_000_000;
/** Bytes kept of all files together, at most. */
export const TAR_KEPT_BYTES_MAX: number = 512 * 2 ** 20;

/** Offset and text of the mark in a tar header (POSIX ustar and GNU alike). */
const MAGIC_OFFSET = 257;
const MAGIC = "ustar";
const BLOCK_BYTES = 512;

const FUNCTION_FILES =
  "(?:config|class|vendor|device|resource|numa_node|(?:current|max)_link_(?:speed|width)|(?:secondary|subordinate)_bus_number)";
const WANTED = new RegExp(
  [
    "^proc/(?:cpuinfo|cmdline|version|sys/kernel/osrelease)$",
    "^sys/bus/pci/devices/",
    `^sys/devices/.*/[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\\.[0-7]/${FUNCTION_FILES}$`,
    "^sys/kernel/iommu_groups/\\d+/type$",
    "^sys/devices/system/node/node\\d+/(?:distance|cpulist)$",
    "^sys/devices/system/cpu/cpu\\d+/topology/physical_package_id$",
    "^sys/devices/virtual/dmi/id/(?:sys_vendor|product_name)$",
    "^boot/config-[^/]+$",
  ].join("|"),
);
const WANTED_LINK =
  /^sys\/(?:bus\/pci\/devices\/[^/]+|devices\/.*\/(?:physfn|driver|iommu_group))$/;

/** Folders whose names are the answer: what the operating system calls the devices behind a function. */
const WANTED_FOLDER =
  /^sys\/devices\/.*\/[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]\/(?:net|infiniband|drm|nvme|accel|dma)\/[\w.-]+(?:\/nvme\w+)?$/;

export function looksLikeTar(head: CaptureHead): boolean {
  const magic = head.bytes.subarray(MAGIC_OFFSET, MAGIC_OFFSET + MAGIC.length);
  return new TextDecoder().decode(magic) === MAGIC;
}

/** @throws InputError when the file is damaged, cut short, too large or no capture of /sys */
export async function readSysfsTar(head: CaptureHead): Promise<Topology> {
  const tree = new MemoryTree(head.path);
  const meter = new TarMeter();
  const unpack = extract();
  const keeping = keepWanted(unpack, tree);
  const flowing = pipeline(head.open(), meter, unpack);
  try {
    await Promise.all([flowing, keeping]);
  } catch (error) {
    throw refusedTar(head.path, error);
  }
  if (!meter.isComplete) {
    throw refusedTar(head.path, new Error("the end mark of the archive is missing"));
  }
  return topologyFromSysfs(tree);
}

async function keepWanted(unpack: ReturnType<typeof extract>, tree: MemoryTree): Promise<void> {
  let entryCount = 0;
  let keptBytes = 0;
  for await (const entry of unpack) {
    entryCount += 1;
    if (entryCount > TAR_ENTRY_COUNT_MAX) {
      throw new Error(`it has more than ${TAR_ENTRY_COUNT_MAX} entries`);
    }
    const path = pathInTree(entry.header.name);
    if (isWantedFile(entry.header, path)) {
      if (entry.header.size > TREE_FILE_BYTES_MAX) {
        throw new Error(
          `${path} has ${entry.header.size} bytes, at most ${TREE_FILE_BYTES_MAX} are read`,
        );
      }
      keptBytes += entry.header.size;
      if (keptBytes > TAR_KEPT_BYTES_MAX) {
        throw new Error(`more than ${TAR_KEPT_BYTES_MAX} bytes of it would have to be kept`);
      }
      tree.addFile(path, await contentOf(entry));
      continue;
    }
    if (entry.header.type === "symlink" && WANTED_LINK.test(path)) {
      tree.addLink(path, entry.header.linkname ?? "");
    }
    if (entry.header.type === "directory" && WANTED_FOLDER.test(path)) {
      tree.addFolder(path);
    }
    entry.resume();
  }
}

const isWantedFile = (header: Header, path: string): boolean =>
  (header.type === "file" || header.type === "contiguous-file") && WANTED.test(path);

async function contentOf(entry: AsyncIterable<unknown>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of entry) {
    chunks.push(chunk as Uint8Array);
  }
  return Buffer.concat(chunks);
}

const TOPS: ReadonlySet<string> = new Set(["sys", "proc", "boot"]);

/** The path from `sys`, `proc` or `boot` on, "" for an entry that is below none or climbs out. */
function pathInTree(name: string): string {
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  const top = parts.findIndex((part) => TOPS.has(part));
  return top < 0 || top > 2 || parts.includes("..") ? "" : parts.slice(top).join("/");
}

/** Counts what flows into the tar reader, stops at the limit, and watches for the end mark. */
class TarMeter extends Transform {
  #bytes = 0;
  /** Zero bytes at the end so far: an archive ends with two blocks of them. */
  #zeroBytes = 0;

  get isComplete(): boolean {
    return this.#zeroBytes >= 2 * BLOCK_BYTES && this.#bytes % BLOCK_BYTES === 0;
  }

  override _transform(chunk: Buffer, _encoding: string, done: TransformCallback): void {
    this.#bytes += chunk.length;
    if (this.#bytes > TAR_BYTES_MAX) {
      done(new Error(`it unpacks to more than ${TAR_BYTES_MAX} bytes`));
      return;
    }
    const lastByte = chunk.findLastIndex((byte) => byte !== 0);
    this.#zeroBytes = lastByte < 0 ? this.#zeroBytes + chunk.length : chunk.length - 1 - lastByte;
    done(null, chunk);
  }
}

function refusedTar(source: string, error: unknown): InputError {
  if (error instanceof InputError) {
    return error;
  }
  return new InputError(
    {
      source,
      cause: `the tar cannot be read (${error instanceof Error ? error.message : String(error)})`,
      remedy: "Copy the file again, or capture the machine again",
    },
    { cause: error },
  );
}
