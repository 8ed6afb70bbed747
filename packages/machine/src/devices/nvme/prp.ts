/**
 * PRP walker: from the two pointers in a command to the memory it means (NVMe 1.4 section 4.3).
 *
 * PRP1 may start anywhere in a page, on a multiple of 4. If one more page is enough, PRP2 names it;
 * otherwise PRP2 points to a list, whose last entry in a page points to the next page of the list
 * when more entries follow.
 */
import type { DevicePort } from "../../device-model.ts";
import { readU64 } from "../little-endian.ts";
import { NVME_PAGE_BYTES } from "./registers.ts";
import { STATUS } from "./status.ts";
import { appendRun, type TransferRuns, type WalkResult } from "./transfer-runs.ts";

const ENTRY_BYTES = 8;

/** Fetches lists through `port` as needed. `lengthBytes` is positive. */
export function walkPrps(
  port: Pick<DevicePort, "read">,
  prp1: number,
  prp2: number,
  lengthBytes: number,
): WalkResult {
  if (prp1 % 4 !== 0) {
    return { status: STATUS.INVALID_PRP_OFFSET };
  }
  const first = Math.min(lengthBytes, NVME_PAGE_BYTES - (prp1 % NVME_PAGE_BYTES));
  const runs = [prp1, first];
  const rest = lengthBytes - first;
  if (rest === 0) {
    return { status: STATUS.SUCCESS, runs };
  }
  return rest <= NVME_PAGE_BYTES ? lastPage(runs, prp2, rest) : walkList(port, runs, prp2, rest);
}

function lastPage(runs: TransferRuns, page: number, lengthBytes: number): WalkResult {
  if (page % NVME_PAGE_BYTES !== 0) {
    return { status: STATUS.INVALID_PRP_OFFSET };
  }
  appendRun(runs, page, lengthBytes);
  return { status: STATUS.SUCCESS, runs };
}

/** The loop ends: every page of a list but a first one that starts at its end holds data pages, and MDTS bounds the data. */
function walkList(
  port: Pick<DevicePort, "read">,
  runs: TransferRuns,
  listAddress: number,
  lengthBytes: number,
): WalkResult {
  let list = listAddress;
  let rest = lengthBytes;
  if (list % ENTRY_BYTES !== 0) {
    return { status: STATUS.INVALID_PRP_OFFSET };
  }
  while (rest > 0) {
    const entriesLeft = Math.ceil(rest / NVME_PAGE_BYTES);
    const entriesInPage = (NVME_PAGE_BYTES - (list % NVME_PAGE_BYTES)) / ENTRY_BYTES;
    const chained = entriesLeft > entriesInPage;
    const fetched = fetchList(port, list, chained ? entriesInPage : entriesLeft);
    if (fetched === undefined) {
      return { status: STATUS.DATA_TRANSFER_ERROR };
    }
    const dataEntries = chained ? entriesInPage - 1 : entriesLeft;
    for (let index = 0; index < dataEntries; index++) {
      const page = readU64(fetched, index * ENTRY_BYTES);
      if (page % NVME_PAGE_BYTES !== 0) {
        return { status: STATUS.INVALID_PRP_OFFSET };
      }
      appendRun(runs, page, Math.min(rest, NVME_PAGE_BYTES));
      rest -= Math.min(rest, NVME_PAGE_BYTES);
    }
    if (chained) {
      list = readU64(fetched, dataEntries * ENTRY_BYTES);
      if (list % NVME_PAGE_BYTES !== 0) {
        return { status: STATUS.INVALID_PRP_OFFSET };
      }
    }
  }
  return { status: STATUS.SUCCESS, runs };
}

function fetchList(
  port: Pick<DevicePort, "read">,
  address: number,
  entries: number,
): DataView | undefined {
  const bytes = new Uint8Array(entries * ENTRY_BYTES);
  const { ok } = port.read(address, bytes, 0, bytes.length);
  return ok ? new DataView(bytes.buffer) : undefined;
}
