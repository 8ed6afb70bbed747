/** Mutants of locking: several buffers at once, as a GPU's command submission has them. */
import { AcquireContext, type DmaBuf, LockError, LockOwner } from "@peerbuf/core";
import { GOOD, readerImporter, type Use } from "../good/reader.ts";
import { readerMutant } from "./family.ts";

/** The buffers of all uses that are under way: this one's first, as each sees it. */
class WorkingSet {
  readonly #buffers: DmaBuf[] = [];

  enter({ buffer }: Use): readonly DmaBuf[] {
    if (!this.#buffers.includes(buffer)) {
      this.#buffers.push(buffer);
    }
    return [buffer, ...this.#buffers.filter((each) => each !== buffer)];
  }

  leave({ buffer }: Use): void {
    const place = this.#buffers.indexOf(buffer);
    if (place >= 0) {
      this.#buffers.splice(place, 1);
    }
  }
}

/** Steps of a driver that locks its whole working set before each job, in its own way. */
function lockingWith(lockSet: (buffers: readonly DmaBuf[], use: Use) => Promise<() => void>) {
  const sets = new WeakMap<object, WorkingSet>();
  const setOf = (use: Use): WorkingSet => {
    const known = sets.get(use.parts) ?? new WorkingSet();
    sets.set(use.parts, known);
    return known;
  };
  return {
    async prepare(use: Use, mapping: Parameters<typeof GOOD.prepare>[1]) {
      const unlock = await lockSet(setOf(use).enter(use), use);
      unlock();
      await GOOD.prepare(use, mapping);
    },
    finish(use: Use) {
      setOf(use).leave(use);
      GOOD.finish(use);
    },
  };
}

export const locksOneAfterTheOther = readerMutant({
  rules: ["SYN-009"],
  by: "contract",
  mistake:
    "locks all its buffers one after the other, each use in its own order, without a context",
  driver: readerImporter(
    "locks-one-after-the-other",
    "movable",
    lockingWith(async (buffers, use) => {
      const owner = new LockOwner(use.parts.name);
      const held: DmaBuf[] = [];
      const unlock = () => {
        for (const { reservation } of held.splice(0)) {
          reservation.unlock(owner);
        }
      };
      try {
        for (const buffer of buffers) {
          await buffer.reservation.lock(owner);
          held.push(buffer);
        }
        return unlock;
      } catch (error) {
        unlock();
        throw error;
      }
    }),
  ),
});

export const doesNotBackOff = readerMutant({
  rules: ["SYN-010"],
  by: "contract",
  mistake: "told to back off it tries the same lock again and keeps what it holds",
  driver: readerImporter(
    "does-not-back-off",
    "movable",
    lockingWith(async (buffers, use) => {
      const context = new AcquireContext(
        use.buffer.reservation.domain,
        new LockOwner(use.parts.name),
      );
      const held: DmaBuf[] = [];
      const unlock = () => {
        for (const { reservation } of held.splice(0)) {
          reservation.unlock(context);
        }
        context.finish();
      };
      try {
        for (const buffer of buffers) {
          await lockStubbornly(buffer, context);
          held.push(buffer);
        }
        return unlock;
      } catch (error) {
        unlock();
        throw error;
      }
    }),
  ),
});

async function lockStubbornly({ reservation }: DmaBuf, context: AcquireContext): Promise<void> {
  try {
    await reservation.lock(context);
  } catch (error) {
    if (!(error instanceof LockError && error.code === "LOCK_BACK_OFF")) {
      throw error;
    }
    await reservation.lock(context);
  }
}
