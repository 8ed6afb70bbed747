/**
 * Checked importer: the answers of whoever attaches, held against the contract.
 *
 * Presence is kept: whether `invalidateMappings` is there decides what kind of importer it is.
 */
import {
  type Attachment,
  type BufferFacts,
  type Decline,
  type DmaLimits,
  type Importer,
  type Offer,
  PeerbufError,
  type Proposal,
  type TakeAnswer,
} from "@peerbuf/core";
import { checkOffers, checkReason, isPromise } from "./answers.ts";
import type { LiveList } from "./dma-ledger.ts";
import { messageOf } from "./fence-book.ts";
import type { Watch } from "./watch.ts";

export const nameOfImporter = ({ name, device }: Importer): string => `${name}@${device.id}`;

export function checkedImporter(watch: Watch, importer: Importer): Importer {
  const check = new ImporterCheck(watch, importer);
  const { take, invalidateMappings, pins } = importer;
  if (pins === true && invalidateMappings === undefined) {
    watch.log.report("IMP-029", nameOfImporter(importer), "pins and has no invalidateMappings");
  }
  return {
    name: importer.name,
    device: importer.device,
    ...(pins === undefined ? {} : { pins }),
    offer: (buffer) => check.offer(buffer),
    ...(take && { take: (proposal) => check.take(take.bind(importer), proposal) }),
    ...(invalidateMappings && {
      invalidateMappings: (attachment) =>
        check.invalidate(() => invalidateMappings.call(importer, attachment), attachment),
    }),
  };
}

class ImporterCheck {
  readonly #watch: Watch;
  readonly #importer: Importer;
  readonly #name: string;

  constructor(watch: Watch, importer: Importer) {
    this.#watch = watch;
    this.#importer = importer;
    this.#name = nameOfImporter(importer);
  }

  offer(buffer: BufferFacts): Offer | Decline {
    const answer = this.#typed("offer", () => this.#importer.offer(buffer));
    if (isPromise(answer)) {
      this.#report("IMP-004", "answers offer with a promise");
    } else if (answer.answer === "decline") {
      checkReason(this.#watch.log, "IMP-005", this.#name, answer.reason, "at attach");
    } else {
      this.#checkOffer(answer, buffer);
    }
    return answer;
  }

  take(take: (proposal: Proposal) => TakeAnswer, proposal: Proposal): TakeAnswer {
    const answer = this.#typed("take", () => take(proposal));
    if (isPromise(answer)) {
      this.#report("IMP-004", "answers take with a promise");
    } else if (answer.answer !== "take") {
      checkReason(this.#watch.log, "IMP-005", this.#name, answer.reason, "at map");
    }
    return answer;
  }

  invalidate(tell: () => void, attachment: Attachment): void {
    const { actors } = this.#watch;
    const { buffer } = attachment;
    const lists = this.#watch.dma.heldBy(attachment);
    this.#tell(lists);
    actors.invalidating++;
    try {
      if (isPromise(actors.run(this.#name, tell))) {
        this.#report("IMP-020", "answers invalidateMappings with a promise");
      }
    } catch (error) {
      this.#report("IMP-018", `told of a move of "${buffer.name}" it threw ${messageOf(error)}`);
      throw error;
    } finally {
      actors.invalidating--;
      this.#tell(lists); // Fences for what still runs may come from the callback itself.
    }
    this.#checkRunning(attachment);
  }

  /** Work whose fence is there by now is under way; what comes later is new. */
  #tell(lists: readonly LiveList[]): void {
    for (const { holder } of lists) {
      if (holder !== undefined) {
        holder.invalidatedAt = this.#watch.fences.lastOrder;
      }
    }
  }

  /** Whoever moves the buffer waits for fences: work without one is overtaken. */
  #checkRunning(attachment: Attachment): void {
    const running = this.#watch.dma.heldBy(attachment).some((list) => list.running > 0);
    const { reservation, exporter, name } = attachment.buffer;
    const isKnown = this.#watch.fences
      .workOn(reservation.label)
      .some(({ producer }) => producer !== exporter);
    if (running && !isKnown) {
      this.#report("IMP-041", `its device works on "${name}" without a fence on the reservation`);
    }
  }

  #report(rule: Parameters<Watch["log"]["report"]>[0], text: string): void {
    this.#watch.log.report(rule, this.#name, text);
  }

  #checkOffer({ types, limits, target, reason }: Offer, buffer: BufferFacts): void {
    checkOffers(this.#watch.log, "IMP-001", this.#name, types);
    const own = this.#importer.device.limits;
    if (limits !== undefined && isWider(limits, own)) {
      this.#report("IMP-002", "offers wider limits than its device has");
    }
    if (target !== undefined) {
      checkReason(this.#watch.log, "IMP-005", this.#name, reason, "with its own memory");
      if (target.sizeBytes !== buffer.sizeBytes) {
        const text = `brings ${target.sizeBytes} bytes for a buffer of ${buffer.sizeBytes}`;
        this.#report("IMP-026", text);
      } else if (this.#watch.host.anyFreed(target)) {
        this.#report("IMP-026", "brings pages that were freed");
      }
    }
  }

  /** A step that may refuse, as a `PeerbufError` and in no other way. */
  #typed<T>(what: string, step: () => T): T {
    try {
      return this.#watch.actors.run(this.#name, step);
    } catch (error) {
      if (!(error instanceof PeerbufError)) {
        this.#report("IMP-003", `${what} threw ${messageOf(error)}`);
      }
      throw error;
    }
  }
}

const isWider = (limits: DmaLimits, own: DmaLimits): boolean =>
  limits.addressMax > own.addressMax ||
  limits.segmentBytesMax > own.segmentBytesMax ||
  limits.segmentCountMax > own.segmentCountMax ||
  limits.alignmentBytes < own.alignmentBytes ||
  (own.boundaryBytes > 0 &&
    !(limits.boundaryBytes > 0 && limits.boundaryBytes <= own.boundaryBytes));
