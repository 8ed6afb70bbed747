/**
 * NVMe I/O commands: read, write, flush, write zeroes and dataset management (NVMe 1.4 section 6).
 *
 * A command is checked and its data pointer is walked first; the data moves when the media's time is
 * over. What DMA cannot reach shows as on hardware: a read that was not answered fails the command with
 * Data Transfer Error, while a lost posted write is never noticed and the command succeeds.
 */
import type { DevicePort } from "../../device-model.ts";
import { joinU64, readU64 } from "../little-endian.ts";
import { IO, type NvmeCommand } from "./command.ts";
import { walkData } from "./data-pointer.ts";
import { NAMESPACE_ID } from "./identify.ts";
import type { Namespace } from "./namespace.ts";
import { NVME_PAGE_BYTES } from "./registers.ts";
import { STATUS, type Status } from "./status.ts";
import type { TransferRuns } from "./transfer-runs.ts";

export interface IoContext {
  readonly port: DevicePort;
  readonly namespace: Namespace;
  readonly mdts: number;
}

/** A command that passed its checks: what to do when its time is over, and how many bytes it moves. */
export interface PreparedIo {
  readonly kind: "read" | "write" | "flush" | "zero";
  readonly lengthBytes: number;
  /** Where its data lies; empty when none moves. */
  readonly runs: TransferRuns;
  finish(): Status;
}

/** Either work to be done, or the status of a command that is over already. */
export function prepareIo(context: IoContext, command: NvmeCommand): PreparedIo | Status {
  const prepare = PREPARE.get(command.opcode);
  if (prepare === undefined) {
    return STATUS.INVALID_OPCODE;
  }
  if (command.fused !== 0) {
    return STATUS.INVALID_FIELD; // FUSES is 0: no fused operations.
  }
  return command.namespaceId === NAMESPACE_ID
    ? prepare(context, command)
    : STATUS.INVALID_NAMESPACE;
}

type Prepare = (context: IoContext, command: NvmeCommand) => PreparedIo | Status;

const PREPARE: ReadonlyMap<number, Prepare> = new Map<number, Prepare>([
  [IO.FLUSH, prepareFlush],
  [IO.READ, prepareTransfer],
  [IO.WRITE, prepareTransfer],
  [IO.WRITE_ZEROES, prepareZeroes],
  [IO.DATASET_MANAGEMENT, prepareDataset],
]);

function prepareFlush({ namespace }: IoContext): PreparedIo {
  return { kind: "flush", lengthBytes: 0, runs: [], finish: () => namespace.media.flush() };
}

function prepareTransfer(context: IoContext, command: NvmeCommand): PreparedIo | Status {
  const { port, namespace, mdts } = context;
  const { firstBlock, blockCount } = blocksOf(command);
  const lengthBytes = blockCount * namespace.blockBytes;
  if (mdts !== 0 && lengthBytes > NVME_PAGE_BYTES * 2 ** mdts) {
    return STATUS.INVALID_FIELD;
  }
  if (!namespace.contains(firstBlock, blockCount)) {
    return STATUS.LBA_OUT_OF_RANGE;
  }
  const isWrite = command.opcode === IO.WRITE;
  const walked = walkData(port, command, lengthBytes, isWrite ? "from-host" : "to-host");
  if (walked.status !== STATUS.SUCCESS) {
    return walked.status;
  }
  const { runs } = walked;
  return isWrite
    ? { kind: "write", lengthBytes, runs, finish: () => namespace.store(port, firstBlock, runs) }
    : { kind: "read", lengthBytes, runs, finish: () => namespace.load(port, firstBlock, runs) };
}

/** No data moves, so MDTS does not bound it (section 6.16). */
function prepareZeroes({ namespace }: IoContext, command: NvmeCommand): PreparedIo | Status {
  const { firstBlock, blockCount } = blocksOf(command);
  return namespace.contains(firstBlock, blockCount)
    ? {
        kind: "zero",
        lengthBytes: 0,
        runs: [],
        finish: () => namespace.zero(firstBlock, blockCount),
      }
    : STATUS.LBA_OUT_OF_RANGE;
}

function blocksOf({ dword10, dword11, dword12 }: NvmeCommand): {
  firstBlock: number;
  blockCount: number;
} {
  return { firstBlock: joinU64(dword10, dword11), blockCount: (dword12 & 0xffff) + 1 };
}

/** One range of a dataset management command: 4 bytes of hints, 4 of blocks, 8 of first block (figure 367). */
const RANGE_BYTES = 16;
const DEALLOCATE = 1 << 2;

/** Deallocated blocks read as zeros. The other attributes are hints, and cost nothing. */
function prepareDataset(context: IoContext, command: NvmeCommand): PreparedIo | Status {
  const { port, namespace } = context;
  const table = new Uint8Array(((command.dword10 & 0xff) + 1) * RANGE_BYTES);
  const status = fetchInto(port, command, table);
  if (status !== STATUS.SUCCESS) {
    return status;
  }
  const ranges = rangesOf(table);
  if (!ranges.every(({ firstBlock, blockCount }) => namespace.contains(firstBlock, blockCount))) {
    return STATUS.LBA_OUT_OF_RANGE;
  }
  const chosen = (command.dword11 & DEALLOCATE) === 0 ? [] : ranges;
  return { kind: "zero", lengthBytes: 0, runs: [], finish: () => zeroAll(namespace, chosen) };
}

interface BlockRange {
  readonly firstBlock: number;
  readonly blockCount: number;
}

function rangesOf(table: Uint8Array): BlockRange[] {
  const view = new DataView(table.buffer);
  return Array.from({ length: table.length / RANGE_BYTES }, (_, index) => ({
    blockCount: view.getUint32(index * RANGE_BYTES + 4, true),
    firstBlock: readU64(view, index * RANGE_BYTES + 8),
  }));
}

function zeroAll(namespace: Namespace, ranges: readonly BlockRange[]): Status {
  for (const { firstBlock, blockCount } of ranges) {
    const status = namespace.zero(firstBlock, blockCount);
    if (status !== STATUS.SUCCESS) {
      return status;
    }
  }
  return STATUS.SUCCESS;
}

function fetchInto(port: DevicePort, command: NvmeCommand, target: Uint8Array): Status {
  const walked = walkData(port, command, target.length, "from-host");
  if (walked.status !== STATUS.SUCCESS) {
    return walked.status;
  }
  for (let index = 0, done = 0; index < walked.runs.length; index += 2) {
    const lengthBytes = walked.runs[index + 1] as number;
    if (!port.read(walked.runs[index] as number, target, done, lengthBytes).ok) {
      return STATUS.DATA_TRANSFER_ERROR;
    }
    done += lengthBytes;
  }
  return STATUS.SUCCESS;
}
