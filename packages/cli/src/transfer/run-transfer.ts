/**
 * Run transfer: negotiates and moves the bytes of one plan, and collects the evidence.
 *
 * Whatever goes wrong ends this transfer, not the run: a refusal, a driver that throws, a device that never
 * answers. Evidence is taken while the buffer still lives. What was not given back afterwards is named, and
 * the machine's software made anew, so that the next transfer finds what the first one found.
 */
import { type DmaBuf, PeerbufError, type PeerbufErrorCode } from "@peerbuf/core";
import { joinPlace, splitPlace } from "../scenario/place-name.ts";
import { SYSTEM_HEAP, type TransferPlan } from "../scenario/transfer-plan.ts";
import { allocateFor } from "./allocate.ts";
import { BusErrors } from "./bus-errors.ts";
import { hashOf } from "./byte-place.ts";
import { CarriedBytes } from "./carried-bytes.ts";
import { LossLog } from "./loss-log.ts";
import { NegotiationLog } from "./negotiation-log.ts";
import { type Operation, startOperation, type Workpiece } from "./operation.ts";
import type { Evidence, Hashes, Outcome, RemoteEnd, Way } from "./outcome.ts";
import { patternBytes } from "./pattern.ts";
import { remoteBufferName } from "./rdma-operations.ts";
import type { Rig } from "./rig.ts";
import { settles } from "./time-limit.ts";
import { Troubles } from "./troubles.ts";

/** Drivers give up by themselves sooner: NVMe commands have 30 s. */
const LIMIT_NS_DEFAULT = 120e9;

/** `seed`: of the bytes to send, unless the plan has its own. */
export async function runTransfer(rig: Rig, plan: TransferPlan, seed: number): Promise<Outcome> {
  const pattern = patternBytes(plan.data?.seed ?? seed, plan.buffer.size);
  rig.forget();
  await rig.ready();
  using log = new NegotiationLog(rig.sites);
  using troubles = new Troubles(rig);
  const evidence = await withFaults(rig, plan, pattern);
  const leftBehind = await rig.tidy(isBroken(evidence, troubles));
  const expected = hashOf(pattern);
  const { sha256, error } = evidence;
  const mapped = log.mapped(driverOf(plan), plan.importer, plan.name);
  return {
    plan,
    provider: plan.exporter,
    client: plan.importer,
    target: mapped?.target ?? null,
    route: mapped?.route ?? null,
    remote: remoteEnd(plan, log),
    assumesLinks: placesOf(plan).some((place) => rig.siteOf(place).assumesLinks),
    arrived: error === undefined && sha256.source === expected && sha256.destination === expected,
    decisions: log.decisions,
    injected: troubles.injected,
    failures: troubles.failures,
    leftBehind,
    ...evidence,
  };
}

const placesOf = ({ importer, remote }: TransferPlan): string[] =>
  remote === undefined ? [importer] : [importer, remote.importer];

/** The faults of this transfer are gone before anything is tidied up. */
async function withFaults(rig: Rig, plan: TransferPlan, pattern: Uint8Array): Promise<Evidence> {
  using _ = rig.faultsDuring(plan.name);
  return await moveBytes(rig, plan, pattern);
}

/** A driver or a device may be in a state in which it serves nobody any more. */
function isBroken({ error }: Evidence, { failures, injected }: Troubles): boolean {
  const hasGivenUp = error !== undefined && BROKEN_CODES.includes(error.code);
  return hasGivenUp || failures.length > 0 || (error !== undefined && injected.length > 0);
}

/** It was ended from outside. */
const LIMIT_CODES: readonly PeerbufErrorCode[] = ["WAIT_TIMED_OUT", "CLOCK_RUNAWAY"];
/** Their messages do not say which transfer they ended. */
const NAMELESS_CODES: readonly PeerbufErrorCode[] = [...LIMIT_CODES, "DRIVER_BROKEN"];
const BROKEN_CODES: readonly PeerbufErrorCode[] = [...LIMIT_CODES, "DEVICE_GONE", "DRIVER_BROKEN"];

const NOTHING: Hashes = { source: null, destination: null };

const NO_EVIDENCE = {
  sha256: NOTHING,
  elapsedNs: undefined,
  passed: [],
  hostMemory: [],
  lostBytes: 0,
  losses: [],
  busErrors: [],
};

async function moveBytes(rig: Rig, plan: TransferPlan, pattern: Uint8Array): Promise<Evidence> {
  let buffer: DmaBuf;
  try {
    buffer = allocateFor(rig, plan, plan.name);
  } catch (error) {
    return { ...NO_EVIDENCE, error: failureOf(plan, error) };
  }
  const evidence = await operateAndClose({ rig, plan, buffer, pattern });
  const refusal = refusalTo(plan, () => buffer.close());
  return { ...evidence, error: evidence.error ?? refusal };
}

async function operateAndClose(piece: Workpiece): Promise<Evidence> {
  const { plan } = piece;
  let operation: Operation | undefined;
  let evidence: Evidence;
  try {
    operation = startOperation(piece);
    evidence = await operate(piece, operation);
  } catch (error) {
    evidence = { ...NO_EVIDENCE, error: failureOf(plan, error) };
  }
  const refusal = refusalTo(plan, () => operation?.[Symbol.dispose]());
  return { ...evidence, error: evidence.error ?? refusal };
}

async function operate({ rig, plan }: Workpiece, operation: Operation): Promise<Evidence> {
  await bounded(rig, plan, operation.prepare());
  const counters = new CarriedBytes(rig.sites);
  const busErrors = new BusErrors(rig.sites);
  using log = new LossLog(rig.sites);
  let elapsedNs: number | undefined;
  let error: PeerbufError | undefined;
  try {
    elapsedNs = await bounded(rig, plan, operation.run());
  } catch (thrown) {
    error = failureOf(plan, thrown);
  }
  const { passed, hostMemory, lostBytes } = counters;
  const sha256 = hashesOf(operation);
  const carried = { passed, hostMemory, lostBytes, losses: log.losses };
  return { error, sha256, elapsedNs, ...carried, busErrors: busErrors.logged };
}

/** What cannot be closed is still held by somebody, who is named when the machine is tidied up. */
function refusalTo(plan: TransferPlan, close: () => void): PeerbufError | undefined {
  try {
    close();
    return undefined;
  } catch (error) {
    return failureOf(plan, error);
  }
}

/** What does not end is ended: its drivers are closed, and it gets the chance to give back what it holds. */
async function bounded<T>(rig: Rig, plan: TransferPlan, work: Promise<T>): Promise<T> {
  try {
    return await rig.within(plan.limitNs ?? LIMIT_NS_DEFAULT, work);
  } catch (error) {
    const isLimit = error instanceof PeerbufError && LIMIT_CODES.includes(error.code);
    if (isLimit) {
      rig.endWork(plan);
      await settles(work);
    }
    throw error;
  }
}

/** Memory may be gone with its device: then there is nothing to compare. */
function hashesOf(operation: Operation): Hashes {
  try {
    return operation.hashes();
  } catch {
    return NOTHING;
  }
}

/** What a driver or the framework refuses is a result; anything else is a driver's fault, and says whose it may be. */
function failureOf({ name, importer, exporter }: TransferPlan, error: unknown): PeerbufError {
  if (error instanceof PeerbufError && !NAMELESS_CODES.includes(error.code)) {
    return error;
  }
  const what = error instanceof Error ? error.message : String(error);
  const code = error instanceof PeerbufError ? error.code : "DRIVER_BROKEN";
  const text = `"${name}" from ${exporter} by ${importer}: ${what}`;
  return new PeerbufError(code, text, { cause: error });
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
