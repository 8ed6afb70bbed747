/**
 * Live run: what this machine can really do with buffers, tried with real ones, one attempt after the other.
 */
import type { MemorySource } from "@peerbuf/linux";
import { drmMemory } from "./drm-memory.ts";
import { LIVE_BYTES } from "./live-ground.ts";
import { allocate, chooseMemory, type Linux } from "./live-memory.ts";
import type { LiveTransfer, Missing } from "./live-transfer.ts";
import { checkDrive, toDrive } from "./to-drive.ts";
import { type DrmNode, findDrmNodes, toDrm } from "./to-drm.ts";
import { toProcess } from "./to-process.ts";

export interface LiveRunOptions {
  /** A drive whose bytes may be overwritten. */
  readonly drive: string | undefined;
  /** Told of each attempt as it ends. */
  readonly onTransfer: (transfer: LiveTransfer) => Promise<void>;
}

export interface LiveRun {
  /** Where system memory came from. */
  readonly memory: MemorySource;
  readonly transfers: readonly LiveTransfer[];
  readonly missing: readonly Missing[];
  /** Nothing was lost and nothing broke. A device that declines is no failure. */
  readonly isOk: boolean;
}

export async function runLive(
  linux: Linux,
  { drive, onTransfer }: LiveRunOptions,
): Promise<LiveRun> {
  if (drive !== undefined) {
    checkDrive(drive);
  }
  const { source, missing: missingMemory } = chooseMemory(linux);
  const missing = [...missingMemory];
  const transfers: LiveTransfer[] = [];
  const add = async (transfer: LiveTransfer): Promise<void> => {
    transfers.push(transfer);
    await onTransfer(transfer);
  };
  const drm = findDrmNodes(linux);
  missing.push(...drm.missing);
  const ground: Ground = { linux, memory: source, nodes: drm.nodes, add, missing };
  await handOverMemory(ground);
  for (const node of drm.nodes) {
    await handOverGpuMemory(ground, node);
  }
  if (drive !== undefined) {
    const { transfer, missing: missingProvider } = await toDrive(linux, drive);
    missing.push(...missingProvider);
    await add(transfer);
  }
  return {
    memory: source,
    transfers,
    missing,
    isOk: transfers.every(({ state }) => state !== "failed"),
  };
}

/** What the attempts have in common. */
interface Ground {
  readonly linux: Linux;
  readonly memory: MemorySource;
  readonly nodes: readonly DrmNode[];
  readonly missing: Missing[];
  add(transfer: LiveTransfer): Promise<void>;
}

/** To another process, and to every GPU. */
async function handOverMemory({ linux, memory, nodes, missing, add }: Ground): Promise<void> {
  const source = { name: "memory", allocate: () => allocate(linux, memory, LIVE_BYTES) };
  await add(await toProcess(linux, memory, source));
  for (const node of nodes) {
    if (memory === "memfd") {
      missing.push({ ...NO_DMA_BUF, what: `${node.driverName} (${node.path})` });
    } else {
      await add(await toDrm(linux, memory, source, node));
    }
  }
}

/** To another process, and to every other GPU. */
async function handOverGpuMemory(
  { linux, memory, nodes, missing, add }: Ground,
  node: DrmNode,
): Promise<void> {
  const source = drmMemory(linux, node);
  if (!("allocate" in source)) {
    missing.push(source);
    return;
  }
  await add(await toProcess(linux, memory, source));
  for (const other of nodes.filter((each) => each !== node)) {
    await add(await toDrm(linux, memory, source, other));
  }
}

const NO_DMA_BUF: Omit<Missing, "what"> = {
  cause: "it takes dma-bufs, and there is no memory of that kind",
  remedy: "the system heap or udmabuf, as above",
};
