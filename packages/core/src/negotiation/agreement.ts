/**
 * Agreement: what both sides could live with, found once at attach (stages 1 to 4).
 *
 * Importer, topology and exporter are asked in this order; every pair acceptable to all is kept, in
 * the exporter's order. The set is final: later stages choose among it and never add to it.
 */
import type { Lifetime } from "../buffer-control.ts";
import { type Reason, reason } from "../decision.ts";
import { type DmaLimits, limitsProblem } from "../dma-limits.ts";
import { PeerbufError } from "../error.ts";
import type { AttachAnswer } from "../exporter.ts";
import type { Offer } from "../importer.ts";
import type { KeptPair, MappingOffer, MappingType } from "../mapping-type.ts";
import { type PathVerdict, usable } from "../verdict.ts";
import { NegotiationError, type Talk } from "./talk.ts";

/** Most mapping types that one side may list. */
export const TYPES_MAX = 16;

export interface Agreement {
  readonly offer: Offer;
  readonly path: PathVerdict;
  readonly pairs: readonly KeptPair[];
  /** The names of `pairs`, shared by every decision that strikes none. */
  readonly names: readonly string[];
  readonly limits: DmaLimits;
}

/** Runs the attach stages. `NO_COMMON_TYPE` names each party's reason; nothing is taken then. */
export function agree(talk: Talk, lifetime: Lifetime): Agreement {
  const { storage } = talk.exported;
  const offer = askImporter(talk);
  requireFew(talk.exported.exporter, storage.types);
  requireFew(talk.importerName, offer.types);
  requireLimits(talk.importerName, offer.limits);
  const common = pairUp(storage.types, offer.types);
  const path = askTopology(talk, offer, common);
  const reachable = usable(path.reads) || usable(path.writes) ? common : systemOnly(common);
  const limits = offer.limits ?? talk.importer.device.limits;
  const pairs =
    reachable.length === 0
      ? nothingToAsk(talk)
      : askExporter(talk, lifetime, offer, path, limits, reachable);
  return keep(talk, offer, path, limits, pairs);
}

export const pairNames = (pairs: readonly KeptPair[]): string[] =>
  pairs.map(({ type }) => type.name);

function askImporter(talk: Talk): Offer {
  const { name, sizeBytes, exporter } = talk.exported;
  const answer = talk.importer.offer({ name, sizeBytes, exporter });
  if (answer.answer === "decline") {
    talk.say("importer", "attach", "decline", answer.reason, []);
    throw refused(talk);
  }
  talk.say(
    "importer",
    "attach",
    answer.target === undefined ? "offer" : "substitute",
    answer.reason ?? OFFERED,
    typeNames(answer.types),
  );
  return answer;
}

/** Asked only about device memory: everyone reaches the host's. */
function askTopology(talk: Talk, offer: Offer, common: readonly KeptPair[]): PathVerdict {
  const { device, judge } = talk.exported;
  const left = typeNames(offer.types);
  if (device === undefined) {
    talk.say("topology", "attach", "accept", NOTHING_TO_JUDGE, left);
    return NO_PATH;
  }
  const client = talk.importer.device;
  const path = judge.judge(device.id, client.pciAncestor ?? client.id);
  const reached = usable(path.reads) || usable(path.writes);
  const word = usable(path.reads) ? path.reads : path.writes;
  talk.say(
    "topology",
    "attach",
    word,
    pathReason(path),
    reached ? left : pairNames(systemOnly(common)),
  );
  return path;
}

/** The exporter is asked only about what is left; where nothing is, its list is its answer. */
function nothingToAsk(talk: Talk): readonly KeptPair[] {
  const why = talk.exported.storage.reason;
  if (why !== undefined) {
    talk.say("exporter", "attach", "decline", why, []);
  }
  return [];
}

function askExporter(
  talk: Talk,
  lifetime: Lifetime,
  offer: Offer,
  path: PathVerdict,
  limits: DmaLimits,
  pairs: readonly KeptPair[],
): readonly KeptPair[] {
  const { storage } = talk.exported;
  const answer = storage.attach?.({
    client: talk.importer.device,
    importer: talk.importer.name,
    offers: offer.types,
    path,
    lifetime,
    limits,
  });
  const left = answer === undefined ? pairs : afterAnswer(answer, pairs);
  talk.say("exporter", "attach", answer?.answer ?? "accept", reasonIn(answer), pairNames(left));
  if (answer?.answer === "decline") {
    throw refused(talk);
  }
  if (answer !== undefined && left.length === 0) {
    storage.detach?.(talk.importer.device); // It said yes, to an attachment that will not be.
  }
  return left;
}

function afterAnswer(answer: AttachAnswer, pairs: readonly KeptPair[]): readonly KeptPair[] {
  switch (answer.answer) {
    case "accept":
      return pairs;
    case "narrow":
      return pairs.filter(({ type }) => !answer.strike.includes(type));
    case "redirect":
      return systemOnly(pairs);
    default:
      return [];
  }
}

function keep(
  talk: Talk,
  offer: Offer,
  path: PathVerdict,
  limits: DmaLimits,
  pairs: readonly KeptPair[],
): Agreement {
  const names = pairNames(pairs);
  if (pairs.length === 0) {
    talk.say("framework", "attach", "decline", NOTHING_IN_COMMON, names);
    throw refused(talk);
  }
  talk.say("framework", "attach", "accept", KEPT, names);
  return { offer, path, pairs, names, limits };
}

function requireFew(driver: string, { length }: readonly MappingOffer[]): void {
  if (length > TYPES_MAX) {
    const message = `${driver} lists ${length} mapping types, at most ${TYPES_MAX} are possible`;
    throw new PeerbufError("DRIVER_BROKEN", message);
  }
}

function requireLimits(driver: string, limits: DmaLimits | undefined): void {
  const problem = limits === undefined ? undefined : limitsProblem(limits);
  if (problem !== undefined) {
    throw new PeerbufError(
      "DRIVER_BROKEN",
      `${driver} states limits that no engine has: ${problem}`,
    );
  }
}

/** Every pair of one type, in the exporter's order. A side that lists a type twice is heard once. */
function pairUp(exporter: readonly MappingOffer[], importer: readonly MappingOffer[]): KeptPair[] {
  const pairs: KeptPair[] = [];
  for (let e = 0; e < exporter.length; e++) {
    const own = exporter[e] as MappingOffer;
    const other = offerOf(importer, own.type);
    if (other !== undefined && !isPaired(pairs, own.type)) {
      pairs.push({ type: own.type, require: own.require === true || other.require === true });
    }
  }
  return pairs;
}

function isPaired(pairs: readonly KeptPair[], type: MappingType): boolean {
  for (let index = 0; index < pairs.length; index++) {
    if (pairs[index]?.type === type) {
      return true;
    }
  }
  return false;
}

function offerOf(offers: readonly MappingOffer[], type: MappingType): MappingOffer | undefined {
  for (let index = 0; index < offers.length; index++) {
    if (offers[index]?.type === type) {
      return offers[index];
    }
  }
  return undefined;
}

const systemOnly = (pairs: readonly KeptPair[]): readonly KeptPair[] =>
  pairs.filter(({ type }) => type.memory !== "device");

function refused(talk: Talk): NegotiationError {
  const { name } = talk.exported;
  return new NegotiationError(
    "NO_COMMON_TYPE",
    `${talk.importerName} cannot attach to "${name}"`,
    talk.record.decisions,
  );
}

/** Lists are constants of their drivers, so their names are made once. */
const namesByList = new WeakMap<readonly MappingOffer[], readonly string[]>();

function typeNames(offers: readonly MappingOffer[]): readonly string[] {
  let names = namesByList.get(offers);
  if (names === undefined) {
    names = offers.map(({ type }) => type.name);
    namesByList.set(offers, names);
  }
  return names;
}

/** Judges answer from tables, so each verdict's text is joined once. */
const reasonByPath = new WeakMap<PathVerdict, Reason>();

function pathReason(path: PathVerdict): Reason {
  let found = reasonByPath.get(path);
  if (found === undefined) {
    const code = path.reasons[0]?.code ?? "PATH";
    const text = path.reasons.map((each) => each.text).join(" ") || `the path is ${path.reads}`;
    found = reason(code, text, { distance: path.distance });
    reasonByPath.set(path, found);
  }
  return found;
}

const reasonIn = (answer: AttachAnswer | undefined): Reason =>
  answer === undefined || answer.answer === "accept" ? NO_OBJECTION : answer.reason;

const OFFERED = reason("OFFERED", "lists what it can take");
const NO_OBJECTION = reason("NO_OBJECTION", "has nothing against it");
const KEPT = reason("KEPT", "keeps every type that all accept, in the exporter's order");
const NOTHING_IN_COMMON = reason("NOTHING_IN_COMMON", "no mapping type is acceptable to all");
const NOTHING_TO_JUDGE = reason(
  "HOST_MEMORY_ONLY",
  "the exporter is no device: its memory is the host's",
);

const NO_PATH: PathVerdict = Object.freeze({
  reads: "unsupported",
  writes: "unsupported",
  distance: -1,
  reasons: [],
});
