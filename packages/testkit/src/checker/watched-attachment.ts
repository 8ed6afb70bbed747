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
import { type ListHolder, poison } from "./dma-ledger.ts";
import type { Watch } from "./watch.ts";

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
  ended: (watched: WatchedAttachment) => void,
): WatchedAttachment {
  const watched = { attachment, importer, origin: watch.origin(), directions: [] };
  new AttachmentWatch(watch, watched, ended).begin();
  return watched;
}

class AttachmentWatch {
  readonly #watch: Watch;
  readonly #watched: WatchedAttachment;
  readonly #ended: (watched: WatchedAttachment) => void;
  readonly #subject: string;
  readonly #lastQuestion: { done(): void };
  #isDetached = false;

  constructor(
    watch: Watch,
    watched: WatchedAttachment,
    ended: (watched: WatchedAttachment) => void,
  ) {
    this.#watch = watch;
    this.#watched = watched;
    this.#ended = ended;
    const { attachment, importer, origin } = watched;
    this.#subject = `${importer} on "${attachment.buffer.name}"`;
    this.#lastQuestion = watch.atEnd(() => {
      watch.log.report("IMP-025", this.#subject, "is still attached at the end", origin);
    });
  }

  begin(): void {
    const { attachment } = this.#watched;
    const { map, pin, unpin, detach } = attachment;
    attachment.map = (direction) => {
      const mapping = this.#tried("map", () => map.call(attachment, direction));
      this.#mapped(mapping, direction);
      return mapping;
    };
    attachment.pin = () => this.#tried("pin", () => pin.call(attachment));
    attachment.unpin = () => this.#tried("unpin", () => unpin.call(attachment));
    attachment.detach = () => {
      this.#tried("detach", () => detach.call(attachment));
      this.#isDetached = true;
      this.#lastQuestion.done();
      this.#ended(this.#watched);
    };
  }

  #report(rule: RuleId, text: string): void {
    this.#watch.log.report(rule, this.#subject, text, this.#watched.origin);
  }

  /** The refusals of core say which rule was broken. */
  #tried<T>(what: "map" | "pin" | "unpin" | "detach", step: () => T): T {
    if (this.#watch.actors.invalidating > 0 && (what === "map" || what === "pin")) {
      this.#report("IMP-019", `calls ${what} inside invalidateMappings`);
    }
    try {
      return step();
    } catch (error) {
      if (error instanceof PeerbufError && error.code === "WRONG_ORDER") {
        this.#report(this.#ruleOf(what), `calls ${what} too early or too late: ${error.message}`);
      }
      throw error;
    }
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

  #mapped(mapping: Mapping, direction: Direction): void {
    const { directions } = this.#watched;
    directions.push(direction);
    const { attachment, importer } = this.#watched;
    const { exporter, reservation } = attachment.buffer;
    const actor = this.#watch.actors.current;
    const holder = { attachment, importer, actor, exporter, reservation: reservation.label };
    const isEnded = watchMapping(this.#watch, mapping, this.#subject, holder, () => {
      directions.splice(directions.indexOf(direction), 1);
    });
    const question = this.#watch.atEnd(() => {
      if (mapping.isStale && !isEnded()) {
        this.#report("IMP-017", "still holds a mapping that was invalidated");
      }
      question.done();
    });
  }
}

/** Watches one mapping to its end; says whether it has come. */
function watchMapping(
  watch: Watch,
  mapping: Mapping,
  subject: string,
  holder: ListHolder,
  ended: () => void,
): () => boolean {
  const segments = mapping.segments;
  const entry = watch.dma.find(segments);
  if (entry !== undefined) {
    entry.ready = mapping.ready;
    entry.holder = holder;
  }
  const state: Looked = { watch, segments, subject, isEnded: false };
  const { unmap } = mapping;
  mapping.unmap = () => {
    if (state.isEnded) {
      watch.log.report("IMP-011", subject, "unmaps a mapping a second time");
    }
    const copyBack = unmap.call(mapping);
    state.isEnded = true;
    ended();
    if (entry === undefined) {
      poison(segments); // Numbers of the exporter's own: no DMA layer ends them.
    }
    return copyBack;
  };
  (mapping as WatchedMapping)[LOOKED] = state;
  Object.defineProperty(mapping, "segments", SEGMENTS);
  return () => state.isEnded;
}

/** What the look at a mapping's segments has to know. */
interface Looked {
  readonly watch: Watch;
  readonly segments: SegmentList;
  readonly subject: string;
  isEnded: boolean;
}

const LOOKED: unique symbol = Symbol("looked");

interface WatchedMapping extends Mapping {
  [LOOKED]: Looked;
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
