/** Resident: how much memory another process takes. Linux tells; elsewhere the heap's own limit has to do. */
import { readFileSync } from "node:fs";

const PAGE_BYTES = 4096;

/** 0 where it is not known. */
export function residentBytes(pid: number | undefined): number {
  try {
    const pages = readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1];
    return Number(pages) * PAGE_BYTES;
  } catch {
    return 0;
  }
}
