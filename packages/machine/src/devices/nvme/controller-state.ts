/**
 * NVMe controller state: registers, doorbells, and the commands on their way.
 *
 * Work in flight belongs to one life of the controller: disabling or resetting it starts a new life, and
 * events of an older one do nothing. A doorbell that makes no sense changes nothing and is told as an
 * asynchronous event; a queue that cannot be read is fatal (CSTS.CFS) until the host resets the controller.
 */
import type { ScheduledEvent } from "@peerbuf/core";
import type { DevicePort } from "../../device-model.ts";
import { joinU64 } from "../little-endian.ts";
import type { Registers32 } from "../register-window.ts";
import { type AdminContext, runAdminCommand } from "./admin-commands.ts";
import { AsyncEvents, ERROR_EVENT, type ErrorEvent } from "./async-events.ts";
import { decodeCommand, type NvmeCommand } from "./command.ts";
import { ErrorLog, NO_COMMAND } from "./error-log.ts";
import type { ControllerIdentity } from "./identify.ts";
import { prepareIo } from "./io-commands.ts";
import { ADMIN_NS, DOORBELL_NS, ENABLE_NS } from "./latency.ts";
import { CAP_HIGH_CMB, type MemoryBuffer } from "./memory-buffer.ts";
import type { Namespace } from "./namespace.ts";
import type { NvmePace } from "./pace.ts";
import { CompletionQueue, SubmissionQueue } from "./queues.ts";
import {
  CAP_HIGH,
  CAP_LOW,
  decodeConfiguration,
  isPossible,
  NVME_PAGE_BYTES,
  REGISTER,
  SQ_ENTRY_BYTES,
  STATUS_FATAL,
  STATUS_READY,
  STATUS_SHUTDOWN_COMPLETE,
  VERSION_1_4,
} from "./registers.ts";
import { STATUS, type Status } from "./status.ts";

export class ControllerState implements Registers32 {
  readonly memoryBuffer: MemoryBuffer | undefined;
  readonly #port: DevicePort;
  readonly #identity: ControllerIdentity;
  readonly #namespace: Namespace;
  readonly #pace: NvmePace;
  readonly #submissionQueues = new Map<number, SubmissionQueue>();
  readonly #completionQueues = new Map<number, CompletionQueue>();
  readonly #errors = new ErrorLog();
  readonly #events: AsyncEvents;
  readonly #admin: AdminContext;
  /** The registers that only remember what was written. */
  readonly #written = new Map<number, number>();
  readonly #entry = new Uint8Array(SQ_ENTRY_BYTES);
  readonly #entryView = new DataView(this.#entry.buffer);
  #status = 0;
  #life = 0;

  constructor(
    port: DevicePort,
    identity: ControllerIdentity,
    namespace: Namespace,
    memoryBuffer: MemoryBuffer | undefined,
    pace: NvmePace,
  ) {
    this.#pace = pace;
    this.memoryBuffer = memoryBuffer;
    this.#port = port;
    this.#identity = identity;
    this.#namespace = namespace;
    this.#events = new AsyncEvents((commandId, result) => this.#completeEvent(commandId, result));
    this.#admin = {
      port,
      identity,
      namespace,
      submissionQueues: this.#submissionQueues,
      completionQueues: this.#completionQueues,
      events: this.#events,
      errors: this.#errors,
      abort: (queueId, commandId) => this.#abort(queueId, commandId),
    };
  }

  powerOn(): void {
    this.#written.clear();
    this.memoryBuffer?.powerOn();
    this.#errors.clear();
    this.#stop();
  }

  read32(offset: number): number {
    switch (offset) {
      case REGISTER.CAP_LOW:
        return CAP_LOW;
      case REGISTER.CAP_HIGH:
        return this.memoryBuffer === undefined ? CAP_HIGH : CAP_HIGH | CAP_HIGH_CMB;
      case REGISTER.VERSION:
        return VERSION_1_4;
      case REGISTER.STATUS:
        return this.#status;
      default:
        return this.memoryBuffer?.read32(offset) ?? this.#written.get(offset) ?? 0;
    }
  }

  write32(offset: number, value: number): void {
    if (offset >= REGISTER.DOORBELLS) {
      this.#ringDoorbell((offset - REGISTER.DOORBELLS) / 4, value & 0xffff);
    } else if (offset === REGISTER.CONFIGURATION) {
      this.#configure(value);
    } else if (offset >= REGISTER.ADMIN_QUEUE_ATTRIBUTES && offset <= REGISTER.ADMIN_CQ_HIGH) {
      this.#written.set(offset, value);
    } else {
      this.memoryBuffer?.write32(offset, value);
    }
  }

  get #isWorking(): boolean {
    return (this.#status & (STATUS_READY | STATUS_FATAL)) === STATUS_READY;
  }

  #configure(value: number): void {
    const before = decodeConfiguration(this.read32(REGISTER.CONFIGURATION));
    const after = decodeConfiguration(value);
    this.#written.set(REGISTER.CONFIGURATION, value);
    if (after.enable && !before.enable) {
      this.#later(ENABLE_NS, () => this.#start());
    } else if (!after.enable && before.enable) {
      this.#stop();
    }
    if (after.shutdown) {
      this.#namespace.media.flush();
      this.#status |= STATUS_SHUTDOWN_COMPLETE;
    }
  }

  /** Controller reset (section 7.3.2): queues and work in flight are gone, the admin queue registers stay. */
  #stop(): void {
    this.#life++;
    this.#status = 0;
    this.#submissionQueues.clear();
    this.#completionQueues.clear();
    this.#events.clear();
  }

  #start(): void {
    const attributes = this.read32(REGISTER.ADMIN_QUEUE_ATTRIBUTES);
    const sqEntries = (attributes & 0xfff) + 1;
    const cqEntries = ((attributes >>> 16) & 0xfff) + 1;
    const configuration = decodeConfiguration(this.read32(REGISTER.CONFIGURATION));
    if (!isPossible(configuration) || sqEntries < 2 || cqEntries < 2) {
      this.#status |= STATUS_FATAL;
      return;
    }
    const completions = new CompletionQueue(0, this.#address(REGISTER.ADMIN_CQ_LOW), cqEntries, 0);
    const sqAddress = this.#address(REGISTER.ADMIN_SQ_LOW);
    completions.users = 1;
    this.#completionQueues.set(0, completions);
    this.#submissionQueues.set(0, new SubmissionQueue(0, sqAddress, sqEntries, completions));
    this.#status |= STATUS_READY;
  }

  /** Queue addresses are page aligned; the low bits are reserved. */
  #address(lowRegister: number): number {
    const low = this.read32(lowRegister);
    return joinU64(low - (low % NVME_PAGE_BYTES), this.read32(lowRegister + 4));
  }

  /** Doorbells alternate: submission tail, completion head (section 3.1.24, stride 0). */
  #ringDoorbell(index: number, value: number): void {
    if (!this.#isWorking) {
      return;
    }
    const id = Math.floor(index / 2);
    if (index % 2 === 0) {
      this.#ringSubmissions(this.#submissionQueues.get(id), value);
    } else {
      this.#ringCompletions(this.#completionQueues.get(id), value);
    }
  }

  #ringSubmissions(queue: SubmissionQueue | undefined, tail: number): void {
    if (queue === undefined) {
      this.#reportDoorbell(ERROR_EVENT.INVALID_DOORBELL_REGISTER);
    } else if (tail >= queue.entries) {
      this.#reportDoorbell(ERROR_EVENT.INVALID_DOORBELL_VALUE);
    } else {
      queue.tail = tail;
      this.#later(DOORBELL_NS, () => this.#fetchAll(queue));
    }
  }

  #ringCompletions(queue: CompletionQueue | undefined, head: number): void {
    if (queue === undefined) {
      this.#reportDoorbell(ERROR_EVENT.INVALID_DOORBELL_REGISTER);
    } else if (!queue.moveHead(head)) {
      this.#reportDoorbell(ERROR_EVENT.INVALID_DOORBELL_VALUE);
    } else {
      const wasStalled = queue.isStalled;
      queue.post(this.#port);
      if (wasStalled) {
        this.#later(DOORBELL_NS, () => this.#fetchFor(queue));
      }
    }
  }

  #reportDoorbell(event: ErrorEvent): void {
    const status = STATUS.INVALID_FIELD;
    this.#errors.add({ queueId: 0xffff, commandId: NO_COMMAND, status, namespaceId: 0 });
    this.#events.report(event);
  }

  /** Goes on with the submission queues that waited for room in this completion queue. */
  #fetchFor(completions: CompletionQueue): void {
    for (const queue of this.#submissionQueues.values()) {
      if (queue.completions === completions) {
        this.#fetchAll(queue);
      }
    }
  }

  #fetchAll(queue: SubmissionQueue): void {
    while (this.#isOpen(queue) && !queue.isEmpty && !queue.completions.isStalled) {
      if (!queue.fetch(this.#port, this.#entry)) {
        this.#status |= STATUS_FATAL; // A controller that cannot read its commands cannot go on.
        return;
      }
      this.#begin(queue, decodeCommand(this.#entryView));
    }
  }

  #begin(queue: SubmissionQueue, command: NvmeCommand): void {
    if (queue.onTheWay.has(command.id)) {
      this.#post(queue, command.id, STATUS.COMMAND_ID_CONFLICT, 0);
    } else if (queue.id === 0) {
      const run = (): void => this.#runAdmin(queue, command);
      queue.onTheWay.set(command.id, this.#later(ADMIN_NS, run));
    } else {
      this.#beginIo(queue, command);
    }
  }

  #runAdmin(queue: SubmissionQueue, command: NvmeCommand): void {
    const answer = runAdminCommand(this.#admin, command);
    if (answer !== undefined) {
      this.#complete(queue, command, answer.status, answer.result);
    }
  }

  #beginIo(queue: SubmissionQueue, command: NvmeCommand): void {
    const { mdts } = this.#identity;
    const io = prepareIo({ port: this.#port, namespace: this.#namespace, mdts }, command);
    if (typeof io === "number") {
      this.#complete(queue, command, io, 0);
      return;
    }
    const finish = (): void => {
      // A command of a queue that was deleted meanwhile is dropped, and moves nothing (section 5.6).
      if (this.#isOpen(queue)) {
        this.#complete(queue, command, io.finish(), 0);
      }
    };
    const move = (): void => {
      const plan = this.#pace.planOf(io, queue, command);
      queue.onTheWay.set(command.id, this.#port.transfer(plan, this.#whileAlive(finish)));
    };
    const isMoving = io.runs.length > 0;
    queue.onTheWay.set(command.id, this.#later(this.#pace.waitNs(io), isMoving ? move : finish));
  }

  #abort(queueId: number, commandId: number): boolean {
    const queue = this.#submissionQueues.get(queueId);
    const end = queue?.onTheWay.get(commandId);
    if (queue === undefined || end === undefined) {
      return false;
    }
    const isEventRequest = queueId === 0 && this.#events.withdraw(commandId);
    if (queueId === 0 && !isEventRequest) {
      return false; // Other admin commands are too short to be aborted; one may be the abort itself.
    }
    end.cancel();
    queue.onTheWay.delete(commandId);
    this.#post(queue, commandId, STATUS.ABORT_REQUESTED, 0);
    return true;
  }

  #completeEvent(commandId: number, result: number): void {
    const queue = this.#submissionQueues.get(0);
    if (queue !== undefined) {
      queue.onTheWay.delete(commandId);
      this.#post(queue, commandId, STATUS.SUCCESS, result);
    }
  }

  #complete(queue: SubmissionQueue, command: NvmeCommand, status: Status, result: number): void {
    queue.onTheWay.delete(command.id);
    if (status !== STATUS.SUCCESS) {
      const { id: commandId, namespaceId } = command;
      this.#errors.add({ queueId: queue.id, commandId, status, namespaceId });
    }
    this.#post(queue, command.id, status, result);
  }

  #post(queue: SubmissionQueue, commandId: number, status: Status, result: number): void {
    if (this.#isOpen(queue)) {
      queue.completions.post(this.#port, { queue, commandId, status, result });
    }
  }

  #isOpen(queue: SubmissionQueue): boolean {
    return this.#submissionQueues.get(queue.id) === queue;
  }

  /** Runs `step` in time, unless this life of the controller ended before. */
  #later(delayNs: number, step: () => void): ScheduledEvent {
    return this.#port.clock.schedule(delayNs, this.#whileAlive(step));
  }

  #whileAlive(step: () => void): () => void {
    const life = this.#life;
    return () => {
      if (life === this.#life && (this.#status & STATUS_FATAL) === 0) {
        step();
      }
    };
  }
}
