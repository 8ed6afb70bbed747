/**
 * To drive: memory of a PCI function, or of the system where no function offers any, written to a real
 * NVMe drive by its own DMA and read back.
 *
 * The only attempt that touches what is not ours, so it is made when a person names the drive and says that
 * its bytes may be overwritten. What was there is read first and put back afterwards, and that is proved too;
 * a power cut in between loses it. A drive that anybody uses (mounted, in a RAID) is refused by the kernel.
 */
import { statSync } from "node:fs";
import {
  createFramework,
  type DmaBuf,
  type Framework,
  InputError,
  PeerbufError,
} from "@peerbuf/core";
import { systemHeap } from "@peerbuf/exporters";
import type { BlockDevice, P2pProvider } from "@peerbuf/linux";
import { failed, LIVE_BYTES, liveBytes, transferOf } from "./live-ground.ts";
import type { Linux } from "./live-memory.ts";
import { type LiveTransfer, type Missing, sha256 } from "./live-transfer.ts";

/** Where the drive is written, in bytes from its start. */
const POSITION = 0;

/** A function that has room, if possible not the drive itself; undefined when there is none. */
function providerFor({ p2pProviders }: Linux, drive: BlockDevice): P2pProvider | undefined {
  const able = p2pProviders().filter(({ availableBytes }) => availableBytes >= LIVE_BYTES);
  return able.find(({ bdf }) => bdf !== drive.bdf) ?? able[0];
}

export const NO_PROVIDER: Missing = {
  what: "memory of a PCI function",
  cause: "none publishes any (p2pmem), so the drive is given system memory",
  remedy: "a kernel with CONFIG_PCI_P2PDMA, and an NVMe drive with a controller memory buffer",
};

export interface DriveAttempt {
  readonly transfer: LiveTransfer;
  readonly missing: readonly Missing[];
}

/** @throws InputError for what is no block device; to be asked before anything is tried */
export function checkDrive(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isBlockDevice() !== true) {
    throw unusable(path, "this is no block device");
  }
}

/** @throws InputError for a drive that is not on PCI */
export async function toDrive(linux: Linux, path: string): Promise<DriveAttempt> {
  const drive = await linux.BlockDevice.open(path);
  try {
    if (drive.bdf === undefined) {
      throw unusable(path, "it sits on no PCI function");
    }
    const provider = providerFor(linux, drive);
    const transfer = await keepingBytes(linux, drive, () =>
      attempt(linux, drive, provider, drive.bdf ?? ""),
    );
    return { transfer, missing: provider === undefined ? [NO_PROVIDER] : [] };
  } finally {
    await drive.close();
  }
}

const unusable = (path: string, cause: string): InputError =>
  new InputError({ source: path, cause, remedy: "Name an NVMe drive such as /dev/nvme1n1" });

/** Reads what `work` will overwrite, and puts it back on every path. */
async function keepingBytes(
  { sharedMemory }: Linux,
  drive: BlockDevice,
  work: () => Promise<LiveTransfer>,
): Promise<LiveTransfer> {
  using kept = sharedMemory(LIVE_BYTES);
  await drive.read(kept, { position: POSITION });
  const hash = kept.withBytesSync("read", sha256);
  let transfer: LiveTransfer;
  try {
    transfer = await work();
  } finally {
    await drive.write(kept, { position: POSITION });
  }
  await drive.read(kept, { position: POSITION });
  if (kept.withBytesSync("read", sha256) !== hash) {
    const message = `${drive.path} does not have the ${LIVE_BYTES} bytes at ${POSITION} back that were there`;
    return { ...transfer, state: "failed", error: new PeerbufError("DEVICE_FAILED", message) };
  }
  return transfer;
}

async function attempt(
  linux: Linux,
  drive: BlockDevice,
  provider: P2pProvider | undefined,
  client: string,
): Promise<LiveTransfer> {
  const party = {
    name: `${provider === undefined ? "system memory" : "device memory"} to ${drive.path}`,
    provider: provider?.bdf ?? "system memory",
    client,
    decisions: [],
  };
  try {
    using platform = linux.createLinuxPlatform({ memory: "memfd" });
    using framework = createFramework({ platform, judge: linux.kernelJudge });
    using buffer = allocateFrom(linux, framework, provider);
    await buffer.write(0, liveBytes());
    const importer = framework.openImporter(linux.driveImporter, client, { drive }).api;
    const { target, route, decisions } = await importer.write(buffer, POSITION);
    using back = linux.sharedMemory(LIVE_BYTES);
    await drive.read(back, { position: POSITION });
    const destination = back.withBytesSync("read", sha256);
    const state = destination === sha256(liveBytes()) ? "arrived" : "failed";
    return transferOf({ ...party, decisions }, { state, target, route, destination });
  } catch (error) {
    return failed(party, error);
  }
}

/** Memory that a drive can be given: direct I/O takes none of a dma-heap. */
function allocateFrom(
  { p2pMemoryExporter }: Linux,
  framework: Framework,
  provider: P2pProvider | undefined,
): DmaBuf {
  const exporter =
    provider === undefined
      ? framework.openExporter(systemHeap, undefined, undefined)
      : framework.openExporter(p2pMemoryExporter, provider.bdf, undefined);
  return exporter.allocate(LIVE_BYTES);
}
