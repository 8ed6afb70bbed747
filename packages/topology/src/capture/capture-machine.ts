/**
 * Capture machine: what the readers need of a machine's /sys and /proc, as one small file.
 *
 * The file is gzipped JSON in the form of `readers/sysfs-json.ts`, so whatever reads a capture reads it.
 * It holds a stated list of attributes and nothing else: no serial numbers, no MAC addresses, no names of
 * hosts or disks. What could not be read is written down in it, so that a reader knows it as missing.
 *
 * Which attributes those are is in `captured-files.ts`; `redactCapture` takes out what still identifies.
 */
import { gzipSync } from "node:zlib";
import { knownConfig } from "../config-space.ts";
import { type FactName, type MissingFact, missingFacts } from "../missing-fact.ts";
import type { SysfsTree } from "../readers/sysfs-tree.ts";
import { type CapturedFiles, capturedFiles } from "./captured-files.ts";
import { redactCapture } from "./redact-capture.ts";

/** The `format` and `version` members of the file. */
export const CAPTURE_FORMAT = "peerbuf capture";
export const CAPTURE_VERSION = 1;

export interface CaptureOptions {
  /** Take out serial numbers and addresses; every verdict stays what it is. */
  readonly redact?: boolean;
}

export interface MachineCapture {
  /** The file: gzipped JSON. */
  readonly bytes: Uint8Array;
  readonly functionCount: number;
  /** Functions of which no more than the header was readable, as happens without root. */
  readonly headerOnlyCount: number;
  /** What the file could not be given, with the commands that would show it. */
  readonly notReadable: readonly MissingFact[];
}

/** @throws InputError when the tree contradicts itself; a machine without PCI functions is captured as such */
export function captureMachine(tree: SysfsTree, options: CaptureOptions = {}): MachineCapture {
  const read = capturedFiles(tree);
  const { files, links, binary, folders } = options.redact === true ? redactCapture(read) : read;
  const headerOnlyCount = [...read.binary.values()].filter(isHeaderOnly).length;
  const notReadable = unreadableFacts(tree, read, headerOnlyCount);
  const text = JSON.stringify({
    format: CAPTURE_FORMAT,
    version: CAPTURE_VERSION,
    redacted: options.redact === true,
    notReadable,
    folders,
    files: Object.fromEntries(files),
    links: Object.fromEntries(links),
    binary: Object.fromEntries(Array.from(binary, ([path, bytes]) => [path, binaryMember(bytes)])),
  });
  return {
    bytes: new Uint8Array(gzipSync(text, { level: 9 })),
    functionCount: read.functionCount,
    headerOnlyCount,
    notReadable: missingFacts(...notReadable),
  };
}

/** A header that announces capabilities which were not given. */
const isHeaderOnly = (config: Uint8Array): boolean => {
  const known = knownConfig(config);
  return known.length > 0 && known.length < 256;
};

function unreadableFacts(
  tree: SysfsTree,
  { files, functionCount }: CapturedFiles,
  headerOnlyCount: number,
): FactName[] {
  const has = (pattern: RegExp): boolean => [...files.keys()].some((path) => pattern.test(path));
  const answers: readonly (readonly [FactName, boolean])[] = [
    ["acs", headerOnlyCount > 0],
    ["port-types", headerOnlyCount > 0],
    ["resizable-bars", headerOnlyCount > 0],
    ["cpu", !has(/^proc\/cpuinfo$/)],
    ["kernel", !has(/^proc\/sys\/kernel\/osrelease$/)],
    ["command-line", !has(/^proc\/cmdline$/)],
    ["kernel-config", !has(/^boot\/config-/)],
    // Without any group there is no IOMMU in use, which is an answer; groups without types are not.
    [
      "iommu-mode",
      tree.list("sys/kernel/iommu_groups").length > 0 && !has(/iommu_groups\/\d+\/type$/),
    ],
    ["bars", functionCount > 0 && !has(/\/resource$/)],
  ];
  return answers.filter(([, isMissing]) => isMissing).map(([fact]) => fact);
}

/** Zero bytes at the end say nothing and are left out. */
function binaryMember(bytes: Uint8Array) {
  const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
  return { length: bytes.length, hex: Buffer.from(bytes.subarray(0, end)).toString("hex") };
}
