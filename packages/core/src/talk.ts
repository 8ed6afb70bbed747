/**
 * Talk: one negotiation while it runs: who talks to whom, and where the answers are written.
 *
 * Counts rounds over everything that one request sets off, so that two drivers which answer each
 * other's answers come to an end.
 */
import type { Decision, Party, Reason, Stage, Verdict } from "./decision.ts";
import type { Device } from "./device.ts";
import { PeerbufError } from "./error.ts";
import type { EventSource } from "./events.ts";
import type { Storage } from "./exporter.ts";
import type { Importer } from "./importer.ts";
import type { Platform } from "./platform.ts";
import { DecisionRecord } from "./record.ts";
import type { Judge } from "./verdict.ts";

/** Most rounds of placing and taking that one map or pin may set off, nested ones included. */
export const NEGOTIATION_ROUNDS_MAX = 16;

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
}

export class Talk {
  readonly exported: Exported;
  readonly importer: Importer;
  /** `nvme@0000:16:00.0`. */
  readonly importerName: string;
  readonly record: DecisionRecord = new DecisionRecord();
  #depth = 0;
  #round = 0;

  constructor(exported: Exported, importer: Importer) {
    this.exported = exported;
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
    const round = this.#round;
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

  /** Opens a pin or map. Nested ones (a driver that maps again while it is asked) share the count. */
  begin(): void {
    if (this.#depth++ === 0) {
      this.#round = 0;
    }
  }

  end(): void {
    this.#depth--;
  }

  /** One more round, or `NEGOTIATION_ENDLESS` with the rounds so far. */
  nextRound(stage: Stage): void {
    this.#round++;
    if (this.#round <= NEGOTIATION_ROUNDS_MAX) {
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
