/**
 * RDMA commands: protection domains, registering and mapping memory, and the life of queue pairs.
 */
import type { DevicePort } from "../../device-model.ts";
import { readU64 } from "../little-endian.ts";
import { RDMA_COMMAND, RDMA_SEGMENT_BYTES, type RdmaCommand } from "./entries.ts";
import { MemoryRegion } from "./memory-region.ts";
import type { ProtectionDomains } from "./protection-domains.ts";
import { QueuePair, WorkRing } from "./queue-pair.ts";
import type { RegionTable } from "./region-table.ts";
import {
  RDMA_ACCESS,
  RDMA_COMMAND_STATUS,
  RDMA_QUEUE_ENTRIES_MAX,
  RDMA_QUEUE_PAIR_STATE,
  RDMA_QUEUE_PAIRS_MAX,
  RDMA_REGION_SEGMENTS_MAX,
  RDMA_RNR_RETRY_FOREVER,
  type RdmaCommandStatus,
} from "./registers.ts";
import { Translation } from "./translation.ts";

export interface CommandContext {
  readonly port: DevicePort;
  readonly regions: RegionTable;
  readonly queuePairs: Map<number, QueuePair>;
  readonly domains: ProtectionDomains;
  /** An access waits for the region behind the key. */
  reportFault(key: number): void;
  /** The queue pair may have something to do in its new state. */
  resume(queuePair: QueuePair): void;
  /** Puts the queue pair into the error state and flushes it. */
  breakDown(queuePair: QueuePair): void;
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
const BUSY: CommandAnswer = { status: RDMA_COMMAND_STATUS.BUSY, result: 0 };
const RELEASE_ANSWERS = { released: OK, busy: BUSY, unknown: INVALID } as const;
const ACCESS_FLAGS = Object.values(RDMA_ACCESS).reduce((all: number, flag) => all | flag, 0);

export function runRdmaCommand(context: CommandContext, command: RdmaCommand): CommandAnswer {
  switch (command.opcode) {
    case RDMA_COMMAND.REGISTER_REGION:
      return registerRegion(context, command);
    case RDMA_COMMAND.DEREGISTER_REGION:
      return deregisterRegion(context, command);
    case RDMA_COMMAND.CREATE_QUEUE_PAIR:
      return createQueuePair(context, command);
    case RDMA_COMMAND.MODIFY_QUEUE_PAIR:
      return modifyQueuePair(context, command);
    case RDMA_COMMAND.DESTROY_QUEUE_PAIR:
      return destroyQueuePair(context, command);
    case RDMA_COMMAND.ALLOCATE_DOMAIN:
      return allocated(context.domains.allocate());
    case RDMA_COMMAND.RELEASE_DOMAIN:
      return RELEASE_ANSWERS[context.domains.release(command.handle)];
    case RDMA_COMMAND.MAP_REGION:
      return mapRegion(context, command);
    default:
      return INVALID;
  }
}

const allocated = (result: number | undefined): CommandAnswer =>
  result === undefined ? LIMIT : { status: RDMA_COMMAND_STATUS.SUCCESS, result };

function registerRegion(context: CommandContext, command: RdmaCommand): CommandAnswer {
  const { lengthBytes, access, domain } = command;
  if (lengthBytes === 0 || !isAccess(access) || !context.domains.has(domain)) {
    return INVALID;
  }
  const key = context.regions.add(
    (key) => new MemoryRegion(domain, lengthBytes, access, () => context.reportFault(key)),
  );
  if (key !== undefined) {
    context.domains.enter(domain);
  }
  return allocated(key);
}

/** Whoever may write from afar may write here (ibv_reg_mr refuses anything else). */
function isAccess(access: number): boolean {
  const { LOCAL_WRITE, REMOTE_WRITE } = RDMA_ACCESS;
  const isKnown = (access & ~ACCESS_FLAGS) === 0;
  return isKnown && ((access & REMOTE_WRITE) === 0 || (access & LOCAL_WRITE) !== 0);
}

function deregisterRegion(
  { regions, domains }: CommandContext,
  command: RdmaCommand,
): CommandAnswer {
  const region = regions.find(command.handle);
  if (region === undefined) {
    return INVALID;
  }
  regions.remove(command.handle);
  domains.leave(region.domain);
  return OK;
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
  const { domain, address, count, receiveAddress, receiveCount } = command;
  if (!context.domains.has(domain) || !isRing(count) || !isRing(receiveCount)) {
    return INVALID;
  }
  for (let number = 1; number <= RDMA_QUEUE_PAIRS_MAX; number++) {
    if (!context.queuePairs.has(number)) {
      const sends = new WorkRing(address, count);
      const receives = new WorkRing(receiveAddress, receiveCount);
      context.queuePairs.set(number, new QueuePair({ number, domain, sends, receives }));
      context.domains.enter(domain);
      return allocated(number);
    }
  }
  return LIMIT;
}

const isRing = (entries: number): boolean => entries >= 2 && entries <= RDMA_QUEUE_ENTRIES_MAX;

function modifyQueuePair(context: CommandContext, command: RdmaCommand): CommandAnswer {
  const { count: state, access: rnrRetries } = command;
  const queuePair = context.queuePairs.get(command.handle);
  if (queuePair === undefined || rnrRetries > RDMA_RNR_RETRY_FOREVER) {
    return INVALID;
  }
  if (state === RDMA_QUEUE_PAIR_STATE.RESET) {
    context.queuePairs.set(queuePair.number, queuePair.renewed());
    return OK;
  }
  if (state === RDMA_QUEUE_PAIR_STATE.ERROR) {
    context.breakDown(queuePair);
    return OK;
  }
  if (!queuePair.moveTo(state)) {
    return INVALID;
  }
  if (state === RDMA_QUEUE_PAIR_STATE.RECEIVING) {
    queuePair.remoteLid = command.remoteLid;
    queuePair.remoteQueuePair = command.remoteQueuePair;
  } else if (state === RDMA_QUEUE_PAIR_STATE.SENDING) {
    queuePair.rnrRetries = rnrRetries;
    context.resume(queuePair);
  }
  return OK;
}

function destroyQueuePair(
  { queuePairs, domains }: CommandContext,
  command: RdmaCommand,
): CommandAnswer {
  const queuePair = queuePairs.get(command.handle);
  if (queuePair === undefined) {
    return INVALID;
  }
  queuePairs.delete(queuePair.number);
  domains.leave(queuePair.domain);
  return OK;
}
