/**
 * Device work: one job of a device's engine, from its start to its end, against the mapping that it runs on.
 *
 * A job begins on a mapping that holds, with its fence on the reservation, and the fence lasts as long as the job. Who
 * stops its device when it is told to let go needs no fence and is asked for none; who publishes fences at all
 * publishes them for every job.
 */
import type { SegmentList } from "@peerbuf/core";
import type { ListHolder, LiveList } from "./dma-ledger.ts";
import type { Published } from "./fence-book.ts";
import type { Watch } from "./watch.ts";

/** Told of fences, to hold them against the work of devices. */
export interface FenceListener {
  published(fence: Published): void;
  /** Before it is. */
  signaled(fence: Published): void;
}

/** A job on this list begins. */
export function beginWork(watch: Watch, segments: SegmentList): { end(): void } {
  const list = watch.dma.find(segments) ?? watch.dma.behind(segments);
  if (list === undefined) {
    checkRetired(watch, watch.dma.ended(segments)?.holder);
    return NOTHING;
  }
  list.running++;
  checkTold(watch, list);
  checkFenced(watch, list);
  return {
    end() {
      list.running--;
    },
  };
}

const NOTHING = { end() {} };

/** The fences of whoever holds the list, on the reservation of its buffer and not signaled. */
export function ownWork(watch: Watch, holder: ListHolder): Published[] {
  return watch.fences.workOn(holder.reservation).filter((each) => isOwn(each, holder));
}

/** After an `await` nobody is known to run: then a fence says by its name whose it is. */
export function isOwn({ fence, producer }: Published, holder: ListHolder): boolean {
  const isNamed = producer === holder.importer || (producer !== "" && producer === holder.actor);
  return isNamed || (!producer.includes("@") && holder.importer.startsWith(`${fence.driverName}@`));
}

/** A fence of theirs was published: was it for a job that has begun before? */
export function checkPublished(watch: Watch, published: Published): void {
  for (const holder of watch.dma.holdersOn(published.place?.label)) {
    holder.publishes ||= isOwn(published, holder);
  }
  for (const list of watch.dma.unannounced()) {
    const { holder } = list;
    if (holder?.reservation === published.place?.label && holder && isOwn(published, holder)) {
      list.isUnannounced = false;
      const text = `publishes its fence when its device works on "${nameOf(holder)}" already`;
      watch.log.report("IMP-043", holder.importer, text);
    }
  }
}

/** A fence of theirs is signaled: is it the last one, and their device still works? */
export function checkSignaled(watch: Watch, published: Published): void {
  for (const { holder } of watch.dma.running()) {
    if (holder?.reservation !== published.place?.label || !holder || !isOwn(published, holder)) {
      continue;
    }
    const others = ownWork(watch, holder).filter(({ fence }) => fence !== published.fence);
    if (others.length === 0) {
      const text = `signals its fence while its device works on "${nameOf(holder)}"`;
      watch.log.report("IMP-043", holder.importer, text);
    }
  }
}

/** Old addresses end when the last work on them has ended; a job that begins then reaches nothing. */
function checkRetired(watch: Watch, holder: ListHolder | undefined): void {
  if (holder?.mapping.isStale === true && !holder.isUnmapped) {
    reportStale(watch, holder);
  }
}

/** A job whose fence was there when the buffer moved may go on; nothing new begins. */
function checkTold(watch: Watch, { holder }: LiveList): void {
  if (holder?.mapping.isStale !== true) {
    return;
  }
  const isUnderWay = ownWork(watch, holder).some(({ order }) => order <= holder.invalidatedAt);
  if (!isUnderWay) {
    reportStale(watch, holder);
  }
}

function reportStale(watch: Watch, holder: ListHolder): void {
  const text = `starts its device on a mapping of "${nameOf(holder)}" that was invalidated`;
  watch.log.report("IMP-014", holder.importer, text);
}

/** What is published before the present turn ends is in time: nobody could look in between. */
function checkFenced(watch: Watch, list: LiveList): void {
  const { holder } = list;
  if (holder === undefined || ownWork(watch, holder).length > 0) {
    return;
  }
  queueMicrotask(() => {
    if (list.running === 0 || ownWork(watch, holder).length > 0) {
      return;
    }
    list.isUnannounced = true;
    if (holder.publishes) {
      const text = `its device works on "${nameOf(holder)}" and its fence is over`;
      watch.log.report("IMP-043", holder.importer, text);
    }
  });
}

const nameOf = ({ attachment }: ListHolder): string => attachment.buffer.name;
