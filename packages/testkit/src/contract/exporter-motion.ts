/**
 * Exporter motion: memory that moves while importers look on.
 */
import {
  type DmaBuf,
  FenceError,
  type Lifetime,
  type Mapping,
  type OpenedExporter,
  PeerbufError,
  type SoftwareFence,
} from "@peerbuf/core";
import type { ContractCheck } from "./contract.ts";
import { begun } from "./exporter-brackets.ts";
import {
  arrived,
  BUFFER_BYTES,
  type ExporterUnderTest,
  exporterCheck,
  requireOwnMemory,
} from "./exporter-under-test.ts";
import { claimed, HELD_BYTES, HeldBuffer } from "./held-buffer.ts";
import { difference, later, patternOf, type Session } from "./session.ts";

/** What the CPU writes after a move: across pages, and the last byte alone. */
const PARTS: readonly (readonly [offset: number, length: number])[] = [
  [1, 3],
  [4095, 2],
  [HELD_BYTES - 1, 1],
];
/** Moves of one buffer: to each place more than once. */
const MOVES = 5;

export function motionChecks<Options, Api>(
  tested: ExporterUnderTest<Options, Api>,
): ContractCheck[] {
  type Held = HeldBuffer<Options, Api>;
  type Body = (session: Session, exporter: OpenedExporter<Api>, held: Held) => Promise<void>;

  const check = (
    name: string,
    rules: ContractCheck["rules"],
    lifetime: Lifetime,
    body: Body,
  ): ContractCheck =>
    exporterCheck(tested, name, rules, async (session, exporter) => {
      claimed(tested.check.move, "move");
      const held = new HeldBuffer(tested, session, exporter, lifetime);
      await held.fill();
      await body(session, exporter, held);
      held.letGo();
    });

  const moved: Body = async (session, _exporter, held) => {
    for (let round = 1; round <= MOVES; round++) {
      await held.move();
      if (round > 1 && !held.mapping.isStale) {
        break; // It had one place to go to.
      }
      await demandTold(session, held, round);
      held.remap();
      await held.stillThere("EXP-031");
      await held.fill(round + 1);
      await sameForCpu(session, held, patternOf(round + 1, HELD_BYTES));
      await held.fill(round + 1);
    }
  };

  const movedMidway: Body = async (session, _exporter, held) => {
    await held.move();
    const other = held.buffer.attach(session.probe(1, "movable"));
    held.remap();
    const second = other.map("to-device");
    await held.stillThere("EXP-031");
    await arrived(session, second);
    second.unmap();
    other.detach();
  };

  /** Importers' devices still work on the old place when the move begins. */
  const movedUnderWork: Body = async (session, _exporter, held) => {
    for (let round = 1; round <= 2; round++) {
      const works = (["read", "write", "bookkeep"] as const).map((usage) =>
        held.work(`${usage} ${round}`, usage),
      );
      await held.move();
      const { isStale } = held.mapping;
      for (const work of works) {
        await session.rest();
        const isWaiting = !isStale || held.buffer.reservation.getFences("kernel").length > 0;
        session.demand("EXP-019", isWaiting, "the move was over while a device still worked");
        if (round > 1) {
          work.setError(new FenceError("EIO", "the device has failed")); // The bytes are no less needed.
        }
        work.signal();
      }
      held.remap();
      await held.stillThere("EXP-031");
    }
  };

  /** The importer's last work is known only when it is told (Linux: fences are added in move_notify). */
  const movedUnderLateWork: Body = async (session, _exporter, held) => {
    let work: SoftwareFence | undefined;
    held.probe.whenTold = () => {
      work ??= held.work("work that was under way", "bookkeep");
    };
    await held.move();
    await session.rest();
    const isWaiting = work === undefined || held.buffer.reservation.getFences("kernel").length > 0;
    const text = "the move was over while work ran that was published when its importer was told";
    session.demand("EXP-019", isWaiting, text);
    work?.signal();
    held.remap();
    await held.stillThere("EXP-031");
  };

  /** A move in the middle of a bracket: what the CPU writes is not overtaken by the copy. */
  const movedUnderCpu: Body = async (session, _exporter, held) => {
    for (let round = 1; round <= 2; round++) {
      const access = await begun(session, held.buffer, "read-write");
      const work = held.work(`a reader ${round}`, "read");
      await held.move();
      const part = patternOf(60 + round, 8);
      const written = later(access.write(4092, part));
      await session.rest();
      work.signal(); // Who waits for the bytes to arrive waits for this.
      await session.inTime(written, "a write by the CPU");
      await session.inTime(access.end(), "the end of a bracket");
      held.remap();
      await arrived(session, held.mapping);
      const seen = new Uint8Array(HELD_BYTES);
      await session.transfer(held.mapping, 0, "read", seen);
      const wrong = difference(seen.subarray(4092, 4100), part);
      const text = `what the CPU wrote while the bytes moved is gone: ${wrong}`;
      session.demand("EXP-029", wrong === undefined, text);
      await held.fill(round + 1);
    }
  };

  /** The memory that is left goes to somebody else, while devices still read it. */
  const movedForOthers: Body = async (session, exporter, held) => {
    requireOwnMemory(tested);
    const work = held.work("a late reader", "read");
    await held.move();
    const other = exporter.allocate(BUFFER_BYTES, tested.check.wishes ?? {});
    const attachment = other.attach(session.probe(1, "movable"));
    const mapping = attachment.map("from-device");
    await session.rest();
    const waits = mapping.ready?.isSignaled === false; // Then for the place: nothing can go wrong.
    if (!waits) {
      await session.transfer(mapping, 1, "write", patternOf(9, BUFFER_BYTES));
    }
    work.signal();
    await arrived(session, mapping);
    held.remap();
    await held.stillThere("EXP-038");
    mapping.unmap();
    attachment.detach();
    other.close();
  };

  /** Copies of others are over before the first one's may begin. */
  const movedTogether: Body = async (session, exporter, held) => {
    requireOwnMemory(tested);
    const others = [5, 6].map(() => new HeldBuffer(tested, session, exporter, "movable"));
    for (const [at, other] of others.entries()) {
      await other.fill(5 + at);
    }
    const all = [held, ...others];
    for (const near of all) {
      const work = near.work("a reader", "read");
      await near.move();
      for (const far of all.filter((each) => each !== near)) {
        await far.move();
      }
      await session.rest();
      work.signal();
      for (const each of all) {
        each.remap();
        await each.stillThere("EXP-031");
      }
    }
    for (const other of others) {
      other.letGo();
    }
  };

  const closedMidway: Body = async (session, _exporter, held) => {
    await held.move();
    held.remap();
    await session.ticks(1);
  };

  const pinned: Body = async (session, _exporter, held) => {
    await held.move();
    await session.rest();
    session.demand("EXP-033", !held.mapping.isStale, "pinned memory moved");
    await held.stillThere("EXP-033");
  };

  /** One pin of two is undone: the memory is as pinned as before, and then it is not. */
  const pinnedTwice: Body = async (session, _exporter, held) => {
    for (const lifetime of ["pinned", "movable"] as const) {
      const other = held.buffer.attach(session.probe(1, lifetime));
      const mapping = other.map("to-device");
      held.attachment.map("to-device").unmap();
      await held.move();
      await session.rest();
      session.demand("EXP-033", !held.mapping.isStale, "pinned memory moved when a pin was undone");
      await held.stillThere("EXP-033");
      other.map("to-device").unmap();
      mapping.unmap();
      other.detach();
    }
  };

  return [
    check("a move keeps every byte", ["EXP-031", "EXP-032", "EXP-018"], "movable", moved),
    check(
      "mappings made while the bytes move lead to them",
      ["EXP-031", "EXP-019", "IMP-022"],
      "movable",
      movedMidway,
    ),
    check(
      "a move waits for the work that runs",
      ["EXP-019", "EXP-020", "EXP-031"],
      "movable",
      movedUnderWork,
    ),
    check(
      "a move waits for work that its importer names when it is told",
      ["EXP-019", "EXP-020", "EXP-031"],
      "movable",
      movedUnderLateWork,
    ),
    check(
      "the CPU writes to a buffer that moves",
      ["EXP-029", "EXP-031"],
      "movable",
      movedUnderCpu,
    ),
    check(
      "the old place is nobody else's while it is in use",
      ["EXP-038", "EXP-013"],
      "movable",
      movedForOthers,
    ),
    check(
      "moves of two buffers end in any order",
      ["SYN-005", "EXP-031"],
      "movable",
      movedTogether,
    ),
    check("a buffer can be closed while it moves", ["SYN-002", "EXP-021"], "movable", closedMidway),
    check("pinned memory stays", ["EXP-033", "EXP-017"], "pinned", pinned),
    check("pins are counted", ["EXP-033", "EXP-017", "EXP-018"], "pinned", pinnedTwice),
  ];
}

/** Who is not told may learn it from the checker: a second mapping shows where the bytes are now. */
async function demandTold<Options, Api>(
  session: Session,
  { buffer, wasTold }: HeldBuffer<Options, Api>,
  moves: number,
): Promise<void> {
  if (!wasTold) {
    const other = buffer.attach(session.probe(1, "movable"));
    other.map("to-device").unmap();
    other.detach();
  }
  session.demand("EXP-032", wasTold, `move ${moves}: the importer was not told`);
}

/** The CPU, where it may, sees what a device wrote; and what it writes the device sees. */
async function sameForCpu(
  session: Session,
  { buffer, mapping }: { readonly buffer: DmaBuf; readonly mapping: Mapping },
  bytes: Uint8Array,
): Promise<void> {
  try {
    const read = await session.inTime(buffer.read(0, HELD_BYTES), "a read by the CPU");
    const wrong = difference(read, bytes);
    session.demand("EXP-029", wrong === undefined, `the CPU reads after a move: ${wrong}`);
    for (const [seed, [offset, length]] of PARTS.entries()) {
      const part = patternOf(seed, length);
      bytes.set(part, offset);
      await session.inTime(buffer.write(offset, part), "a write by the CPU");
      const back = await session.inTime(buffer.read(offset, length), "a read by the CPU");
      const differs = difference(back, part);
      session.demand("EXP-028", differs === undefined, `${length} bytes at ${offset}: ${differs}`);
    }
  } catch (error) {
    if (!(error instanceof PeerbufError && error.code === "WRONG_ORDER")) {
      throw error;
    }
  }
  const seen = new Uint8Array(HELD_BYTES);
  await session.transfer(mapping, 0, "read", seen);
  const lost = difference(seen, bytes);
  session.demand("EXP-029", lost === undefined, `a device reads after a move: ${lost}`);
}
