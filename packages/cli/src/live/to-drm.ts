/**
 * To DRM: memory of this machine, or of another GPU, attached to a GPU or display device by its kernel driver (PRIME).
 *
 * The driver maps the buffer; what the device would do with it needs its own user-space driver, so no bytes
 * are moved and none are claimed to be. A device that takes no foreign buffers says so, on the record.
 */
import { existsSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import { PeerbufError } from "@peerbuf/core";
import type { DrmDevice, MemorySource } from "@peerbuf/linux";
import { LIVE_BYTES, liveBytes, onLiveGround } from "./live-ground.ts";
import type { Linux, LiveSource } from "./live-memory.ts";
import { type LiveTransfer, type Missing, sha256 } from "./live-transfer.ts";

export interface DrmNode {
  readonly path: string;
  /** Its card node, where pictures are made; undefined where there is none. */
  readonly cardPath: string | undefined;
  readonly driverName: string;
}

/** A node of each device that can be opened, render nodes first: they need least permission. */
export function findDrmNodes({ DrmDevice, drmNodes }: Linux): {
  nodes: DrmNode[];
  missing: Missing[];
} {
  const byDevice = new Map<string, string>();
  const cards = new Map<string, string>();
  for (const path of drmNodes()) {
    // Render nodes come last in the list, and take the place of their device's card.
    byDevice.set(deviceOf(path), path);
    if (basename(path).startsWith("card")) {
      cards.set(deviceOf(path), path);
    }
  }
  const nodes: DrmNode[] = [];
  const missing: Missing[] = [];
  for (const [place, path] of byDevice) {
    try {
      using device: DrmDevice = new DrmDevice(path);
      nodes.push({ path, cardPath: cards.get(place), driverName: device.driverName });
    } catch (error) {
      missing.push(notOpened(path, error));
    }
  }
  return { nodes, missing: byDevice.size === 0 ? [NO_NODES] : missing };
}

const NO_NODES: Missing = {
  what: "/dev/dri",
  cause: "there are no DRM nodes",
  remedy:
    "the driver of a GPU; or modprobe vgem, which needs none; in a container, pass the nodes in",
};

const AS_MEMBER = "run it as root, or join the group that owns the node (render, video)";

function notOpened(path: string, error: unknown): Missing {
  if (!(error instanceof PeerbufError)) {
    throw error;
  }
  return error.errno === "EACCES" || error.errno === "EPERM"
    ? { what: path, cause: `it may not be opened (${error.errno})`, remedy: AS_MEMBER }
    : { what: path, cause: error.message, remedy: "see the kernel's log" };
}

/** Nodes of one device have one folder in /sys. */
function deviceOf(path: string): string {
  const link = `/sys/class/drm/${basename(path)}/device`;
  return existsSync(link) ? realpathSync(link) : path;
}

export function toDrm(
  linux: Linux,
  memory: MemorySource,
  source: LiveSource,
  { path, driverName }: DrmNode,
): Promise<LiveTransfer> {
  const who = { name: `${source.name} to ${driverName}`, client: path };
  const options = { memory, drm: [path], allocate: () => source.allocate() };
  return onLiveGround(linux, who, options, async ({ framework, buffer, memory: shared }) => {
    const { importer } = framework.openImporter(linux.kernelImporter, path, undefined).api;
    using attachment = buffer.attach(importer);
    using mapping = attachment.map("bidirectional");
    const { target, route } = mapping;
    const { inode } = shared.identity;
    const seen = linux.surveyBuffers().buffers.find((each) => each.inode === inode);
    const destination = sha256(await buffer.read(0, LIVE_BYTES));
    const state = destination === sha256(liveBytes()) ? "attached" : "failed";
    const decisions = [...attachment.decisions];
    return { state, target, route, destination, attached: seen?.devices, decisions };
  });
}
