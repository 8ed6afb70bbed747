/**
 * Placement check: where an exporter says that a buffer's bytes are, against what can be true.
 */
import type { Placement, PlacementRequest } from "@peerbuf/core";
import type { RuleId } from "../rules/rule.ts";
import { checkReason } from "./answers.ts";
import { eachRange, rangesOverlap } from "./host-ledger.ts";
import type { Watch } from "./watch.ts";
import type { Motions } from "./watched-control.ts";

const PAGE_BYTES = 4096;

/** A buffer that is not released, and what of it devices may use. */
export interface PlacedBuffer {
  readonly subject: string;
  readonly motions: Motions;
  readonly inUse: readonly InUse[];
}

interface InUse {
  readonly placement: Placement;
  readonly typeName: string;
  /** The buffer's motions when it was placed: another number now means that it is stale. */
  readonly motion: number;
}

export interface PlacementFacts {
  readonly watch: Watch;
  readonly subject: string;
  readonly sizeBytes: number;
  readonly motions: Motions;
  readonly alive: Set<PlacedBuffer>;
}

export class PlacementCheck implements PlacedBuffer {
  readonly subject: string;
  readonly motions: Motions;
  readonly inUse: InUse[] = [];
  readonly #watch: Watch;
  readonly #sizeBytes: number;
  readonly #alive: Set<PlacedBuffer>;
  readonly #pinned: Placement[] = [];
  /** What `place` said last: `mapped` follows at once, if at all. */
  #last: InUse | undefined;
  /** The last placement that passed: exporters hand out the same object for as long as it lasts. */
  #known: Placement | undefined;

  constructor({ watch, subject, sizeBytes, motions, alive }: PlacementFacts) {
    this.#watch = watch;
    this.subject = subject;
    this.#sizeBytes = sizeBytes;
    this.motions = motions;
    this.#alive = alive;
    alive.add(this);
    watch.moves.forgetArrived();
  }

  check(placement: Placement, request: PlacementRequest): void {
    this.#last = {
      placement,
      typeName: request.pair.type.name,
      motion: this.motions.count,
    };
    const { log } = this.#watch;
    const before = log.count;
    const isSound = (): boolean => log.count === before;
    if (placement !== this.#known) {
      this.#checkShape(placement);
      this.#checkMemory(placement);
      this.#known = isSound() ? placement : undefined;
    }
    this.motions.lastPlace = placement.ranges;
    this.#checkHeld(placement);
    if (isSound()) {
      this.#checkMoved(this.#last); // Who moves without a word is wrong about all that follows.
    }
    if (isSound()) {
      this.#checkAsked(placement, request);
      if (placement.reason !== undefined) {
        checkReason(this.#watch.log, "EXP-026", this.subject, placement.reason, "for a place");
      }
      this.#checkOthers(placement);
    }
  }

  pinned(placement: Placement): void {
    const [first] = this.#pinned;
    if (first !== undefined && !isSamePlace(first, placement)) {
      this.#report("EXP-017", "is pinned and answers another place");
    }
    this.#pinned.push(placement);
  }

  unpinned(): void {
    this.#pinned.pop();
  }

  mapped(placement: Placement): void {
    const { typeName = "", motion = this.motions.count } = this.#last ?? {};
    this.inUse.push({ placement, typeName, motion });
  }

  unmapped(placement: Placement): void {
    const at = this.inUse.findIndex((use) => use.placement === placement);
    if (at >= 0) {
      this.inUse.splice(at, 1);
    }
  }

  released(): void {
    this.#alive.delete(this);
    this.#watch.moves.released(this.subject);
  }

  #report(rule: RuleId, text: string): void {
    this.#watch.log.report(rule, this.subject, text);
  }

  #checkAsked(placement: Placement, { pair }: PlacementRequest): void {
    const { target, reason } = placement;
    const { memory } = pair.type;
    if (memory === "system" && target === "device") {
      this.#report("EXP-009", `is asked for ${pair.type.name} and answers device memory`);
    }
    if (memory === "device" && target !== "device") {
      if (pair.require) {
        this.#report("EXP-010", `must be in device memory and is placed in ${target} memory`);
      }
      if (reason === undefined) {
        this.#report(
          "EXP-027",
          `is asked for device memory, answers ${target} and gives no reason`,
        );
      }
    }
  }

  #checkShape({ ranges }: Placement): void {
    if (ranges.sizeBytes !== this.#sizeBytes) {
      this.#report("EXP-006", `places ${ranges.sizeBytes} of ${this.#sizeBytes} bytes`);
    }
    const edges: [start: number, end: number][] = [];
    eachRange(ranges, (start, end) => {
      edges.push([start, end]);
      if (start % PAGE_BYTES !== 0 || end % PAGE_BYTES !== 0) {
        this.#report("EXP-011", `has a range 0x${start.toString(16)} + ${end - start} bytes`);
      }
    });
    edges.sort(([one], [other]) => one - other);
    if (edges.some(([start], at) => at > 0 && start < (edges[at - 1]?.[1] ?? 0))) {
      this.#report("EXP-012", "has the same bytes in two ranges");
    }
  }

  #checkMemory({ target, provider, ranges }: Placement): void {
    if (target === "device") {
      if (provider === undefined) {
        this.#report("EXP-007", "is placed in a device and does not say which");
      } else if (this.#watch.isInBarOf(provider, ranges) === false && !this.#isLink()) {
        this.#report("EXP-008", `is placed outside of the BARs of ${provider.id}`);
      }
      return;
    }
    eachRange(ranges, (start) => {
      const owner = this.#watch.barAt(start);
      if (owner !== undefined) {
        this.#report("EXP-014", `calls memory in a BAR of ${owner.id} ${target} memory`);
      }
    });
  }

  #checkHeld({ target, ranges }: Placement): void {
    const { host } = this.#watch;
    if (host.anyFreed(ranges)) {
      this.#report("EXP-015", "is placed in pages that were freed");
    } else if (target === "system" && host.isHeldInPart(ranges)) {
      this.#report("EXP-015", "is placed past the end of pages that somebody holds");
    }
  }

  /** Addresses of a private link are the link's own: no BAR shows them. */
  #isLink(): boolean {
    return isLink(this.#last?.typeName ?? "");
  }

  #checkMoved(now: InUse): void {
    const [pinned] = this.#pinned;
    const [other] = this.inUse.filter(({ motion }) => motion === now.motion);
    if (pinned !== undefined && this.#isElsewhereThan(pinned, now.placement)) {
      this.#report("EXP-017", `is pinned in ${pinned.target} memory and placed elsewhere`);
    } else if (other !== undefined && isElsewhere(other, now)) {
      const text = `is mapped in ${other.placement.target} memory and now placed elsewhere: nobody was told`;
      this.#report("EXP-018", text);
    }
  }

  #isElsewhereThan(pinned: Placement, placement: Placement): boolean {
    const isOther = pinned.target !== placement.target || !isSamePlace(pinned, placement);
    return isOther && !this.#isLink();
  }

  /** Another buffer's memory that a device may still write. */
  #checkOthers({ ranges, ready }: Placement): void {
    if (ready !== undefined && !ready.isSignaled) {
      return;
    }
    for (const other of this.#alive) {
      const overlap = other.inUse.find(
        (use) => use.motion === other.motions.count && rangesOverlap(use.placement.ranges, ranges),
      );
      if (other !== this && overlap !== undefined) {
        this.#report("EXP-013", `lies in memory of ${other.subject}, which is mapped`);
      }
    }
  }
}

/** Two mappings that cannot both be where the bytes are. Numbers of a private link are compared with its own. */
function isElsewhere(one: InUse, other: InUse): boolean {
  const isComparable =
    one.typeName === other.typeName ||
    one.placement.target !== other.placement.target ||
    !(isLink(one.typeName) || isLink(other.typeName));
  return isComparable && !isSamePlace(one.placement, other.placement);
}

const isLink = (typeName: string): boolean => typeName.startsWith("interconnect:");

function isSamePlace(one: Placement, other: Placement): boolean {
  if (one === other || one.ranges === other.ranges) {
    return true;
  }
  const { table } = other.ranges;
  const mine = one.ranges.table;
  return (
    one.target === other.target &&
    mine.length === table.length &&
    mine.every((edge, at) => edge === table[at])
  );
}
