/**
 * Run transfer: negotiates and moves the bytes of one plan, and collects the evidence.
 *
 * A refusal ends this transfer, not the run. Evidence is taken while the buffer still lives.
 */
import { PeerbufError } from "@peerbuf/core";
import { joinPlace, splitPlace } from "../scenario/place-name.ts";
import { SYSTEM_HEAP, type TransferPlan } from "../scenario/transfer-plan.ts";
import { allocateFor } from "./allocate.ts";
import { hashOf } from "./byte-place.ts";
import { CarriedBytes } from "./carried-bytes.ts";
import { LossLog } from "./loss-log.ts";
import { NegotiationLog } from "./negotiation-log.ts";
import { startOperation, type Workpiece } from "./operation.ts";
import type { Hashes, Outcome, RemoteEnd, Way } from "./outcome.ts";
import { patternBytes } from "./pattern.ts";
import { remoteBufferName } from "./rdma-operations.ts";
import type { Rig } from "./rig.ts";

/** `seed`: of the bytes to send, unless the plan has its own. */
export async function runTransfer(rig: Rig, plan: TransferPlan, seed: number): Promise<Outcome> {
  const pattern = patternBytes(plan.data?.seed ?? seed, plan.buffer.size);
  rig.forget();
  using log = new NegotiationLog(rig.sites);
  const { hashes, error, carried } = await moveBytes(rig, plan, pattern);
  await rig.idle(); // The next one finds all memory given back.
  const expected = hashOf(pattern);
  const mapped = log.mapped(driverOf(plan), plan.importer, plan.name);
  return {
    plan,
    provider: plan.exporter,
    client: plan.importer,
    target: mapped?.target ?? null,
    route: mapped?.route ?? null,
    remote: remoteEnd(plan, log),
    sha256: hashes,
    arrived: error === undefined && hashes.source === expected && hashes.destination === expected,
    error,
    decisions: log.decisions,
    ...carried,
  };
}

const NOTHING: Hashes = { source: null, destination: null };

const NOTHING_CARRIED = { passed: [], lostBytes: 0, losses: [] };

interface Moved {
  readonly hashes: Hashes;
  readonly error: PeerbufError | undefined;
  readonly carried: Pick<Outcome, "passed" | "lostBytes" | "losses">;
}

async function moveBytes(rig: Rig, plan: TransferPlan, pattern: Uint8Array): Promise<Moved> {
  try {
    using buffer = allocateFor(rig, plan, plan.name);
    // `return await`: without it the buffer is closed while the operation still runs.
    return await operate({ rig, plan, buffer, pattern });
  } catch (error) {
    return { hashes: NOTHING, error: refusal(error), carried: NOTHING_CARRIED };
  }
}

async function operate(piece: Workpiece): Promise<Moved> {
  using operation = startOperation(piece);
  await operation.prepare();
  const counters = new CarriedBytes(piece.rig.sites);
  using log = new LossLog(piece.rig.sites);
  let error: PeerbufError | undefined;
  try {
    await operation.run();
  } catch (thrown) {
    error = refusal(thrown);
  }
  const { passed, lostBytes } = counters;
  const carried = { passed, lostBytes, losses: log.losses };
  return { error, hashes: operation.hashes(), carried };
}

/** What a driver or the framework refuses is a result; anything else is a bug and goes on. */
function refusal(error: unknown): PeerbufError {
  if (error instanceof PeerbufError) {
    return error;
  }
  throw error;
}

function remoteEnd(plan: TransferPlan, log: NegotiationLog): RemoteEnd | undefined {
  if (!plan.operation.startsWith("rdma-")) {
    return undefined;
  }
  const heap = joinPlace(splitPlace(plan.importer).machine, SYSTEM_HEAP);
  const { importer = plan.importer, exporter = heap } = plan.remote ?? {};
  const mapped = log.mapped(driverOf(plan), importer, remoteBufferName(plan.name));
  const drive = plan.remote?.drive;
  return {
    provider: exporter,
    client: importer,
    target: mapped?.target ?? null,
    route: mapped?.route ?? null,
    ...(drive !== undefined && { drive: wayOfDrive(drive, plan, log) }),
  };
}

function wayOfDrive(drive: string, { name }: TransferPlan, log: NegotiationLog): Way {
  const stored = log.mapped("nvme", drive, remoteBufferName(name));
  return { client: drive, target: stored?.target ?? null, route: stored?.route ?? null };
}

/** As core names the importer in its records, before the device. */
const driverOf = ({ operation }: TransferPlan): string => operation.split("-")[0] as string;
