/** Fleet report: the groups of a fleet for people, the answer in the first line. */
import type { PathType } from "@peerbuf/core";
import { shortBdf } from "../function-label.ts";
import { oneLine } from "../report-error.ts";
import type { Session } from "../session.ts";
import { paintType } from "../verdict-words.ts";
import type { Difference } from "./difference.ts";
import type { Fleet, FleetGroup, Likeness } from "./fleet-groups.ts";

/** Lines of one kind; the rest is counted, and whole in the JSON. */
const SHOWN = { NAMES: 6, DIFFERENCES: 12, PAIRS: 6, UNREADABLE: 12, GROUPS: 24 } as const;
const TYPES: readonly PathType[] = ["bus-addr", "host-bridge", "unsupported", "unknown"];

export function fleetLines(session: Session, fleet: Fleet): string[] {
  const kinds = fleet.groups.filter(({ like }) => like === undefined);
  const odd = fleet.groups.filter(({ like }) => like !== undefined);
  return [
    headline(session, fleet, kinds.length, odd),
    ...shownOf(kinds, SHOWN.GROUPS, (group) => ["", ...groupLines(session, group)]),
    ...shownOf(odd, SHOWN.GROUPS, (group) => ["", ...oddLines(session, group)]),
    ...unreadableLines(session, fleet),
  ];
}

function headline(
  { paint }: Session,
  { machineCount, unreadable }: Fleet,
  kindCount: number,
  odd: readonly FleetGroup[],
): string {
  const oddCount = odd.reduce((sum, { members }) => sum + members.length, 0);
  const parts = [
    paint.strong(counted(machineCount, "capture")),
    counted(kindCount, "kind of machine", "kinds of machines"),
    oddCount === 0 ? paint.good("none odd") : paint.bad(`${counted(oddCount, "odd machine")}`),
    ...(unreadable.length === 0 ? [] : [paint.bad(`${unreadable.length} unreadable`)]),
  ];
  return parts.join(", ");
}

function groupLines({ paint }: Session, group: FleetGroup): string[] {
  return [
    `${paint.name(`group ${group.number}`)}  ${paint.strong(counted(group.members.length, "machine"))}  ${namesOf(group.members)}`,
    `  ${summary(group)}`,
    `  pairs: ${pairsText(paint, group)}`,
  ];
}

function summary({ digest, kernelReleases }: FleetGroup): string {
  const devices = Object.entries(digest.devices).map(([kind, count]) => `${count} ${kind}`);
  const none = digest.isOpen ? "devices not known" : "no GPUs, NICs or NVMe drives";
  const listed = devices.length === 0 ? none : devices.join(", ");
  return `${oneLine(digest.cpu)}; ${listed}; Linux ${oneLine(kernelReleases.join(", "))}`;
}

const pairsText = (paint: Session["paint"], { digest }: FleetGroup): string =>
  TYPES.filter((type) => digest.pairs[type] > 0)
    .map((type) => `${digest.pairs[type]} ${paintType(paint, type)}`)
    .join(", ") || "none";

function oddLines(session: Session, group: FleetGroup): string[] {
  const { paint } = session;
  const like = group.like as Likeness;
  const names = namesOf(group.members);
  return [
    `${paint.bad("odd")}  ${paint.strong(counted(group.members.length, "machine"))}  ${names}: like group ${like.group}, but`,
    ...differenceLines(session, like.differences),
    ...pairLines(session, like),
  ];
}

/** What one of the captures does not show is told once for all functions: it is the capture that differs. */
function differenceLines({ paint }: Session, differences: readonly Difference[]): string[] {
  const isOpen = ({ here, there }: Difference): boolean => here === OPEN || there === OPEN;
  const openCounts = new Map<string, number>();
  for (const { what, here } of differences.filter(isOpen)) {
    const text = `${what} not known ${here === OPEN ? "here" : "there"}`;
    openCounts.set(text, (openCounts.get(text) ?? 0) + 1);
  }
  return [
    ...[...openCounts].map(([text, count]) => `  ${counted(count, "fact")}: ${text}`),
    ...shownOf(
      differences.filter((difference) => !isOpen(difference)),
      SHOWN.DIFFERENCES,
      ({ at, what, here, there }) => [
        `  ${at === "" ? "machine" : shortBdf(at)}  ${what}: ${paint.strong(oneLine(here))}, there ${oneLine(there)}`,
      ],
    ),
  ];
}

const OPEN = "not known";

function pairLines({ paint }: Session, { pairs }: Likeness): string[] {
  if (pairs.length === 0) {
    return ["  No pair's verdict changes by that."];
  }
  return [
    `  ${counted(pairs.length, "pair")} ${pairs.length === 1 ? "has" : "have"} another verdict:`,
    ...shownOf(pairs, SHOWN.PAIRS, ({ provider, client, here, there }) => [
      `    ${provider} to ${client}: ${paintType(paint, here)}, there ${paintType(paint, there)}`,
    ]),
  ];
}

function unreadableLines({ paint }: Session, { unreadable }: Fleet): string[] {
  if (unreadable.length === 0) {
    return [];
  }
  return [
    "",
    paint.bad("unreadable"),
    ...shownOf(unreadable, SHOWN.UNREADABLE, ({ name, message }) => [
      `  ${oneLine(name)}: ${oneLine(message)}`,
    ]),
  ];
}

function namesOf(members: readonly string[]): string {
  const shown = members.slice(0, SHOWN.NAMES).map(oneLine).join(" ");
  const more = members.length - SHOWN.NAMES;
  return more > 0 ? `${shown} and ${more} more` : shown;
}

/** Lines of the first ones, and how many were left out. */
function shownOf<Item>(
  items: readonly Item[],
  limit: number,
  linesOf: (item: Item) => string[],
): string[] {
  const rest = items.length - limit;
  const lines = items.slice(0, limit).flatMap(linesOf);
  return rest > 0 ? [...lines, `  ... and ${rest} more (--json has all)`] : lines;
}

const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString("en-GB")} ${count === 1 ? one : many}`;
