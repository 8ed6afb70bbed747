/**
 * Open descriptors: what this process really holds, counted from /proc and not by ourselves.
 */
import { readdirSync, readFileSync } from "node:fs";

export const openDescriptorCount = (): number => readdirSync("/proc/self/fd").length;

/** Mappings of shared memory of ours. */
export const sharedMappingCount = (name: string): number =>
  readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .filter((line) => line.includes(`memfd:${name}`)).length;
