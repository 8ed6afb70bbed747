/**
 * Capture: opens whatever a person names and recognises the format by its content.
 *
 * One reader a file beside this one; a new format is one line in `FILE_READERS`.
 */
import type { Stats } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "@peerbuf/core";
import { mergeCaptures } from "../merge/merge-captures.ts";
import type { Topology } from "../topology.ts";
import { type CaptureHead, isPipe, readHead } from "./capture-head.ts";
import { looksLikeCompanion, readCompanion } from "./companion-text.ts";
import { looksLikeLspci, readLspci } from "./lspci/lspci-topology.ts";
import { looksLikeMatrix, readMatrix } from "./path-matrix.ts";
import { findSysfsFolder } from "./sysfs-folder.ts";
import { looksLikeJson, readSysfsJson } from "./sysfs-json.ts";
import { looksLikeTar, readSysfsTar } from "./sysfs-tar.ts";
import { topologyFromSysfs } from "./sysfs-topology.ts";
import { looksLikeXml, readXmlCapture } from "./xml/xml-capture.ts";

interface FileReader {
  /** What a person would call the format. */
  readonly format: string;
  readonly recognises: (head: CaptureHead) => boolean;
  readonly read: (head: CaptureHead) => Promise<Topology>;
}

const FILE_READERS: readonly FileReader[] = [
  { format: "sysfs.json", recognises: looksLikeJson, read: readSysfsJson },
  { format: "a tar, tar.gz or tar.bz2 of /sys", recognises: looksLikeTar, read: readSysfsTar },
  {
    format: "topology XML of NCCL, RCCL or hwloc",
    recognises: looksLikeXml,
    read: readXmlCapture,
  },
  { format: "the text of lspci", recognises: looksLikeLspci, read: readLspci },
  { format: "nvidia-smi topo -m", recognises: looksLikeMatrix, read: readMatrix },
  {
    format: "/proc/cpuinfo or another text that completes a capture",
    recognises: looksLikeCompanion,
    read: readCompanion,
  },
];

const JSON_NAME = "sysfs.json";
const TAR_NAMES: readonly string[] = ["sysfs.tar", "sysfs.tar.gz", "sysfs.tgz"];
const LOOKED_FOR = `a sysfs.json, a copy of /sys (sys/bus/pci or sys/devices), ${TAR_NAMES.join(", ")}, or files of a format that is read here`;
/** Files in a folder that is read file by file, at most. */
const FOLDER_FILES_MAX = 256;

/**
 * A topology from a capture: a capture folder, a copy of /sys, or a file of any format in `FILE_READERS`;
 * `-` for standard input. A folder is read from its sysfs.json, then its copy of /sys, then its tar; a
 * folder with none of these from all files in it that are recognised, which complete each other.
 * @throws InputError for anything that cannot be read, is no capture, or contradicts itself
 */
export async function readCapture(path: string): Promise<Topology> {
  return readCaptures([path]);
}

/**
 * One topology from several captures of one machine, which complete each other; see `mergeCaptures`.
 * @throws InputError as above, and when the captures cannot be of one machine
 */
export async function readCaptures(paths: readonly string[]): Promise<Topology> {
  const captures: Topology[] = [];
  for (const path of paths) {
    captures.push(await readAny(path));
  }
  const topology = mergeCaptures(captures);
  const { facts } = topology;
  if (topology.count === 0 && facts.tree === "none" && facts.pathClasses === undefined) {
    throw new InputError({
      source: facts.source,
      cause: `${facts.format} completes a capture and is none itself`,
      remedy:
        "Name it together with a capture of the machine, such as the output of lspci -Dvvvxxxx",
    });
  }
  return topology;
}

/** A capture, or a text that completes one. */
async function readAny(path: string): Promise<Topology> {
  try {
    if (await isPipe(path)) {
      return await readFile(path);
    }
    const stats = await stat(path);
    return stats.isDirectory() ? await readFolder(path) : await readRegularFile(path, stats);
  } catch (error) {
    throw asInputError(path, error);
  }
}

async function readFolder(path: string): Promise<Topology> {
  const names = await readdir(path);
  if (names.includes(JSON_NAME)) {
    return readAny(join(path, JSON_NAME));
  }
  const tree = findSysfsFolder(path);
  if (tree !== undefined) {
    return topologyFromSysfs(tree);
  }
  const tar = TAR_NAMES.find((name) => names.includes(name));
  if (tar !== undefined) {
    return readAny(join(path, tar));
  }
  return readFilesOf(path, names.sort());
}

/**
 * All files of a folder that are recognised; one that is, but cannot be read, is refused and not passed
 * over. JSON is not looked into: it is how other things are kept beside captures.
 */
async function readFilesOf(folder: string, names: readonly string[]): Promise<Topology> {
  if (names.length > FOLDER_FILES_MAX) {
    throw new InputError({
      source: folder,
      cause: `this folder is no capture: it has ${names.length} entries and no copy of /sys`,
      remedy: "Name the captures of one machine, or use the fleet command for those of many",
    });
  }
  const captures: Topology[] = [];
  for (const name of names) {
    const head = await headIn(join(folder, name));
    const reader = head === undefined || looksLikeJson(head) ? undefined : readerOf(head);
    if (head !== undefined && reader !== undefined) {
      captures.push(await reader.read(head));
    }
  }
  if (captures.length === 0) {
    throw new InputError({
      source: folder,
      cause: `this folder is no capture: looked for ${LOOKED_FOR}`,
      remedy: "Name the capture itself",
    });
  }
  return mergeCaptures(captures).withFacts({ source: folder });
}

/** The start of a file; undefined for what is no file, or has no start that can be made out. */
async function headIn(path: string): Promise<CaptureHead | undefined> {
  const stats = await stat(path).catch(() => undefined);
  return stats?.isFile() === true ? readHead(path).catch(() => undefined) : undefined;
}

const readerOf = (head: CaptureHead): FileReader | undefined =>
  FILE_READERS.find(({ recognises }) => recognises(head));

async function readRegularFile(path: string, stats: Stats): Promise<Topology> {
  if (!stats.isFile()) {
    throw new InputError({
      source: path,
      cause: "this is neither a file nor a folder",
      remedy: "Name a capture on disk, or pipe one in with -",
    });
  }
  return readFile(path);
}

async function readFile(path: string): Promise<Topology> {
  const head = await readHead(path);
  const reader = readerOf(head);
  if (reader === undefined) {
    const formats = FILE_READERS.map(({ format }) => format).join(", ");
    throw new InputError({
      source: path,
      cause: `the format is not known: expected ${formats}`,
      remedy: "Name a capture folder, or one of these files",
    });
  }
  return reader.read(head);
}

/** The file system's refusals are about what the person named; anything else is a bug of ours. */
function asInputError(path: string, error: unknown): unknown {
  if (error instanceof InputError || !(error instanceof Error) || !("code" in error)) {
    return error;
  }
  const isMissing = error.code === "ENOENT" || error.code === "ENOTDIR";
  return new InputError(
    {
      source: path,
      cause: isMissing ? "there is no such file or folder" : `it cannot be read (${error.message})`,
      remedy: isMissing ? "Check the spelling" : "Check that you may read it",
    },
    { cause: error },
  );
}
