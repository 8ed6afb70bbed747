/**
 * Exporter revocation: memory that is taken away from everyone, and given back.
 */
import type { DmaBuf, Lifetime, OpenedExporter, SoftwareFence } from "@peerbuf/core";
import type { ContractCheck } from "./contract.ts";
import { arrived, type ExporterUnderTest, exporterCheck } from "./exporter-under-test.ts";
import { claimed, HELD_BYTES, HeldBuffer } from "./held-buffer.ts";
import { later, NotClaimed, type Session } from "./session.ts";

export function revocationChecks<Options, Api>(
  tested: ExporterUnderTest<Options, Api>,
): ContractCheck[] {
  const { check } = tested;
  type Held = HeldBuffer<Options, Api>;
  type Body = (session: Session, exporter: OpenedExporter<Api>) => Promise<void>;

  /** A revocation under a mapping that lasts; then the memory comes back, if it does. */
  const takenAway = async (
    session: Session,
    { api }: OpenedExporter<Api>,
    held: Held,
    running?: SoftwareFence,
  ): Promise<void> => {
    const revoke = claimed(check.revoke, "revoke");
    const work = running ?? held.work("a device that still works", "write");
    const revocation = later(revoke.call(check, api, held.buffer));
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    revocation.then(over, () => undefined);
    // A reset may have others to tell first, or its device to stop; what it must not wait for is this work.
    await session.rest();
    const isTold = held.mapping.isStale || held.attachment.mappingCount === 0;
    session.demand("EXP-034", isTold, "the importer was not told of a revocation");
    const text = "the revocation was over while a mapping was held";
    session.demand("EXP-034", !isOver || held.attachment.mappingCount === 0, text);
    work.signal();
    held.mapping.unmap();
    const gaveUp = await session.refusal(() => revocation, "a revocation");
    if (gaveUp?.code === "WAIT_TIMED_OUT") {
      await session.inTime(revoke.call(check, api, held.buffer), "a second revocation");
    }
    await refusesAll(session, held);
  };

  const givenBack = async (
    session: Session,
    { api }: OpenedExporter<Api>,
    held: Held,
  ): Promise<boolean> => {
    if (check.restore === undefined) {
      return false;
    }
    check.restore(api, held.buffer);
    const refused = await session.refusal(() => {
      held.mapping = held.attachment.map("bidirectional");
    }, "a map");
    session.demand("EXP-034", refused === undefined, `restored, and refuses: ${refused?.message}`);
    if (refused === undefined) {
      await arrived(session, held.mapping);
    }
    return refused === undefined;
  };

  const revoked =
    (lifetime: Lifetime, moves: "none" | "over" | "under way"): Body =>
    async (session, exporter) => {
      claimed(check.revoke, "revoke");
      if (moves !== "none") {
        claimed(check.move, "move");
      }
      const others: DmaBuf[] = [];
      const another = (): void =>
        void others.push(exporter.allocate(HELD_BYTES, check.wishes ?? {}));
      another();
      const held = new HeldBuffer(tested, session, exporter, lifetime);
      another();
      await held.fill();
      if (moves === "over") {
        await held.moveSurely();
        await held.fill();
      }
      const work = moves === "under way" ? await moving(held) : undefined;
      await takenAway(session, exporter, held, work);
      if (await givenBack(session, exporter, held)) {
        await takenAway(session, exporter, held);
        check.restore?.(exporter.api, held.buffer);
      }
      held.attachment.detach();
      for (const each of [...others, held.buffer]) {
        each.close();
      }
    };

  return [
    exporterCheck(
      tested,
      "a revocation takes everything",
      ["EXP-034"],
      revoked("revocable", "none"),
    ),
    exporterCheck(
      tested,
      "a revocation waits for importers that follow moves",
      ["EXP-034", "EXP-020"],
      revoked("movable", "none"),
    ),
    exporterCheck(
      tested,
      "a revocation takes what was moved before",
      ["EXP-034", "EXP-020"],
      revoked("movable", "over"),
    ),
    exporterCheck(
      tested,
      "a revocation takes what moves at this moment",
      ["EXP-034", "EXP-020"],
      revoked("movable", "under way"),
    ),
  ];
}

/** A move that waits for this work. */
async function moving<Options, Api>(held: HeldBuffer<Options, Api>): Promise<SoftwareFence> {
  const work = held.work("a device that delays a move", "read");
  await held.move();
  if (!held.mapping.isStale) {
    work.signal();
    throw new NotClaimed("it does not move");
  }
  held.remap();
  return work;
}

async function refusesAll<Options, Api>(
  session: Session,
  { buffer, attachment }: HeldBuffer<Options, Api>,
): Promise<void> {
  const steps = {
    attach: () => buffer.attach(session.probe(1, "revocable")),
    map: () => attachment.map("to-device"),
    "CPU access": () => buffer.read(0, 1),
  };
  for (const [what, step] of Object.entries(steps)) {
    const refused = await session.refusal(step, what);
    const isGone = refused?.code === "DEVICE_GONE" || refused?.code === "WRONG_ORDER";
    session.demand(
      "EXP-034",
      isGone,
      `${what} of a revoked buffer: ${refused?.code ?? "went through"}`,
    );
  }
}
