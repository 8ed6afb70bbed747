/**
 * Watched attachment: the order of attach, pin, map, unmap, unpin and detach, as its importer keeps it.
 *
 * The handles stay what they are, so that they are found and compared as ever; their operations are
 * replaced one by one on the object.
 */
import {
  type Attachment,
  type Direction,
  deviceReads,
  type Mapping,
  PeerbufError,
  type SegmentList,
} from "@peerbuf/core";
import type { RuleId } from "../rules/rule.ts";
import { type ListHolder, type LiveList, poison } from "./dma-ledger.ts";
import type { LastQuestion, Watch } from "./watch.ts";

/** One attachment while it lasts. */
export interface WatchedAttachment {
  readonly attachment: Attachment;
  readonly importer: string;
  readonly origin: string | undefined;
  /** Directions of the mappings that are not unmapped. */
  readonly directions: Direction[];
}

export function watchAttachment(
  watch: Watch,
  attachment: Attachment,
  importer: string,
  attached: Set<WatchedAttachment>,
): WatchedAttachment {
  return new AttachmentWatch(watch, attachment, importer, attached);
}

const WATCH: unique symbol = Symbol("watch");

interface Watched extends Attachment {
  [WATCH]: AttachmentWatch;
}

class AttachmentWatch implements WatchedAttachment, LastQuestion {
  readonly attachment: Attachment;
  readonly importer: string;
  readonly origin: string | undefined;
  readonly directions: Direction[] = [];
  readonly map: Attachment["map"];
  readonly pin: Attachment["pin"];
  readonly unpin: Attachment["unpin"];
  readonly detach: Attachment["detach"];
  readonly #watch: Watch;
  readonly #attached: Set<WatchedAttachment>;
  readonly #subject: string;
  #isDetached = false;

  constructor(
    watch: Watch,
    attachment: Attachment,
    importer: string,
    attached: Set<WatchedAttachment>,
  ) {
    this.attachment = attachment;
    this.importer = importer;
    this.origin = watch.origin();
    this.#watch = watch;
    this.#attached = attached;
    this.#subject = `${importer} on "${attachment.buffer.name}"`;
    watch.atEnd(this);
    this.map = attachment.map;
    this.pin = attachment.pin;
    this.unpin = attachment.unpin;
    this.detach = attachment.detach;
    (attachment as Watched)[WATCH] = this;
    attachment.map = watchedMap;
    attachment.pin = watchedPin;
    attachment.unpin = watchedUnpin;
    attachment.detach = watchedDetach;
  }

  /** The last question: is it still attached? */
  ask(): void {
    this.report("IMP-025", "is still attached at the end");
  }

  report(rule: RuleId, text: string): void {
    this.#watch.log.report(rule, this.#subject, text, this.origin);
  }

  /** May be a mistake by itself, at this moment. */
  calls(what: "map" | "pin" | "unpin" | "detach"): void {
    if (this.#watch.actors.invalidating > 0 && (what === "map" || what === "pin")) {
      this.report("IMP-019", `calls ${what} inside invalidateMappings`);
    }
  }

  /** The refusals of core say which rule was broken. */
  refused(what: "map" | "pin" | "unpin" | "detach", error: unknown): void {
    if (error instanceof PeerbufError && error.code === "WRONG_ORDER") {
      this.report(this.#ruleOf(what), `calls ${what} too early or too late: ${error.message}`);
    }
  }

  mapped(mapping: Mapping, direction: Direction): void {
    this.directions.push(direction);
    const { attachment, importer } = this;
    const { exporter, reservation } = attachment.buffer;
    const actor = this.#watch.actors.current;
    const holder: ListHolder = {
      attachment,
      importer,
      actor,
      exporter,
      reservation: reservation.label,
      mapping,
      isUnmapped: false,
      publishes: false,
      invalidatedAt: 0,
    };
    new MappingWatch(this.#watch, this, mapping, this.#subject, holder, direction);
  }

  unmapped(direction: Direction): void {
    this.directions.splice(this.directions.indexOf(direction), 1);
  }

  detached(): void {
    this.#isDetached = true;
    this.#watch.settled(this);
    this.#attached.delete(this);
  }

  #ruleOf(what: "map" | "pin" | "unpin" | "detach"): RuleId {
    if (this.#isDetached) {
      return "IMP-012";
    }
    if (what === "unpin") {
      return "IMP-015";
    }
    return what === "detach" ? "IMP-010" : "IMP-019";
  }
}

// One of each for all attachments: functions of its own would give each handle a shape of its own.

function watchedMap(this: Attachment, direction: Direction): Mapping {
  const watched = (this as Watched)[WATCH];
  watched.calls("map");
  let mapping: Mapping;
  try {
    mapping = watched.map.call(this, direction);
  } catch (error) {
    watched.refused("map", error);
    throw error;
  }
  watched.mapped(mapping, direction);
  return mapping;
}

function watchedPin(this: Attachment): void {
  const watched = (this as Watched)[WATCH];
  watched.calls("pin");
  try {
    watched.pin.call(this);
  } catch (error) {
    watched.refused("pin", error);
    throw error;
  }
}

function watchedUnpin(this: Attachment): void {
  const watched = (this as Watched)[WATCH];
  try {
    watched.unpin.call(this);
  } catch (error) {
    watched.refused("unpin", error);
    throw error;
  }
}

function watchedDetach(this: Attachment): void {
  const watched = (this as Watched)[WATCH];
  try {
    watched.detach.call(this);
  } catch (error) {
    watched.refused("detach", error);
    throw error;
  }
  watched.detached();
}

const LOOKED: unique symbol = Symbol("looked");

interface WatchedMapping extends Mapping {
  [LOOKED]: MappingWatch;
}

/** One mapping, to its end. */
class MappingWatch implements LastQuestion {
  readonly watch: Watch;
  readonly subject: string;
  readonly segments: SegmentList;
  readonly unmap: Mapping["unmap"];
  isEnded = false;
  readonly #attachment: AttachmentWatch;
  readonly #mapping: Mapping;
  readonly #direction: Direction;
  readonly #isListed: boolean;
  readonly #holder: ListHolder;

  constructor(
    watch: Watch,
    attachment: AttachmentWatch,
    mapping: Mapping,
    subject: string,
    holder: ListHolder,
    direction: Direction,
  ) {
    this.watch = watch;
    this.subject = subject;
    this.segments = mapping.segments;
    this.unmap = mapping.unmap;
    this.#attachment = attachment;
    this.#mapping = mapping;
    this.#direction = direction;
    const entry = watch.dma.find(this.segments);
    this.#isListed = entry !== undefined;
    this.#holder = holder;
    if (entry !== undefined) {
      entry.ready = mapping.ready;
      entry.holder = holder;
      checkOwnTarget(watch, entry, holder);
    }
    (mapping as WatchedMapping)[LOOKED] = this;
    mapping.unmap = watchedUnmap;
    Object.defineProperty(mapping, "segments", SEGMENTS);
    watch.atEnd(this);
  }

  /** The last question: was it let go of? */
  ask(): void {
    if (this.#mapping.isStale) {
      this.#attachment.report("IMP-017", "still holds a mapping that was invalidated");
    }
  }

  ended(): void {
    this.isEnded = true;
    this.#holder.isUnmapped = true;
    this.watch.settled(this);
    this.#attachment.unmapped(this.#direction);
    if (!this.#isListed) {
      poison(this.segments); // Numbers of the exporter's own: no DMA layer ends them.
    }
  }
}

/** Pages that an importer brings serve one buffer at a time: copies of two would meet in them. */
function checkOwnTarget(watch: Watch, { ranges, origin }: LiveList, holder: ListHolder): void {
  const { mapping, attachment, importer } = holder;
  const isShared = (other: LiveList): boolean =>
    other.holder?.mapping.copied === true && other.holder.attachment.buffer !== attachment.buffer;
  if (mapping.copied && watch.dma.reaching(ranges).some(isShared)) {
    const text = `brings pages for "${attachment.buffer.name}" that serve another buffer now`;
    watch.log.report("IMP-026", importer, text, origin);
  }
}

function watchedUnmap(this: Mapping): ReturnType<Mapping["unmap"]> {
  const watched = (this as WatchedMapping)[LOOKED];
  if (watched.isEnded) {
    watched.watch.log.report("IMP-011", watched.subject, "unmaps a mapping a second time");
  }
  const copyBack = watched.unmap.call(this);
  watched.ended();
  return copyBack;
}

/** One for all mappings: a getter of its own for each would give each a shape of its own. */
const SEGMENTS: PropertyDescriptor & ThisType<WatchedMapping> = {
  configurable: true,
  get() {
    const { watch, segments, subject, isEnded } = this[LOOKED];
    if (isEnded) {
      watch.log.report("IMP-013", subject, "asks for the segments of a mapping that it unmapped");
      throw new PeerbufError("HANDLE_CLOSED", `${subject}: segments were asked for after unmap`);
    }
    if (this.isStale) {
      watch.log.report("IMP-014", subject, "asks for segments of a mapping that was invalidated");
      throw new PeerbufError("MAPPING_STALE", `${subject}: segments of a stale mapping`);
    }
    return segments;
  },
};

/** Does every mapping of this attachment only let the device write? */
export const onlyWrites = ({ directions }: WatchedAttachment): boolean =>
  directions.length > 0 && !directions.some(deviceReads);
