/** What the kernel itself says about descriptors and dma-bufs, to compare with what we report. */
import { readdirSync, readFileSync } from "node:fs";
import type { LinuxBuffer } from "@peerbuf/linux";

const BUFINFO = "/sys/kernel/debug/dma_buf/bufinfo";

/** Descriptors of this process. */
export const openDescriptors = (): number => readdirSync("/proc/self/fd").length;

/** `CODE errno` of the error that `act` ends with. */
export function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    const { code, errno } = error as { code?: string; errno?: string };
    return `${code} ${errno}`;
  }
  return "no error";
}

/** A dma-buf in debugfs. */
export interface KnownBuffer {
  readonly sizeBytes: number;
  readonly exporterName: string;
  readonly inode: number;
  readonly name: string;
  /** Names of the devices attached. */
  readonly attached: readonly string[];
}

/** Every dma-buf of the machine (drivers/dma-buf/dma-buf.c, dma_buf_debug_show, 6.12). */
export function knownBuffers(): KnownBuffer[] {
  const buffers: (KnownBuffer & { attached: string[] })[] = [];
  let isListing = false;
  for (const line of readFileSync(BUFINFO, "utf8").split("\n")) {
    const columns = line.split(/\t/);
    if (/^\d{8}\t/.test(line)) {
      const [size = "", , , , exporterName = "", inode = "", name = ""] = columns;
      const facts = { sizeBytes: Number(size), exporterName, inode: Number(inode) };
      buffers.push({ ...facts, name: name.trim(), attached: [] });
    } else if (line.includes("Attached Devices:")) {
      isListing = true;
    } else if (line.startsWith("Total")) {
      isListing = false;
    } else if (isListing && line.trim() !== "") {
      buffers.at(-1)?.attached.push(line.trim());
    }
  }
  return buffers;
}

/** What the kernel knows of one buffer. */
export const knownAs = ({ identity }: LinuxBuffer): KnownBuffer | undefined =>
  knownBuffers().find(({ inode }) => inode === identity.inode);
