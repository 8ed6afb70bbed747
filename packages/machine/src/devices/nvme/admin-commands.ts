/**
 * NVMe admin commands: identify, the error log, asynchronous events, abort, the number of queues, and
 * making and deleting I/O queues (NVMe 1.4 section 5).
 *
 * Other admin commands are answered with Invalid Command Opcode.
 */
import type { DevicePort } from "../../device-model.ts";
import type { AsyncEvents } from "./async-events.ts";
import { ADMIN, FEATURE_QUEUE_COUNT, type NvmeCommand, POINTER } from "./command.ts";
import { ERROR_LOG_PAGE, type ErrorLog } from "./error-log.ts";
import {
  CNS,
  type ControllerIdentity,
  identifyActiveNamespaces,
  identifyController,
  identifyNamespace,
  NAMESPACE_ID,
} from "./identify.ts";
import type { Namespace } from "./namespace.ts";
import { walkPrps } from "./prp.ts";
import { CompletionQueue, SubmissionQueue } from "./queues.ts";
import { NVME_PAGE_BYTES, QUEUE_ENTRIES_MAX } from "./registers.ts";
import { STATUS, type Status } from "./status.ts";

/** I/O queue pairs the controller has, besides the admin queue. */
export const IO_QUEUES_MAX = 64;

export interface AdminContext {
  readonly port: DevicePort;
  readonly identity: ControllerIdentity;
  readonly namespace: Namespace;
  readonly submissionQueues: Map<number, SubmissionQueue>;
  readonly completionQueues: Map<number, CompletionQueue>;
  readonly events: AsyncEvents;
  readonly errors: ErrorLog;
  /** Ends a command that is on its way with Command Abort Requested. `false`: it is not, or not any more. */
  abort(queueId: number, commandId: number): boolean;
}

export interface AdminAnswer {
  readonly status: Status;
  /** Dword 0 of the completion. */
  readonly result: number;
}

/** `undefined`: it stays with the controller until there is an event to tell. */
export function runAdminCommand(
  context: AdminContext,
  command: NvmeCommand,
): AdminAnswer | undefined {
  if (command.pointer !== POINTER.PRP || command.fused !== 0) {
    return answer(STATUS.INVALID_FIELD); // Admin commands on PCIe use PRPs only (section 4.4).
  }
  switch (command.opcode) {
    case ADMIN.IDENTIFY:
      return answer(identify(context, command));
    case ADMIN.GET_LOG_PAGE:
      return answer(getLogPage(context, command));
    case ADMIN.ASYNC_EVENT_REQUEST:
      return context.events.request(command.id) ? undefined : answer(STATUS.EVENT_REQUEST_LIMIT);
    case ADMIN.ABORT:
      return abort(context, command);
    case ADMIN.SET_FEATURES:
    case ADMIN.GET_FEATURES:
      return queueCountFeature(context, command);
    case ADMIN.CREATE_IO_CQ:
      return answer(createCompletionQueue(context, command));
    case ADMIN.CREATE_IO_SQ:
      return answer(createSubmissionQueue(context, command));
    case ADMIN.DELETE_IO_SQ:
      return answer(deleteSubmissionQueue(context, command));
    case ADMIN.DELETE_IO_CQ:
      return answer(deleteCompletionQueue(context, command));
    default:
      return answer(STATUS.INVALID_OPCODE);
  }
}

function answer(status: Status, result = 0): AdminAnswer {
  return { status, result };
}

function identify(context: AdminContext, command: NvmeCommand): Status {
  const page = identifyPage(context, command);
  return typeof page === "number" ? page : send(context.port, command, page);
}

function send(port: DevicePort, command: NvmeCommand, bytes: Uint8Array): Status {
  const walked = walkPrps(port, command.prp1, command.prp2, bytes.length);
  if (walked.status !== STATUS.SUCCESS) {
    return walked.status;
  }
  let done = 0;
  for (let index = 0; index < walked.runs.length; index += 2) {
    const lengthBytes = walked.runs[index + 1] as number;
    port.write(walked.runs[index] as number, bytes, done, lengthBytes);
    done += lengthBytes;
  }
  return STATUS.SUCCESS;
}

/** RAE, bit 15: events stay masked although the log was read. */
const RETAIN_EVENT = 1 << 15;

/** At most a page of it, from its start; what is past the log's end reads as zeros. */
function getLogPage({ port, errors, events }: AdminContext, command: NvmeCommand): Status {
  if ((command.dword10 & 0xff) !== ERROR_LOG_PAGE) {
    return STATUS.INVALID_LOG_PAGE;
  }
  const lengthBytes = 4 * ((command.dword11 & 0xffff) * 2 ** 16 + (command.dword10 >>> 16) + 1);
  if (lengthBytes > NVME_PAGE_BYTES || command.dword12 !== 0) {
    return STATUS.INVALID_FIELD;
  }
  const page = new Uint8Array(lengthBytes);
  page.set(errors.page().subarray(0, lengthBytes));
  const status = send(port, command, page);
  if (status === STATUS.SUCCESS && (command.dword10 & RETAIN_EVENT) === 0) {
    events.unmask();
  }
  return status;
}

/** Bit 0 of the result: it was not aborted (section 5.1). */
function abort(context: AdminContext, { dword10 }: NvmeCommand): AdminAnswer {
  const isAborted = context.abort(dword10 & 0xffff, dword10 >>> 16);
  return answer(STATUS.SUCCESS, isAborted ? 0 : 1);
}

function identifyPage(context: AdminContext, command: NvmeCommand): Uint8Array | Status {
  switch (command.dword10 & 0xff) {
    case CNS.CONTROLLER:
      return identifyController(context.identity, context.namespace);
    case CNS.ACTIVE_NAMESPACES:
      return identifyActiveNamespaces(command.namespaceId);
    case CNS.NAMESPACE:
      return command.namespaceId === NAMESPACE_ID
        ? identifyNamespace(context.namespace)
        : STATUS.INVALID_NAMESPACE;
    default:
      return STATUS.INVALID_FIELD;
  }
}

/** Both counts are 0-based; the controller grants its maximum (section 5.21.1.7). */
function queueCountFeature(
  { completionQueues }: AdminContext,
  { opcode, dword10 }: NvmeCommand,
): AdminAnswer {
  if ((dword10 & 0xff) !== FEATURE_QUEUE_COUNT) {
    return answer(STATUS.INVALID_FIELD);
  }
  if (opcode === ADMIN.SET_FEATURES && completionQueues.size > 1) {
    return answer(STATUS.COMMAND_SEQUENCE_ERROR); // Only before the first I/O queue is made.
  }
  return answer(STATUS.SUCCESS, ((IO_QUEUES_MAX - 1) << 16) | (IO_QUEUES_MAX - 1));
}

function createCompletionQueue(context: AdminContext, command: NvmeCommand): Status {
  const { id, entries } = queueFields(command);
  const contiguous = (command.dword11 & 1) !== 0;
  const interruptsEnabled = (command.dword11 & 2) !== 0;
  const vector = command.dword11 >>> 16;
  if (isNoIoQueue(id) || context.completionQueues.has(id)) {
    return STATUS.INVALID_QUEUE_IDENTIFIER;
  }
  if (entries < 2 || entries > QUEUE_ENTRIES_MAX) {
    return STATUS.INVALID_QUEUE_SIZE;
  }
  if (!contiguous) {
    return STATUS.INVALID_FIELD;
  }
  if (command.prp1 % NVME_PAGE_BYTES !== 0) {
    return STATUS.INVALID_PRP_OFFSET;
  }
  if (vector > IO_QUEUES_MAX) {
    return STATUS.INVALID_INTERRUPT_VECTOR;
  }
  const used = interruptsEnabled ? vector : undefined;
  context.completionQueues.set(id, new CompletionQueue(id, command.prp1, entries, used));
  return STATUS.SUCCESS;
}

function createSubmissionQueue(context: AdminContext, command: NvmeCommand): Status {
  const { id, entries } = queueFields(command);
  const contiguous = (command.dword11 & 1) !== 0;
  const completions = context.completionQueues.get(command.dword11 >>> 16);
  if (isNoIoQueue(id) || context.submissionQueues.has(id)) {
    return STATUS.INVALID_QUEUE_IDENTIFIER;
  }
  if (completions === undefined || completions.id === 0) {
    return STATUS.COMPLETION_QUEUE_INVALID;
  }
  if (entries < 2 || entries > QUEUE_ENTRIES_MAX) {
    return STATUS.INVALID_QUEUE_SIZE;
  }
  if (!contiguous) {
    return STATUS.INVALID_FIELD;
  }
  if (command.prp1 % NVME_PAGE_BYTES !== 0) {
    return STATUS.INVALID_PRP_OFFSET;
  }
  completions.users++;
  context.submissionQueues.set(id, new SubmissionQueue(id, command.prp1, entries, completions));
  return STATUS.SUCCESS;
}

function deleteSubmissionQueue(context: AdminContext, command: NvmeCommand): Status {
  const { id } = queueFields(command);
  const queue = context.submissionQueues.get(id);
  if (queue === undefined || id === 0) {
    return STATUS.INVALID_QUEUE_IDENTIFIER;
  }
  queue.completions.users--;
  context.submissionQueues.delete(id);
  return STATUS.SUCCESS;
}

function deleteCompletionQueue(context: AdminContext, command: NvmeCommand): Status {
  const { id } = queueFields(command);
  const queue = context.completionQueues.get(id);
  if (queue === undefined || id === 0) {
    return STATUS.INVALID_QUEUE_IDENTIFIER;
  }
  if (queue.users > 0) {
    return STATUS.INVALID_QUEUE_DELETION;
  }
  context.completionQueues.delete(id);
  return STATUS.SUCCESS;
}

function isNoIoQueue(id: number): boolean {
  return id === 0 || id > IO_QUEUES_MAX;
}

function queueFields(command: NvmeCommand): { id: number; entries: number } {
  return { id: command.dword10 & 0xffff, entries: (command.dword10 >>> 16) + 1 };
}
