/**
 * Settlement: one mapping found among the kept pairs (stages 5 to 7).
 *
 * Each round tries the first pair that nobody has struck: the exporter places the bytes, the DMA
 * layer makes addresses, the importer looks at them. A "no" strikes that pair for this mapping, so
 * a settlement ends after as many rounds as there are pairs; nested ones share one bound.
 */
import { type Agreement, usable } from "./agreement.ts";
import { Candidates } from "./candidates.ts";
import { type Reason, reason } from "./decision.ts";
import { type Direction, deviceReads, deviceWrites } from "./direction.ts";
import type { Placement } from "./exporter.ts";
import type { TakeAnswer } from "./importer.ts";
import { DMA, type KeptPair, type MappingType } from "./mapping-type.ts";
import { misplaced } from "./misplacement.ts";
import type { Route } from "./platform.ts";
import type { PhysicalRanges } from "./ranges.ts";
import { SegmentList } from "./segments.ts";
import type { Fence } from "./sync/fence.ts";
import { NegotiationError, type Talk } from "./talk.ts";
import type { PathType, PathVerdict } from "./verdict.ts";

/** What a mapping rests on. */
export interface Settlement {
  readonly type: MappingType;
  readonly route: Route;
  readonly segments: SegmentList;
  /** Left out when the importer brought the memory: the exporter then places nothing for this mapping. */
  readonly placement: Placement | undefined;
  /** Memory of the importer's that the exporter's engine copies to and from. */
  readonly ownTarget: PhysicalRanges | undefined;
  /** Signals when the bytes have arrived. */
  readonly ready: Fence | undefined;
}

/** Runs the map stages once. Takes nothing when it throws. */
export function settle(talk: Talk, agreement: Agreement, direction: Direction): Settlement {
  talk.exported.rounds.begin();
  try {
    return new Settling(talk, agreement, direction).run();
  } finally {
    talk.exported.rounds.end();
  }
}

/** Gives addresses back to the DMA layer, if it made them. */
export function giveBack(talk: Talk, { type, segments }: Settlement, direction: Direction): void {
  if (type.addresses === "dma") {
    talk.exported.platform.dma.unmap(talk.importer.device, segments, direction);
  }
}

/** One settlement while it is being found. */
class Settling {
  readonly #talk: Talk;
  readonly #agreement: Agreement;
  readonly #direction: Direction;
  readonly #candidates: Candidates;
  /** What the DMA layer said last, for the error a caller sees if nothing is left. */
  #errno: string | undefined;

  constructor(talk: Talk, agreement: Agreement, direction: Direction) {
    this.#talk = talk;
    this.#agreement = agreement;
    this.#direction = direction;
    this.#candidates = new Candidates(agreement.pairs, agreement.names);
  }

  run(): Settlement {
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

  #try(pair: KeptPair): Settlement | undefined {
    const placement = this.#place(pair);
    const route = placement && this.#route(pair, placement);
    if (placement === undefined || route === undefined) {
      return undefined;
    }
    const segments = this.#address(pair, placement, route);
    if (segments === undefined) {
      return undefined;
    }
    const { ready } = placement;
    return this.#offer(pair, {
      type: pair.type,
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
    const answer = exported.storage.place({
      client: importer.device,
      pair,
      direction: this.#direction,
      path: this.#agreement.path,
      movable: importer.invalidateMappings !== undefined,
    });
    if ("answer" in answer) {
      return this.#strike(pair, "exporter", answer.reason);
    }
    const fault = misplaced(exported, pair, answer);
    if (fault !== undefined) {
      return this.#strike(pair, "framework", fault);
    }
    const asked = asAsked(pair, answer);
    const why = answer.reason ?? (asked ? PLACED : PLACED_ELSEWHERE);
    this.#say("exporter", asked ? "accept" : "redirect", why);
    return answer;
  }

  #route(pair: KeptPair, placement: Placement): Route | undefined {
    if (placement.target !== "device") {
      return "system";
    }
    const way = pathFor(this.#agreement.path, this.#direction);
    return usableRoute(way) ?? this.#strike(pair, "framework", PATH_ONE_WAY);
  }

  /** Stage 6. */
  #address(pair: KeptPair, placement: Placement, route: Route): SegmentList | undefined {
    if (pair.type.addresses === "untranslated") {
      this.#say("framework", "accept", UNTRANSLATED);
      return untranslated(placement.ranges);
    }
    const segments = this.#dma(placement.ranges, route, placement.provider);
    if (segments === undefined) {
      this.#candidates.strike(pair);
    }
    return segments;
  }

  /** Stage 7. What is not taken is given back before anything else happens. */
  #offer(pair: KeptPair, settlement: Settlement): Settlement | undefined {
    const answer = this.#look(settlement);
    if (answer.answer === "take") {
      this.#say("importer", "accept", TAKEN);
      return settlement;
    }
    giveBack(this.#talk, settlement, this.#direction);
    this.#candidates.strike(pair);
    switch (answer.answer) {
      case "ask-system":
        this.#candidates.strikeDeviceMemory();
        this.#say("importer", "redirect", answer.reason);
        return undefined;
      case "substitute":
        return this.#bringOwn(answer.target, answer.reason);
      default:
        this.#say("importer", "decline", answer.reason);
        return this.#nothingLeft();
    }
  }

  #look(settlement: Settlement): TakeAnswer {
    const { importer } = this.#talk;
    if (importer.take === undefined) {
      return TAKE_AS_IS;
    }
    const { type, route, segments, placement } = settlement;
    const target = placement?.target ?? "system";
    try {
      return importer.take({ type, target, route, segments, direction: this.#direction });
    } catch (error) {
      giveBack(this.#talk, settlement, this.#direction);
      throw error;
    }
  }

  /** The importer's own memory, filled and drained by the exporter's engine. */
  #bringOwn(target: PhysicalRanges, why: Reason): Settlement | undefined {
    this.#say("importer", "substitute", why);
    const { storage, sizeBytes, exporter } = this.#talk.exported;
    if (storage.copy === undefined) {
      const text = `${exporter} has no engine to copy to the importer's memory`;
      this.#say("exporter", "decline", reason("NO_COPY_ENGINE", text));
      return undefined;
    }
    if (target.sizeBytes !== sizeBytes) {
      const text = `the importer brought ${target.sizeBytes} bytes for a buffer of ${sizeBytes}`;
      this.#say("framework", "decline", reason("OWN_TARGET_SIZE", text));
      return undefined;
    }
    const segments = this.#dma(target, "system", undefined);
    if (segments === undefined) {
      return undefined;
    }
    const ready = deviceReads(this.#direction) ? storage.copy(target, "out") : undefined;
    this.#say("exporter", "accept", ready === undefined ? COPIES_BACK : COPIES_OUT);
    return { type: DMA, route: "system", segments, placement: undefined, ownTarget: target, ready };
  }

  #dma(
    ranges: PhysicalRanges,
    route: Route,
    provider: Placement["provider"],
  ): SegmentList | undefined {
    const { importer, exported } = this.#talk;
    const answer = exported.platform.dma.map({
      client: importer.device,
      ranges,
      provider,
      route,
      direction: this.#direction,
      limits: this.#agreement.limits,
    });
    if (answer instanceof SegmentList) {
      this.#say("dma", "accept", ADDRESSED[route]);
      return answer;
    }
    this.#errno = answer.errno;
    this.#say("dma", "decline", reason(answer.code, answer.text));
    return undefined;
  }

  #strike(pair: KeptPair, party: "exporter" | "framework", why: Reason): undefined {
    this.#candidates.strike(pair);
    this.#say(party, "decline", why);
  }

  #say(
    party: "importer" | "exporter" | "framework" | "dma",
    verdict: "accept" | "decline" | "redirect" | "substitute",
    why: Reason,
  ): void {
    this.#talk.say(party, "map", verdict, why, this.#candidates.names());
  }

  #nothingLeft(): never {
    const { exported, importerName, record } = this.#talk;
    const what = `no mapping of "${exported.name}" for ${importerName}`;
    throw new NegotiationError("MAP_DECLINED", what, record.decisions, this.#errno);
  }
}

const asAsked = (pair: KeptPair, placement: Placement): boolean =>
  pair.type.memory === "any" || (pair.type.memory === "device") === (placement.target === "device");

/** The way for this direction: the worse of reads and writes where both happen. */
function pathFor(path: PathVerdict, direction: Direction): PathType {
  if (!deviceWrites(direction)) {
    return path.reads;
  }
  if (!deviceReads(direction) || path.reads === path.writes) {
    return path.writes;
  }
  const bad = [path.reads, path.writes].find((type) => !usable(type));
  return bad ?? "host-bridge";
}

const usableRoute = (way: PathType): Route | undefined =>
  way === "bus-addr" || way === "host-bridge" ? way : undefined;

function untranslated(ranges: PhysicalRanges): SegmentList {
  const table = new Float64Array(3 * ranges.count);
  for (let index = 0; index < ranges.count; index++) {
    table[3 * index] = ranges.start(index);
    table[3 * index + 1] = ranges.lengthBytes(index);
  }
  return new SegmentList(table, ranges.sizeBytes);
}

const TAKE_AS_IS: TakeAnswer = Object.freeze({ answer: "take" });
const PLACED = reason("PLACED", "the bytes are where they were asked for");
const PLACED_ELSEWHERE = reason(
  "PLACED_ELSEWHERE",
  "the exporter chose other memory and gave no reason",
);
const TAKEN = reason("TAKEN", "takes the mapping as proposed");
const OWN_TARGET = reason("OWN_TARGET", "the importer brings its own system memory");
const UNTRANSLATED = reason(
  "UNTRANSLATED",
  "the importer runs its own translation: no DMA addresses are made",
);
const COPIES_OUT = reason("COPIES_OUT", "its engine copies the bytes to the importer's memory");
const COPIES_BACK = reason("COPIES_BACK", "its engine copies the bytes back when the mapping ends");
const PATH_ONE_WAY = reason("PATH_ONE_WAY", "the path does not carry this direction of traffic");
const ADDRESSED: Record<Route, Reason> = {
  "bus-addr": reason(
    "BUS_ADDRESS",
    "bus addresses: the traffic turns round below the root complex",
  ),
  "host-bridge": reason(
    "THROUGH_HOST_BRIDGE",
    "addresses of device memory, reached through the host bridge",
  ),
  system: reason("SYSTEM_MEMORY", "addresses of system memory"),
};
