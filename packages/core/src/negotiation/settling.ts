/**
 * Settling: a settlement while it is being found.
 *
 * Each round tries the first pair that nobody has struck: the exporter places the bytes, the DMA
 * layer makes addresses, the importer looks at them. A "no" strikes that pair for this mapping, so
 * it ends after as many rounds as there are pairs; nested ones share one bound.
 */
import { type Reason, reason } from "../decision.ts";
import type { Placement } from "../exporter.ts";
import type { TakeAnswer } from "../importer.ts";
import { DMA, type KeptPair } from "../mapping-type.ts";
import type { DmaRoute, Route } from "../platform.ts";
import type { PhysicalRanges } from "../ranges.ts";
import { SegmentList } from "../segments.ts";
import type { Fence } from "../sync/fence.ts";
import { mergeFences } from "../sync/fence-merge.ts";
import { ADDRESSED, PATH_ONE_WAY, routeFor, UNTRANSLATED, untranslated } from "./addressing.ts";
import type { Agreement } from "./agreement.ts";
import { Candidates } from "./candidates.ts";
import { asAsked, misplaced, PLACED, PLACED_ELSEWHERE } from "./misplacement.ts";
import { COPY_REQUIRED, cannotCopy, copyOut, OWN_TARGET } from "./own-target.ts";
import { giveBack, lookAt, TAKEN } from "./proposal.ts";
import type { Settlement, SettlementRequest } from "./settlement.ts";
import { NegotiationError, type Talk } from "./talk.ts";

/** Runs the map stages once. Takes nothing when it throws. */
export function settle(talk: Talk, agreement: Agreement, request: SettlementRequest): Settlement {
  talk.exported.rounds.begin();
  try {
    return new Settling(talk, agreement, request).run();
  } finally {
    talk.exported.rounds.end();
  }
}

/** Runs the pin stage alone and says what it chose. Takes nothing when it throws. */
export function settlePin(talk: Talk, agreement: Agreement, request: SettlementRequest): KeptPair {
  talk.exported.rounds.begin();
  try {
    return new Settling(talk, agreement, request).runPin();
  } finally {
    talk.exported.rounds.end();
  }
}

/** One settlement while it is being found. */
class Settling {
  readonly #talk: Talk;
  readonly #agreement: Agreement;
  readonly #request: SettlementRequest;
  readonly #candidates: Candidates;
  /** Where the exporter is asked: it pins for importers that cannot follow moves. */
  readonly #stage: "pin" | "map";
  /** What the DMA layer said last, for the error a caller sees if nothing is left. */
  #errno: string | undefined;
  /** Memory that the importer asked to be used instead, until the place it refused is given up. */
  #own: Extract<TakeAnswer, { answer: "substitute" }> | undefined;
  /** The buffer's motions when the exporter placed it last. */
  #placedAt = 0;

  constructor(talk: Talk, agreement: Agreement, request: SettlementRequest) {
    this.#talk = talk;
    this.#agreement = agreement;
    this.#request = request;
    this.#candidates = new Candidates(agreement.pairs, agreement.names, request.preferred);
    this.#stage = request.pins && talk.exported.storage.pin !== undefined ? "pin" : "map";
  }

  /** What is found must still be true when all have spoken: their callbacks may move or revoke the buffer. */
  run(): Settlement {
    for (;;) {
      const settlement = this.#find();
      if (!this.#isOutdated(settlement)) {
        return settlement;
      }
      this.#giveUp(settlement);
    }
  }

  #find(): Settlement {
    const { target, reason: why } = this.#agreement.offer;
    if (target !== undefined) {
      this.#talk.nextRound("map");
      return this.#bringOwn(target, why ?? OWN_TARGET) ?? this.#nothingLeft();
    }
    for (;;) {
      const pair = this.#candidates.first() ?? this.#nothingLeft();
      this.#talk.nextRound("map");
      const settlement = this.#try(pair);
      if (settlement !== undefined) {
        return settlement;
      }
    }
  }

  runPin(): KeptPair {
    for (;;) {
      const pair = this.#candidates.first() ?? this.#nothingLeft("PIN_DECLINED");
      this.#talk.nextRound("pin");
      if (this.#stage === "map" || this.#place(pair) !== undefined) {
        return pair;
      }
    }
  }

  #isOutdated({ placement }: Settlement): boolean {
    const { isRevoked, motions } = this.#talk.exported.fences;
    return isRevoked || (placement !== undefined && motions !== this.#placedAt);
  }

  /** For another round, unless the buffer is revoked. */
  #giveUp(settlement: Settlement): void {
    giveBack(this.#talk, settlement, this.#request.direction);
    if (settlement.pinned) {
      this.#unpin();
    }
    this.#say("framework", "decline", MOVED_MEANWHILE);
    this.#talk.exported.fences.requireSettled("mapped");
  }

  #try(pair: KeptPair): Settlement | undefined {
    const placement = this.#place(pair);
    if (placement === undefined) {
      return undefined;
    }
    const settlement = this.#mapped(pair, placement);
    if (settlement === undefined) {
      this.#unpin();
      return this.#bringOwnIfAsked();
    }
    return settlement;
  }

  #mapAt(pair: KeptPair, placement: Placement): Settlement | undefined {
    const route = this.#route(pair, placement);
    const segments = route && this.#address(pair, placement, route);
    if (route === undefined || segments === undefined) {
      return undefined;
    }
    const { type } = pair;
    const ready = this.#ready(placement.ready);
    const pinned = this.#stage === "pin";
    return this.#offer({
      pair,
      pinned,
      type,
      route,
      segments,
      placement,
      ownTarget: undefined,
      ready,
    });
  }

  /** Stage 5. */
  #place(pair: KeptPair): Placement | undefined {
    const { importer, exported } = this.#talk;
    const { direction, lifetime } = this.#request;
    const { path } = this.#agreement;
    const { storage } = exported;
    const request = { client: importer.device, pair, direction, path, lifetime };
    const answer = (this.#stage === "pin" && storage.pin?.(request)) || storage.place(request);
    this.#placedAt = exported.fences.motions;
    if ("answer" in answer) {
      return this.#strike(pair, "exporter", answer.reason, this.#stage);
    }
    const fault = misplaced(exported, pair, answer);
    if (fault !== undefined) {
      this.#unpin();
      return this.#strike(pair, "framework", fault, this.#stage);
    }
    const asked = asAsked(pair, answer);
    const why = answer.reason ?? (asked ? PLACED : PLACED_ELSEWHERE);
    this.#say("exporter", asked ? "accept" : "redirect", why, this.#stage);
    return answer;
  }

  #route(pair: KeptPair, placement: Placement): Route | undefined {
    if (placement.target !== "device") {
      return "system";
    }
    if (pair.type.addresses === "untranslated") {
      return "untranslated";
    }
    const route = routeFor(this.#agreement.path, this.#request.direction);
    return route ?? this.#strike(pair, "framework", PATH_ONE_WAY);
  }

  /** Stage 6. */
  #address(pair: KeptPair, placement: Placement, route: Route): SegmentList | undefined {
    if (route === "untranslated" || pair.type.addresses === "untranslated") {
      this.#say("framework", "accept", UNTRANSLATED);
      return untranslated(placement.ranges);
    }
    return this.#dma(placement.ranges, route, placement.provider, pair);
  }

  /** Stage 7. What is not taken is given back before anything else happens. */
  #offer(settlement: Settlement): Settlement | undefined {
    const answer = lookAt(this.#talk, settlement, this.#request.direction);
    if (answer.answer === "take" && this.#talk.copy !== "required") {
      this.#say("importer", "accept", TAKEN);
      return settlement;
    }
    giveBack(this.#talk, settlement, this.#request.direction);
    this.#candidates.strike(settlement.pair);
    switch (answer.answer) {
      case "ask-system":
        this.#candidates.strikeDeviceMemory();
        this.#say("importer", "redirect", answer.reason);
        return undefined;
      case "substitute":
        this.#own = answer;
        return undefined;
      case "decline":
        this.#say("importer", "decline", answer.reason);
        return this.#nothingLeft();
      default:
        this.#say("framework", "decline", COPY_REQUIRED);
        return undefined;
    }
  }

  /** After the pin of the refused place is undone: the importer's own memory needs none. */
  #bringOwnIfAsked(): Settlement | undefined {
    const own = this.#own;
    this.#own = undefined;
    return own === undefined ? undefined : this.#bringOwn(own.target, own.reason);
  }

  /** The importer's own memory, filled and drained by the exporter's engine. */
  #bringOwn(target: PhysicalRanges, why: Reason): Settlement | undefined {
    this.#say("importer", "substitute", why);
    this.#talk.exported.fences.requireSettled("copied");
    const refusal = cannotCopy(this.#talk, target);
    if (refusal !== undefined) {
      this.#say(refusal.party, "decline", refusal.why);
      return undefined;
    }
    const segments = this.#dma(target, "system", undefined);
    if (segments === undefined) {
      return undefined;
    }
    const pair = this.#agreement.pairs[0] as KeptPair;
    const ready = this.#copyOut(target, segments);
    const own = { pair, pinned: false, type: DMA, route: "system" as const, segments };
    return { ...own, placement: undefined, ownTarget: target, ready };
  }

  #copyOut(target: PhysicalRanges, segments: SegmentList): Fence | undefined {
    const { direction } = this.#request;
    const { exported, importer } = this.#talk;
    try {
      const { fence, why } = copyOut(exported, target, direction);
      this.#say("exporter", "accept", why);
      return fence;
    } catch (error) {
      exported.platform.dma.unmap(importer.device, segments, direction);
      throw error;
    }
  }

  /** Bytes on the move, whoever moved them, and bytes of this very placement. */
  #ready(placed: Fence | undefined): Fence | undefined {
    const { reservation } = this.#talk.exported.fences;
    if (reservation.testSignaled("kernel")) {
      return placed;
    }
    const moving = reservation.getFences("kernel");
    if (placed === undefined && moving.length === 1) {
      return moving[0]; // Reservations hold no containers: it stands for itself.
    }
    return mergeFences(reservation.domain, placed === undefined ? moving : [...moving, placed]);
  }

  #unpin(): void {
    if (this.#stage === "pin") {
      this.#talk.exported.storage.unpin?.();
    }
  }

  /** After the pin: when it throws, the pin is undone. */
  #mapped(pair: KeptPair, placement: Placement): Settlement | undefined {
    try {
      return this.#mapAt(pair, placement);
    } catch (error) {
      this.#unpin();
      throw error;
    }
  }

  #dma(
    ranges: PhysicalRanges,
    route: DmaRoute,
    provider: Placement["provider"],
    tried?: KeptPair,
  ): SegmentList | undefined {
    const { importer, exported } = this.#talk;
    const answer = exported.platform.dma.map({
      client: importer.device,
      ranges,
      provider,
      route,
      direction: this.#request.direction,
      limits: this.#agreement.limits,
    });
    if (answer instanceof SegmentList) {
      this.#say("dma", "accept", ADDRESSED[route]);
      return answer;
    }
    this.#errno = answer.errno;
    if (tried !== undefined) {
      this.#candidates.strike(tried); // First, so that the record shows what is left.
    }
    this.#say("dma", "decline", reason(answer.code, answer.text));
    return undefined;
  }

  #strike(
    pair: KeptPair,
    party: "exporter" | "framework",
    why: Reason,
    stage: "pin" | "map" = "map",
  ): undefined {
    this.#candidates.strike(pair);
    this.#say(party, "decline", why, stage);
  }

  #say(
    party: "importer" | "exporter" | "framework" | "dma",
    verdict: "accept" | "decline" | "redirect" | "substitute",
    why: Reason,
    stage: "pin" | "map" = "map",
  ): void {
    this.#talk.say(party, stage, verdict, why, this.#candidates.names());
  }

  #nothingLeft(code: "MAP_DECLINED" | "PIN_DECLINED" = "MAP_DECLINED"): never {
    const { exported, importerName, record } = this.#talk;
    const wanted = code === "MAP_DECLINED" ? "mapping" : "pin";
    const what = `no ${wanted} of "${exported.name}" for ${importerName}`;
    throw new NegotiationError(code, what, record.decisions, this.#errno);
  }
}

const MOVED_MEANWHILE = reason(
  "MOVED_MEANWHILE",
  "the buffer was moved or revoked while the mapping was made: what was found is given up",
);
