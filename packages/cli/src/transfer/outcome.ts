/** Outcome: how one transfer went, for people and for JSON. */
import type { PeerbufError } from "@peerbuf/core";
import type { TransferPlan } from "../scenario/transfer-plan.ts";
import type { BusError } from "./bus-errors.ts";
import type { Carried, HostMemoryUse } from "./carried-bytes.ts";
import type { Loss } from "./loss-log.ts";
import type { LoggedDecision } from "./negotiation-log.ts";
import type { FailureIn, InjectedIn } from "./troubles.ts";

/** SHA-256 of bytes as they lie in memory, in hexadecimal. */
export interface Hashes {
  readonly source: string | null;
  readonly destination: string | null;
}

/** Where the bytes were for a device, and how they got there; null when there was no mapping. */
export interface Way {
  readonly client: string;
  readonly target: string | null;
  readonly route: string | null;
}

export interface RemoteEnd extends Way {
  readonly provider: string;
  /** The drive that stored what arrived. */
  readonly drive?: Way;
}

/** What the instruments saw of one transfer. */
export interface Evidence {
  readonly sha256: Hashes;
  readonly error: PeerbufError | undefined;
  /** Virtual time from the first request to the last completion; undefined when it did not get that far. */
  readonly elapsedNs: number | undefined;
  readonly passed: readonly Carried[];
  readonly hostMemory: readonly HostMemoryUse[];
  readonly lostBytes: number;
  readonly losses: readonly Loss[];
  /** What functions logged in their error registers. */
  readonly busErrors: readonly BusError[];
}

export interface Outcome extends Evidence {
  readonly plan: TransferPlan;
  /** BDFs or `system-heap`, behind `machine/` where machines have names. */
  readonly provider: string;
  readonly client: string;
  /** Of the client's last mapping; null when there was none. */
  readonly target: string | null;
  readonly route: string | null;
  /** The other end of an RDMA transfer. */
  readonly remote: RemoteEnd | undefined;
  /** Its time is of links that the scenario states, not of those captured. */
  readonly assumesLinks: boolean;
  /** Source and destination are what was put in. */
  readonly arrived: boolean;
  readonly decisions: readonly LoggedDecision[];
  /** Faults of the scenario that struck meanwhile. */
  readonly injected: readonly InjectedIn[];
  /** Device models and drivers' handlers that threw meanwhile. */
  readonly failures: readonly FailureIn[];
  /** What was not given back afterwards, in sentences. */
  readonly leftBehind: readonly string[];
}

/** Bytes of the buffer a nanosecond, each way for itself; undefined where nothing took time. */
export function gigabytesPerSecond({ plan, elapsedNs }: Outcome): number | undefined {
  const ways = plan.operation === "nvme-write-read" ? 2 : 1;
  return elapsedNs === undefined || elapsedNs === 0
    ? undefined
    : (ways * plan.buffer.size) / elapsedNs;
}

export function outcomeAsJson(outcome: Outcome): unknown {
  const { plan, error, decisions, provider, client, target, route, sha256, elapsedNs } = outcome;
  const { remote, arrived, passed, hostMemory, lostBytes, losses, busErrors } = outcome;
  const { injected, failures, leftBehind } = outcome;
  const rate = gigabytesPerSecond(outcome);
  return {
    name: plan.name,
    provider,
    client,
    target,
    route,
    ...(remote !== undefined && { remote }),
    bytes: plan.buffer.size,
    sha256,
    arrived,
    ...(elapsedNs !== undefined && { elapsedNs }),
    ...(rate !== undefined && { gigabytesPerSecond: rate }),
    assumesLinks: outcome.assumesLinks,
    ...(error !== undefined && { error: { code: error.code, message: error.message } }),
    decisions: decisions.map(decisionAsJson),
    passed,
    hostMemory,
    lostBytes,
    losses,
    busErrors,
    injected: injected.map(injectedAsJson),
    failures,
    leftBehind,
  };
}

function injectedAsJson(fault: InjectedIn): unknown {
  const { fault: kind, rule, timeNs, place, kind: hit, address, lengthBytes, text } = fault;
  return {
    fault: kind,
    rule,
    timeNs,
    device: place,
    kind: hit,
    ...(address !== undefined && { address }),
    ...(lengthBytes !== undefined && { lengthBytes }),
    text,
  };
}

function decisionAsJson({ machine, buffer, importer, decision }: LoggedDecision): unknown {
  const { party, by, stage, verdict, reason, left, round } = decision;
  return {
    ...(machine !== "" && { machine }),
    buffer,
    importer,
    party,
    by,
    stage,
    verdict,
    reason: reason.code,
    text: reason.text,
    numbers: reason.numbers ?? {},
    left,
    round,
  };
}
