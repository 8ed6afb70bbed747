/**
 * NVMe pace: how fast a drive can be, and what a command puts on the links.
 *
 * A command costs more than its data: its entry is fetched (64 bytes), a list of PRPs if it has one (8 bytes a
 * page), and its completion is posted (16 bytes). All of it moves as one transfer, since a controller overlaps
 * the steps of the commands it has. Doorbells are the processors' accesses and take no time.
 */
import { InputError } from "@peerbuf/core";
import type { DeviceLimit, TransferLeg, TransferPlan } from "../../links/transfer-plan.ts";
import { type NvmeCommand, POINTER } from "./command.ts";
import type { PreparedIo } from "./io-commands.ts";
import { BASE_NS } from "./latency.ts";
import type { SubmissionQueue } from "./queues.ts";
import { CQ_ENTRY_BYTES, NVME_PAGE_BYTES, SQ_ENTRY_BYTES } from "./registers.ts";

/** What a data sheet says; 1 byte a nanosecond is 1 GB/s. */
export interface NvmePaceOptions {
  /** Default 7. */
  readonly readBytesPerNs?: number;
  /** Default 7. */
  readonly writeBytesPerNs?: number;
  /** Read and write commands a nanosecond, whatever their size. Default 0.001, a million a second. */
  readonly commandsPerNs?: number;
  /** What a read or write waits inside the drive before its data moves. Default 60,000 and 12,000 ns. */
  readonly readNs?: number;
  readonly writeNs?: number;
}

const PRP_ENTRY_BYTES = 8;
/** Pages that the two pointers of a command name without a list. */
const POINTER_PAGES = 2;

export class NvmePace {
  readonly #read: DeviceLimit;
  readonly #write: DeviceLimit;
  readonly #commands: DeviceLimit;

  readonly #waitNs: Readonly<Record<PreparedIo["kind"], number>>;

  /** `InputError` for what is no rate. */
  constructor({
    readBytesPerNs = 7,
    writeBytesPerNs = 7,
    commandsPerNs = 0.001,
    readNs = BASE_NS.read,
    writeNs = BASE_NS.write,
  }: NvmePaceOptions) {
    this.#waitNs = { ...BASE_NS, read: readNs, write: writeNs };
    this.#read = limit("media reads", readBytesPerNs);
    this.#write = limit("media writes", writeBytesPerNs);
    this.#commands = limit("commands", commandsPerNs);
  }

  /** What a command waits before its data moves. */
  waitNs(io: PreparedIo): number {
    return this.#waitNs[io.kind];
  }

  /** What a command that moves data takes, fetched from `entry` of its queue. */
  planOf(io: PreparedIo, queue: SubmissionQueue, command: NvmeCommand): TransferPlan {
    const isRead = io.kind === "read";
    const list = listBytes(command, io.lengthBytes);
    const fetches = [queue.address, SQ_ENTRY_BYTES, command.prp2, list];
    const completion = [queue.completions.address, CQ_ENTRY_BYTES];
    const legs: TransferLeg[] = [
      { kind: isRead ? "write" : "read", runs: io.runs },
      { kind: "read", runs: fetches },
      { kind: "write", runs: completion },
    ];
    const limits = [
      { limit: isRead ? this.#read : this.#write, amount: io.lengthBytes },
      { limit: this.#commands, amount: 1 },
    ];
    return { legs, limits };
  }
}

/** Bytes of the PRP list; descriptors of SGLs beyond the first are not counted. */
function listBytes({ pointer, prp1 }: NvmeCommand, lengthBytes: number): number {
  const pages = Math.ceil(((prp1 % NVME_PAGE_BYTES) + lengthBytes) / NVME_PAGE_BYTES);
  return pointer !== POINTER.PRP || pages <= POINTER_PAGES ? 0 : (pages - 1) * PRP_ENTRY_BYTES;
}

function limit(name: string, perNs: number): DeviceLimit {
  if (!(perNs > 0)) {
    throw new InputError({
      source: "nvme model",
      place: "pace",
      cause: `${perNs} is no rate for ${name}`,
      remedy: "State a number above 0, for each nanosecond",
    });
  }
  return { name, perNs };
}
