/**
 * Exporter motion: memory that moves or is taken away, while importers look on.
 */
import {
  type Attachment,
  type DmaBuf,
  type Mapping,
  type OpenedExporter,
  SoftwareFence,
} from "@peerbuf/core";
import type { ContractCheck } from "./contract.ts";
import {
  arrived,
  BUFFER_BYTES,
  type ExporterUnderTest,
  exporterCheck,
  letGo,
} from "./exporter-under-test.ts";
import { difference, later, NotClaimed, type Probe, patternOf, type Session } from "./session.ts";

/** One importer with a mapping of a buffer that holds a pattern. */
interface Held {
  readonly buffer: DmaBuf;
  readonly probe: Probe;
  readonly attachment: Attachment;
  mapping: Mapping;
}

export function motionChecks<Options, Api>(
  tested: ExporterUnderTest<Options, Api>,
): ContractCheck[] {
  const { check } = tested;
  const { wishes = {} } = check;
  type Body = (session: Session, exporter: OpenedExporter<Api>) => Promise<void>;

  const held = async (
    session: Session,
    exporter: OpenedExporter<Api>,
    lifetime: "movable" | "revocable" | "pinned",
  ): Promise<Held> => {
    const buffer = exporter.allocate(BUFFER_BYTES, wishes);
    const probe = session.probe(0, lifetime);
    const attachment = buffer.attach(probe);
    const mapping = attachment.map("bidirectional");
    await arrived(session, mapping);
    if (session.world.transfer !== undefined) {
      await session.transfer(mapping, 0, "write", patternOf(1, BUFFER_BYTES));
    }
    return { buffer, probe, attachment, mapping };
  };

  const moved: Body = async (session, exporter) => {
    const move = claimed(check.move, "move");
    const it = await held(session, exporter, "movable");
    for (let round = 0; round < 2; round++) {
      move.call(check, exporter.api, it.buffer);
      if (round > 0 && !it.mapping.isStale) {
        break; // It had one place to go to.
      }
      const isTold = it.mapping.isStale && it.probe.told === round + 1;
      session.demand("EXP-032", isTold, `move ${round + 1}: the importer was not told`);
      it.mapping.unmap();
      it.mapping = it.attachment.map("bidirectional");
      await stillThere(session, it, "EXP-031");
    }
    letGo(it.buffer, it.attachment, it.mapping);
  };

  const movedMidway: Body = async (session, exporter) => {
    const move = claimed(check.move, "move");
    const it = await held(session, exporter, "movable");
    move.call(check, exporter.api, it.buffer);
    it.mapping.unmap();
    const other = it.buffer.attach(session.probe(1, "movable"));
    it.mapping = it.attachment.map("to-device");
    const second = other.map("to-device");
    await stillThere(session, it, "EXP-031");
    await arrived(session, second);
    second.unmap();
    other.detach();
    letGo(it.buffer, it.attachment, it.mapping);
  };

  /** The importer's device still works on the old place when the move begins. */
  const movedUnderWork: Body = async (session, exporter) => {
    const move = claimed(check.move, "move");
    const it = await held(session, exporter, "movable");
    const { domain } = it.buffer.reservation;
    const names = { driverName: "suite", timelineName: "work under a move" };
    const work = new SoftwareFence(domain.createContext(names), 1);
    it.buffer.addFence(work, "bookkeep");
    move.call(check, exporter.api, it.buffer);
    await session.rest();
    const isWaiting = !it.mapping.isStale || it.buffer.reservation.getFences("kernel").length > 0;
    session.demand("EXP-019", isWaiting, "the move was over while a device still worked");
    work.signal();
    it.mapping.unmap();
    it.mapping = it.attachment.map("bidirectional");
    await stillThere(session, it, "EXP-031");
    letGo(it.buffer, it.attachment, it.mapping);
  };

  const pinned: Body = async (session, exporter) => {
    const move = claimed(check.move, "move");
    const it = await held(session, exporter, "pinned");
    const refused = await session.refusal(
      () => move.call(check, exporter.api, it.buffer),
      "a move of pinned memory",
    );
    await session.rest();
    const isSame = !it.mapping.isStale;
    session.demand("EXP-033", isSame, `pinned memory moved: ${refused?.message ?? "unsaid"}`);
    await stillThere(session, it, "EXP-033");
    letGo(it.buffer, it.attachment, it.mapping);
  };

  const revoked: Body = async (session, exporter) => {
    const revoke = claimed(check.revoke, "revoke");
    const it = await held(session, exporter, "revocable");
    const revocation = later(revoke.call(check, exporter.api, it.buffer));
    session.demand("EXP-034", it.mapping.isStale, "the importer was not told of a revocation");
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    revocation.then(over, () => undefined);
    await session.ticks(8);
    session.demand("EXP-034", !isOver, "the revocation was over while a mapping was held");
    it.mapping.unmap();
    const gaveUp = await session.refusal(() => revocation, "a revocation");
    if (gaveUp?.code === "WAIT_TIMED_OUT") {
      await session.inTime(revoke.call(check, exporter.api, it.buffer), "a second revocation");
    }
    await refusesAll(session, it);
    if (check.restore !== undefined) {
      check.restore(exporter.api, it.buffer);
      it.attachment.map("to-device").unmap();
    }
    it.attachment.detach();
    it.buffer.close();
  };

  return [
    exporterCheck(tested, "a move keeps every byte", ["EXP-031", "EXP-032", "EXP-018"], moved),
    exporterCheck(
      tested,
      "mappings made while the bytes move lead to them",
      ["EXP-031", "EXP-019", "IMP-022"],
      movedMidway,
    ),
    exporterCheck(
      tested,
      "a move waits for the work that runs",
      ["EXP-019", "EXP-020", "EXP-031"],
      movedUnderWork,
    ),
    exporterCheck(tested, "pinned memory stays", ["EXP-033", "EXP-017"], pinned),
    exporterCheck(tested, "a revocation takes everything", ["EXP-034"], revoked),
  ];
}

function claimed<T>(ability: T | undefined, what: string): T {
  if (ability === undefined) {
    throw new NotClaimed(`check.${what} is not given`);
  }
  return ability;
}

async function stillThere(
  session: Session,
  { mapping }: Held,
  rule: "EXP-031" | "EXP-033",
): Promise<void> {
  await session.whenReady(mapping, 0, (bytes) => {
    const wrong = difference(bytes, patternOf(1, BUFFER_BYTES));
    session.demand(rule, wrong === undefined, `said to be there and are not: ${wrong}`);
  });
  if (session.world.transfer !== undefined) {
    const bytes = new Uint8Array(BUFFER_BYTES);
    await session.transfer(mapping, 0, "read", bytes);
    const wrong = difference(bytes, patternOf(1, BUFFER_BYTES));
    session.demand(rule, wrong === undefined, `bytes were lost: ${wrong}`);
  }
}

async function refusesAll(session: Session, { buffer, attachment }: Held): Promise<void> {
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
