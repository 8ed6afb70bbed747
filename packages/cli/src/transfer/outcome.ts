/** Outcome: how one transfer went, for people and for JSON. */
import type { PeerbufError } from "@peerbuf/core";
import type { TransferPlan } from "../scenario/transfer-plan.ts";
import type { Carried } from "./carried-bytes.ts";
import type { Loss } from "./loss-log.ts";
import type { LoggedDecision } from "./negotiation-log.ts";

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

export interface Outcome {
  readonly plan: TransferPlan;
  /** BDFs, or `system-heap`. */
  readonly provider: string;
  readonly client: string;
  /** Of the client's last mapping; null when there was none. */
  readonly target: string | null;
  readonly route: string | null;
  /** The other end of an RDMA transfer. */
  readonly remote: RemoteEnd | undefined;
  readonly sha256: Hashes;
  /** Source and destination are what was put in. */
  readonly arrived: boolean;
  readonly error: PeerbufError | undefined;
  readonly decisions: readonly LoggedDecision[];
  readonly passed: readonly Carried[];
  readonly lostBytes: number;
  readonly losses: readonly Loss[];
}

export function outcomeAsJson(outcome: Outcome): unknown {
  const { plan, error, decisions, provider, client, target, route, sha256 } = outcome;
  const { remote, arrived, passed, lostBytes, losses } = outcome;
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
    ...(error !== undefined && { error: { code: error.code, message: error.message } }),
    decisions: decisions.map(decisionAsJson),
    passed,
    lostBytes,
    losses,
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
