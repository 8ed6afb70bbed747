/**
 * Operation: one way of moving a buffer's bytes, with the places where they are looked for.
 *
 * `prepare` puts the bytes in place, `run` moves them through the drivers; `hashes` reads memory past all of them, and answers also when `run`
 * failed half way: what is in memory then is what counts.
 */
import type { DmaBuf } from "@peerbuf/core";
import type { Operation as OperationName, TransferPlan } from "../scenario/transfer-plan.ts";
import { nvmeRead, nvmeWrite, nvmeWriteRead } from "./nvme-operations.ts";
import type { Hashes } from "./outcome.ts";
import { rdmaRead, rdmaWrite } from "./rdma-operations.ts";
import type { Rig } from "./rig.ts";

/** What an operation works on. */
export interface Workpiece {
  readonly rig: Rig;
  readonly plan: TransferPlan;
  readonly buffer: DmaBuf;
  readonly pattern: Uint8Array;
}

export interface Operation extends Disposable {
  prepare(): Promise<void>;
  /** Answers how long the bytes were on their way: from the first request to the last completion. */
  run(): Promise<number>;
  hashes(): Hashes;
}

const OPERATIONS: Readonly<Record<OperationName, (piece: Workpiece) => Operation>> = {
  "nvme-write": nvmeWrite,
  "nvme-read": nvmeRead,
  "nvme-write-read": nvmeWriteRead,
  "rdma-write": rdmaWrite,
  "rdma-read": rdmaRead,
};

export const startOperation = (piece: Workpiece): Operation =>
  OPERATIONS[piece.plan.operation](piece);
