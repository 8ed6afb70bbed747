/**
 * RDMA commands: registering and mapping memory, and making, connecting and destroying queue pairs.
 */
import type { DevicePort } from "../../device-model.ts";
import { readU64 } from "../little-endian.ts";
import { RDMA_COMMAND, RDMA_SEGMENT_BYTES, type RdmaCommand } from "./entries.ts";
import { MemoryRegion } from "./memory-region.ts";
import { QueuePair } from "./queue-pair.ts";
import type { RegionTable } from "./region-table.ts";
import {
  RDMA_ACCESS,
  RDMA_COMMAND_STATUS,
  RDMA_QUEUE_ENTRIES_MAX,
  RDMA_QUEUE_PAIRS_MAX,
  RDMA_REGION_SEGMENTS_MAX,
  type RdmaCommandStatus,
} from "./registers.ts";
import { Translation } from "./translation.ts";

export interface CommandContext {
  readonly port: DevicePort;
  readonly regions: RegionTable;
  readonly queuePairs: Map<number, QueuePair>;
  /** An access waits for the region behind the key. */
  reportFault(key: number): void;
}

export interface CommandAnswer {
  readonly status: RdmaCommandStatus;
  readonly result: number;
}

const OK: CommandAnswer = { status: RDMA_COMMAND_STATUS.SUCCESS, result: 0 };
const INVALID: CommandAnswer = { status: RDMA_COMMAND_STATUS.INVALID, result: 0 };
const LIMIT: CommandAnswer = { status: RDMA_COMMAND_STATUS.LIMIT, result: 0 };
const UNREACHABLE: CommandAnswer = { status: RDMA_COMMAND_STATUS.UNREACHABLE, result: 0 };
const STALE: CommandAnswer = { status: RDMA_COMMAND_STATUS.STALE, result: 0 };
const ACCESS_FLAGS = Object.values(RDMA_ACCESS).reduce((all: number, flag) => all | flag, 0);

export function runRdmaCommand(context: CommandContext, command: RdmaCommand): CommandAnswer {
  switch (command.opcode) {
    case RDMA_COMMAND.REGISTER_REGION:
      return registerRegion(context, command);
    case RDMA_COMMAND.DEREGISTER_REGION:
      return context.regions.remove(command.handle) ? OK : INVALID;
    case RDMA_COMMAND.CREATE_QUEUE_PAIR:
      return createQueuePair(context, command);
    case RDMA_COMMAND.CONNECT_QUEUE_PAIR:
      return connectQueuePair(context, command);
    case RDMA_COMMAND.DESTROY_QUEUE_PAIR:
      return context.queuePairs.delete(command.handle) ? OK : INVALID;
    case RDMA_COMMAND.MAP_REGION:
      return mapRegion(context, command);
    default:
      return INVALID;
  }
}

function registerRegion(context: CommandContext, command: RdmaCommand): CommandAnswer {
  const { lengthBytes, access } = command;
  if (lengthBytes === 0 || (access & ~ACCESS_FLAGS) !== 0) {
    return INVALID;
  }
  const key = context.regions.add(
    (key) => new MemoryRegion(lengthBytes, access, () => context.reportFault(key)),
  );
  return key === undefined ? LIMIT : { status: RDMA_COMMAND_STATUS.SUCCESS, result: key };
}

function mapRegion({ port, regions }: CommandContext, command: RdmaCommand): CommandAnswer {
  const { handle, address, count, zaps } = command;
  const region = regions.find(handle);
  if (region === undefined || count > RDMA_REGION_SEGMENTS_MAX) {
    return INVALID;
  }
  if (count === 0) {
    region.fail();
    return OK;
  }
  if (region.zaps !== zaps) {
    return STALE;
  }
  const table = new Uint8Array(count * RDMA_SEGMENT_BYTES);
  if (!port.read(address, table, 0, table.length).ok) {
    return UNREACHABLE;
  }
  const translation = new Translation(rowsOf(table));
  if (region.translation !== undefined || region.lengthBytes > translation.backedBytes) {
    return INVALID;
  }
  region.present(translation);
  return OK;
}

function rowsOf(table: Uint8Array): Float64Array {
  const view = new DataView(table.buffer);
  const rows = new Float64Array(table.length / 8);
  for (let index = 0; index < rows.length; index++) {
    rows[index] = readU64(view, 8 * index);
  }
  return rows;
}

function createQueuePair(context: CommandContext, command: RdmaCommand): CommandAnswer {
  if (command.count < 2 || command.count > RDMA_QUEUE_ENTRIES_MAX) {
    return INVALID;
  }
  for (let number = 1; number <= RDMA_QUEUE_PAIRS_MAX; number++) {
    if (!context.queuePairs.has(number)) {
      context.queuePairs.set(number, new QueuePair(number, command.address, command.count));
      return { status: RDMA_COMMAND_STATUS.SUCCESS, result: number };
    }
  }
  return LIMIT;
}

function connectQueuePair(context: CommandContext, command: RdmaCommand): CommandAnswer {
  const queuePair = context.queuePairs.get(command.handle);
  if (queuePair === undefined) {
    return INVALID;
  }
  queuePair.remoteLid = command.remoteLid;
  queuePair.remoteQueuePair = command.remoteQueuePair;
  return OK;
}
