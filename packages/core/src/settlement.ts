/**
 * Settlement: one mapping found among the kept pairs (stages 5 to 7).
 *
 * Each round tries the first pair that nobody has struck: the exporter places the bytes, the DMA
 * layer makes addresses, the importer looks at them. A "no" strikes that pair for this mapping, so
 * a settlement ends after as many rounds as there are pairs; nested ones share one bound.
 */
import type { Agreement } from "./agreement.ts";
import { pairNames, usable } from "./agreement.ts";
import { type Reason, reason } from "./decision.ts";
import { type Direction, deviceReads, deviceWrites } from "./direction.ts";
import type { Placement } from "./exporter.ts";
import type { TakeAnswer } from "./importer.ts";
import type { KeptPair, MappingType } from "./mapping-type.ts";
import type { DmaRefusal, Route } from "./platform.ts";
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
  talk.begin();
  try {
    const { target, reason: why } = agreement.offer;
    if (target !== undefined) {
      talk.nextRound("map");
      const struck = new Struck(agreement.pairs, agreement.names);
      const own = bringOwn(talk, agreement, direction, target, why ?? OWN_TARGET, struck);
      if (own === undefined) {
        throw declined(talk, struck);
      }
      return own;
    }
    return tryPairs(talk, agreement, direction);
  } finally {
    talk.end();
  }
}

function tryPairs(talk: Talk, agreement: Agreement, direction: Direction): Settlement {
  const struck = new Struck(agreement.pairs, agreement.names);
  for (let pair = struck.first(); pair !== undefined; pair = struck.first()) {
    talk.nextRound("map");
    const settlement = tryPair(talk, agreement, direction, pair, struck);
    if (settlement !== undefined) {
      return settlement;
    }
  }
  throw declined(talk, struck);
}

/** The pairs that somebody has said no to, for one mapping. */
class Struck {
  readonly #pairs: readonly KeptPair[];
  readonly #all: readonly string[];
  #mask = 0;
  /** What the DMA layer said last, for the error a caller sees if nothing is left. */
  errno: string | undefined;

  constructor(pairs: readonly KeptPair[], names: readonly string[]) {
    this.#pairs = pairs;
    this.#all = names;
  }

  first(): KeptPair | undefined {
    return this.#pairs.find((_, index) => (this.#mask & (1 << index)) === 0);
  }

  add(pair: KeptPair): void {
    this.#mask |= 1 << this.#pairs.indexOf(pair);
  }

  addAllInDevices(): void {
    for (const pair of this.#pairs) {
      if (pair.type.memory === "device") {
        this.add(pair);
      }
    }
  }

  /** What is still possible, by name. */
  names(): readonly string[] {
    if (this.#mask === 0) {
      return this.#all;
    }
    return pairNames(this.#pairs.filter((_, index) => (this.#mask & (1 << index)) === 0));
  }
}

function tryPair(
  talk: Talk,
  agreement: Agreement,
  direction: Direction,
  pair: KeptPair,
  struck: Struck,
): Settlement | undefined {
  const placement = place(talk, agreement, direction, pair, struck);
  if (placement === undefined) {
    return undefined;
  }
  const way = placement.target === "device" ? pathFor(agreement.path, direction) : "system";
  if (way === "unsupported" || way === "unknown") {
    struck.add(pair);
    talk.say("framework", "map", "decline", PATH_ONE_WAY, struck.names());
    return undefined;
  }
  const segments = address(talk, agreement, direction, pair, placement, way, struck);
  if (segments === undefined) {
    return undefined;
  }
  const settlement: Settlement = {
    type: pair.type,
    route: way,
    segments,
    placement,
    ownTarget: undefined,
    ready: placement.ready,
  };
  return offerTo(talk, agreement, direction, pair, settlement, struck);
}

/** Stage 5. */
function place(
  talk: Talk,
  agreement: Agreement,
  direction: Direction,
  pair: KeptPair,
  struck: Struck,
): Placement | undefined {
  const { importer, exported } = talk;
  const placement = exported.storage.place({
    client: importer.device,
    pair,
    direction,
    path: agreement.path,
    movable: importer.invalidateMappings !== undefined,
  });
  const objection = "answer" in placement ? placement.reason : misplaced(talk, pair, placement);
  if (objection !== undefined) {
    struck.add(pair);
    talk.say(
      "answer" in placement ? "exporter" : "framework",
      "map",
      "decline",
      objection,
      struck.names(),
    );
    return undefined;
  }
  const found = placement as Placement;
  const asked =
    pair.type.memory === "any" || (pair.type.memory === "device") === (found.target === "device");
  const why = found.reason ?? (asked ? PLACED : PLACED_ELSEWHERE);
  talk.say("exporter", "map", asked ? "accept" : "redirect", why, struck.names());
  return found;
}

/** A driver's mistake or a requirement not met: stopped here, before an address exists. */
function misplaced(talk: Talk, pair: KeptPair, placement: Placement): Reason | undefined {
  const { sizeBytes, exporter } = talk.exported;
  if (placement.ranges.sizeBytes !== sizeBytes) {
    return reason(
      "PLACED_SIZE_WRONG",
      `${exporter} placed ${placement.ranges.sizeBytes} of ${sizeBytes} bytes`,
    );
  }
  if (placement.target === "device" && placement.provider === undefined) {
    return reason(
      "PLACED_NOWHERE",
      `${exporter} placed the buffer in a device and did not say which`,
    );
  }
  if (placement.target === "device" && pair.type.memory === "system") {
    return reason(
      "PLACED_IN_DEVICE",
      `${exporter} was asked for system memory and placed the buffer in a device`,
    );
  }
  if (placement.target !== "device" && pair.require && pair.type.memory === "device") {
    return reason(
      "DEVICE_MEMORY_REQUIRED",
      `${placement.target} memory was offered where only device memory will do`,
    );
  }
  return undefined;
}

/** Stage 6. */
function address(
  talk: Talk,
  agreement: Agreement,
  direction: Direction,
  pair: KeptPair,
  placement: Placement,
  route: Route,
  struck: Struck,
): SegmentList | undefined {
  if (pair.type.addresses === "untranslated") {
    talk.say("framework", "map", "accept", UNTRANSLATED, struck.names());
    return untranslated(placement.ranges);
  }
  const answer = mapFor(talk, agreement, direction, placement.ranges, route, placement.provider);
  if (answer instanceof SegmentList) {
    talk.say("dma", "map", "accept", ADDRESSED[route], struck.names());
    return answer;
  }
  struck.add(pair);
  struck.errno = answer.errno;
  talk.say("dma", "map", "decline", reason(answer.code, answer.text), struck.names());
  return undefined;
}

/** Stage 7. Whatever is not taken is given back before anything else happens. */
function offerTo(
  talk: Talk,
  agreement: Agreement,
  direction: Direction,
  pair: KeptPair,
  settlement: Settlement,
  struck: Struck,
): Settlement | undefined {
  const answer = look(talk, direction, pair, settlement);
  if (answer.answer === "take") {
    talk.say("importer", "map", "accept", TAKEN, struck.names());
    return settlement;
  }
  giveBack(talk, pair.type, settlement.segments, direction);
  return afterRefusal(talk, agreement, direction, pair, answer, struck);
}

function look(
  talk: Talk,
  direction: Direction,
  pair: KeptPair,
  settlement: Settlement,
): TakeAnswer | Take {
  const { importer } = talk;
  if (importer.take === undefined) {
    return TAKE_AS_IS;
  }
  const { route, segments, placement } = settlement;
  const target = placement?.target ?? "system";
  try {
    return importer.take({ type: pair.type, target, route, segments, direction });
  } catch (error) {
    giveBack(talk, pair.type, segments, direction);
    throw error;
  }
}

function afterRefusal(
  talk: Talk,
  agreement: Agreement,
  direction: Direction,
  pair: KeptPair,
  answer: Exclude<TakeAnswer, Take>,
  struck: Struck,
): Settlement | undefined {
  struck.add(pair);
  switch (answer.answer) {
    case "ask-system":
      struck.addAllInDevices();
      talk.say("importer", "map", "redirect", answer.reason, struck.names());
      return undefined;
    case "substitute":
      return bringOwn(talk, agreement, direction, answer.target, answer.reason, struck);
    default:
      talk.say("importer", "map", "decline", answer.reason, []);
      throw declined(talk, struck);
  }
}

/** The importer's own memory, filled and drained by the exporter's engine. */
function bringOwn(
  talk: Talk,
  agreement: Agreement,
  direction: Direction,
  target: PhysicalRanges,
  why: Reason,
  struck: Struck,
): Settlement | undefined {
  const { storage, sizeBytes, exporter } = talk.exported;
  talk.say("importer", "map", "substitute", why, struck.names());
  if (storage.copy === undefined || target.sizeBytes !== sizeBytes) {
    const cannot =
      storage.copy === undefined
        ? reason("NO_COPY_ENGINE", `${exporter} has no engine to copy to the importer's memory`)
        : reason(
            "OWN_TARGET_SIZE",
            `the importer brought ${target.sizeBytes} bytes for a buffer of ${sizeBytes}`,
          );
    talk.say("framework", "map", "decline", cannot, struck.names());
    return undefined;
  }
  const answer = mapFor(talk, agreement, direction, target, "system", undefined);
  if (!(answer instanceof SegmentList)) {
    struck.errno = answer.errno;
    talk.say("dma", "map", "decline", reason(answer.code, answer.text), struck.names());
    return undefined;
  }
  talk.say("dma", "map", "accept", ADDRESSED.system, struck.names());
  const ready = deviceReads(direction) ? storage.copy(target, "out") : undefined;
  talk.say(
    "exporter",
    "map",
    "accept",
    ready === undefined ? COPIES_BACK : COPIES_OUT,
    struck.names(),
  );
  const type =
    agreement.pairs.find((pair) => pair.type.memory === "system")?.type ?? firstType(agreement);
  return {
    type,
    route: "system",
    segments: answer,
    placement: undefined,
    ownTarget: target,
    ready,
  };
}

function mapFor(
  talk: Talk,
  agreement: Agreement,
  direction: Direction,
  ranges: PhysicalRanges,
  route: Route,
  provider: Placement["provider"],
): SegmentList | DmaRefusal {
  const client = talk.importer.device;
  const { limits } = agreement;
  const { dma } = talk.exported.platform;
  return provider === undefined
    ? dma.map({ client, ranges, route, direction, limits })
    : dma.map({ client, ranges, provider, route, direction, limits });
}

/** Gives addresses back to the DMA layer, if it made them. */
export function giveBack(
  talk: Talk,
  type: MappingType,
  segments: SegmentList,
  direction: Direction,
): void {
  if (type.addresses === "dma") {
    talk.exported.platform.dma.unmap(talk.importer.device, segments, direction);
  }
}

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

function untranslated(ranges: PhysicalRanges): SegmentList {
  const table = new Float64Array(3 * ranges.count);
  for (let index = 0; index < ranges.count; index++) {
    table[3 * index] = ranges.start(index);
    table[3 * index + 1] = ranges.lengthBytes(index);
  }
  return new SegmentList(table, ranges.sizeBytes);
}

function firstType(agreement: Agreement): MappingType {
  const [first] = agreement.pairs as [KeptPair];
  return first.type;
}

function declined(talk: Talk, struck: Struck): NegotiationError {
  const what = `no mapping of "${talk.exported.name}" for ${talk.importerName}`;
  return new NegotiationError("MAP_DECLINED", what, talk.record.decisions, struck.errno);
}

type Take = Extract<TakeAnswer, { answer: "take" }>;

const TAKE_AS_IS: Take = Object.freeze({ answer: "take" });
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
