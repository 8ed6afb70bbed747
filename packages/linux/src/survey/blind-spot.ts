/**
 * Blind spots: what a survey could not see, why, and what would show it. Nothing is guessed in their place.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { ProcessTable } from "./holders.ts";
import { look } from "./look.ts";

export interface BlindSpot {
  readonly what: string;
  readonly cause: string;
  readonly remedy: string;
}

/** What bufinfo was: its text, or why there is none. */
export type BufferInfoText = { readonly text: string } | "denied" | "absent";

const FROM_DEBUGFS = "attached devices, fences, and buffers that no visible process holds";
/** The inode of the first PID namespace, fixed by the kernel (include/linux/proc_ns.h). */
const FIRST_PID_NAMESPACE = "pid:[4026531836]";

export function blindSpots(
  root: string,
  table: ProcessTable,
  bufferInfo: BufferInfoText,
): BlindSpot[] {
  return [...ofDebugfs(root, bufferInfo), ...ofProcesses(root, table)];
}

function ofDebugfs(root: string, bufferInfo: BufferInfoText): BlindSpot[] {
  if (bufferInfo === "denied") {
    const cause = "debugfs is for root only";
    return [{ what: FROM_DEBUGFS, cause, remedy: "run it as root" }];
  }
  if (bufferInfo !== "absent") {
    return [];
  }
  // Not mounted, it is an empty folder.
  const inDebugfs = look(() => readdirSync(`${root}/sys/kernel/debug`)) ?? [];
  return inDebugfs.length > 0
    ? [{ what: FROM_DEBUGFS, cause: "this kernel lists no dma-bufs", remedy: KERNEL_OPTIONS }]
    : [{ what: FROM_DEBUGFS, cause: "debugfs is not mounted here", remedy: MOUNT }];
}

const MOUNT =
  "mount -t debugfs none /sys/kernel/debug, as root (in a container: outside of it, and give it /sys/kernel/debug)";
const KERNEL_OPTIONS = "a kernel with CONFIG_DMA_SHARED_BUFFER and CONFIG_DEBUG_FS";

const DENIED_TO_USER = { cause: "they are not this user's", remedy: "run it as root" };
const DENIED_TO_ROOT = {
  cause: "this root may not look into them",
  remedy:
    "give it CAP_SYS_PTRACE (a container: --cap-add SYS_PTRACE), on a system that confines no root",
};

const isRoot = (): boolean => process.getuid?.() === 0;

function ofProcesses(root: string, { deniedCount, processCount }: ProcessTable): BlindSpot[] {
  const spots: BlindSpot[] = [];
  if (deniedCount > 0) {
    const what = `what ${deniedCount} of ${processCount} processes hold`;
    spots.push({ what, ...(isRoot() ? DENIED_TO_ROOT : DENIED_TO_USER) });
  }
  const namespace = look(() => readlinkSync(`${root}/proc/self/ns/pid`));
  if (namespace !== undefined && namespace !== FIRST_PID_NAMESPACE) {
    spots.push({
      what: "processes outside of this container",
      cause: "it has a PID namespace of its own",
      remedy: "run it on the host, or in a container with the host's PID namespace (--pid=host)",
    });
  }
  const mounts = look(() => readFileSync(`${root}/proc/self/mountinfo`, "utf8")) ?? "";
  if (/ \/proc .* - proc .*hidepid=(?!0|off)/.test(mounts) && !isRoot()) {
    const cause = "/proc is mounted with hidepid";
    spots.push({ what: "processes of other users", cause, remedy: "run it as root" });
  }
  return spots;
}
