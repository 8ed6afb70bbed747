/**
 * Talk: who negotiates with whom, and where the answers are written.
 *
 * One for each attachment, for as long as it lives.
 */
import type { CopyPolicy } from "../copy-policy.ts";
import type { Decision, Party, Reason, Stage, Verdict } from "../decision.ts";
import type { Device } from "../device.ts";
import { PeerbufError } from "../error.ts";
import type { EventSource } from "../events.ts";
import type { Storage } from "../exporter.ts";
import type { Importer } from "../importer.ts";
import type { Platform } from "../platform.ts";
import type { Fence } from "../sync/fence.ts";
import type { Reservation } from "../sync/reservation.ts";
import type { ReservationUsage } from "../sync/reservation-usage.ts";
import type { Judge } from "../verdict.ts";
import { DecisionRecord } from "./record.ts";
import { NEGOTIATION_ROUNDS_MAX, type Rounds } from "./rounds.ts";

/** The exporter's side of a buffer, as the stages need it. */
export interface Exported {
  readonly name: string;
  readonly sizeBytes: number;
  /** `gpu@0000:13:00.0`, or the driver's name alone for a heap. */
  readonly exporter: string;
  readonly device: Device | undefined;
  readonly storage: Storage;
  readonly platform: Platform;
  readonly judge: Judge;
  readonly events: EventSource;
  /** Shared by all that happens on this buffer. */
  readonly rounds: Rounds;
  /** Where work on the bytes is kept. */
  readonly fences: BufferFences;
}

/** The fences of a buffer, as the stages need them. */
export interface BufferFences {
  readonly reservation: Reservation;
  readonly isRevoked: boolean;
  /** How often the buffer was moved or revoked: a place found before the last time is none any more. */
  readonly motions: number;
  /** `DEVICE_GONE` while revoked, `WRONG_ORDER` in the middle of a move. */
  requireSettled(what: string): void;
  /** Starts work on the bytes and keeps its fence. `BUFFER_BUSY`, and nothing started, while the reservation is held. */
  startWork(work: () => Fence, usage: ReservationUsage): Fence;
}

export class Talk {
  readonly exported: Exported;
  readonly importer: Importer;
  /** `nvme@0000:16:00.0`. */
  readonly importerName: string;
  /** The user's word on copies through memory of the importer's. */
  readonly copy: CopyPolicy;
  readonly record: DecisionRecord = new DecisionRecord();

  constructor(exported: Exported, importer: Importer, copy: CopyPolicy) {
    this.exported = exported;
    this.copy = copy;
    this.importer = importer;
    this.importerName = `${importer.name}@${importer.device.id}`;
  }

  /** Name in the record for each party. */
  nameOf(party: Party): string {
    switch (party) {
      case "importer":
        return this.importerName;
      case "exporter":
        return this.exported.exporter;
      case "topology":
        return this.exported.judge.name;
      case "dma":
        return this.exported.platform.dma.name;
      default:
        return "framework";
    }
  }

  say(party: Party, stage: Stage, verdict: Verdict, reason: Reason, left: readonly string[]): void {
    const round = this.exported.rounds.current;
    const decision: Decision = {
      party,
      by: this.nameOf(party),
      stage,
      verdict,
      reason,
      left,
      round,
    };
    this.record.add(decision);
    const { events, name } = this.exported;
    if (events.watched) {
      events.send({ kind: "decision", buffer: name, importer: this.importerName, decision });
    }
  }

  /** One more round, or `NEGOTIATION_ENDLESS` with the rounds so far. */
  nextRound(stage: Stage): void {
    if (this.exported.rounds.next()) {
      return;
    }
    throw new NegotiationError(
      "NEGOTIATION_ENDLESS",
      `${this.exported.exporter} and ${this.importerName} did not agree on "${this.exported.name}" within ${NEGOTIATION_ROUNDS_MAX} rounds at ${stage}`,
      this.record.decisions.filter((decision) => decision.round > 0),
    );
  }
}

/** A negotiation that ended without a mapping. Carries the decisions that led there. */
export class NegotiationError extends PeerbufError {
  readonly decisions: readonly Decision[];

  constructor(
    code: "NEGOTIATION_ENDLESS" | "NO_COMMON_TYPE" | "MAP_DECLINED" | "PIN_DECLINED",
    what: string,
    decisions: readonly Decision[],
    errno?: string,
  ) {
    super(code, `${what}: ${reasonsOf(decisions)}`, errno === undefined ? {} : { errno });
    this.decisions = decisions;
  }
}

/** Each refusal once, in order, with who gave it. */
function reasonsOf(decisions: readonly Decision[]): string {
  const refusals = decisions.filter(({ verdict }) => verdict !== "offer" && verdict !== "accept");
  const lines = refusals.map(({ by, stage, verdict, reason }) => {
    return `${by} ${verdict} at ${stage}: ${reason.text} [${reason.code}]`;
  });
  return [...new Set(lines)].join("; ") || "no party gave a reason";
}
