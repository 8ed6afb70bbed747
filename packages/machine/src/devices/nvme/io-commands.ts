/**
 * NVMe I/O commands: read, write and flush (NVMe 1.4 section 6).
 *
 * A command is checked and its PRPs are walked first; the data moves when the media's time is over.
 * What DMA cannot reach shows as on hardware: a read that was not answered fails the command with
 * Data Transfer Error, while a lost posted write is never noticed and the command succeeds.
 */
import type { DevicePort } from "../../device-model.ts";
import { joinU64 } from "../little-endian.ts";
import { IO, type NvmeCommand } from "./command.ts";
import { NAMESPACE_ID } from "./identify.ts";
import type { Namespace } from "./namespace.ts";
import { walkPrps } from "./prp.ts";
import { NVME_PAGE_BYTES } from "./registers.ts";
import { STATUS, type Status } from "./status.ts";

export interface IoContext {
  readonly port: DevicePort;
  readonly namespace: Namespace;
  readonly mdts: number;
}

/** A command that passed its checks: what to do when its time is over, and how many bytes it moves. */
export interface PreparedIo {
  readonly kind: "read" | "write" | "flush";
  readonly lengthBytes: number;
  finish(): Status;
}

/** Either work to be done, or the status of a command that is over already. */
export function prepareIo(context: IoContext, command: NvmeCommand): PreparedIo | Status {
  if (command.opcode !== IO.READ && command.opcode !== IO.WRITE && command.opcode !== IO.FLUSH) {
    return STATUS.INVALID_OPCODE;
  }
  if (command.usesSgl) {
    return STATUS.INVALID_FIELD;
  }
  if (command.namespaceId !== NAMESPACE_ID) {
    return STATUS.INVALID_NAMESPACE;
  }
  return command.opcode === IO.FLUSH ? FLUSH : prepareTransfer(context, command);
}

/** Writes are on the media when they complete, so nothing is left to flush. */
const FLUSH: PreparedIo = { kind: "flush", lengthBytes: 0, finish: () => STATUS.SUCCESS };

function prepareTransfer(context: IoContext, command: NvmeCommand): PreparedIo | Status {
  const { port, namespace } = context;
  const firstBlock = joinU64(command.dword10, command.dword11);
  const blockCount = (command.dword12 & 0xffff) + 1;
  const lengthBytes = blockCount * namespace.blockBytes;
  if (context.mdts !== 0 && lengthBytes > NVME_PAGE_BYTES * 2 ** context.mdts) {
    return STATUS.INVALID_FIELD;
  }
  if (!namespace.contains(firstBlock, blockCount)) {
    return STATUS.LBA_OUT_OF_RANGE;
  }
  const walked = walkPrps(port, command.prp1, command.prp2, lengthBytes);
  if (walked.status !== STATUS.SUCCESS) {
    return walked.status;
  }
  const { runs } = walked;
  if (command.opcode === IO.WRITE) {
    const finish = (): Status =>
      namespace.store(port, firstBlock, runs) ? STATUS.SUCCESS : STATUS.DATA_TRANSFER_ERROR;
    return { kind: "write", lengthBytes, finish };
  }
  const finish = (): Status => {
    namespace.load(port, firstBlock, runs);
    return STATUS.SUCCESS;
  };
  return { kind: "read", lengthBytes, finish };
}
