/**
 * Open descriptors: what this process really holds, counted from /proc and not by ourselves.
 */
import { readdirSync, readFileSync } from "node:fs";
import { channelPair } from "@peerbuf/linux";

export const openDescriptorCount = (): number => readdirSync("/proc/self/fd").length;

/** Mappings of shared memory of ours. */
export const sharedMappingCount = (name: string): number =>
  readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .filter((line) => line.includes(`memfd:${name}`)).length;

/** Bytes of memory that are this process's now. */
export const residentBytes = (): number =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024;

/** The first wait of a thread makes its poller, which stays: count after it. */
export async function warmUp(): Promise<void> {
  const [channel, theirs] = channelPair();
  await channel.receive({ timeoutMs: 0 }).catch(() => undefined);
  channel.close();
  theirs.close();
}
