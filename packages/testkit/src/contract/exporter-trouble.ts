/**
 * Exporter trouble: what goes wrong around a buffer, and what is left of it afterwards.
 */
import {
  DMA,
  type DmaBuf,
  LockOwner,
  type MappingOffer,
  NegotiationError,
  type OpenedExporter,
  P2P,
} from "@peerbuf/core";
import type { ContractCheck } from "./contract.ts";
import { RefusingPlatform } from "./dma-refusing-platform.ts";
import { begun } from "./exporter-brackets.ts";
import { arrived, type ExporterUnderTest, exporterCheck, roomOf } from "./exporter-under-test.ts";
import { claimed, HeldBuffer, SUITE } from "./held-buffer.ts";
import { NotClaimed, type Session } from "./session.ts";
import { StarvedPlatform } from "./starved-platform.ts";

const ALWAYS = Number.POSITIVE_INFINITY;
/** To and fro. */
const MOVES = 6;
const PEERS_ONLY: readonly MappingOffer[] = [{ type: P2P, require: true }];
const SYSTEM_ONLY: readonly MappingOffer[] = [{ type: DMA }];

export function troubleChecks<Options, Api>(
  tested: ExporterUnderTest<Options, Api>,
): ContractCheck[] {
  type Body = (session: Session, exporter: OpenedExporter<Api>) => Promise<void>;
  type Held = HeldBuffer<Options, Api>;

  /** A buffer that is sure to move: another one did. Some have one place to go to, others come back. */
  const mover = async (
    session: Session,
    exporter: OpenedExporter<Api>,
  ): Promise<{ held: Held; comesBack: boolean }> => {
    claimed(tested.check.move, "move");
    const scout = new HeldBuffer(tested, session, exporter, "movable");
    await scout.moveSurely();
    await scout.move();
    const comesBack = scout.mapping.isStale;
    scout.letGo();
    await session.rest();
    const held = new HeldBuffer(tested, session, exporter, "movable");
    await held.fill();
    return { held, comesBack };
  };

  /** It serves as before, and moves as before. */
  const asBefore = async (
    session: Session,
    { held, comesBack }: { held: Held; comesBack: boolean },
    what: string,
  ): Promise<void> => {
    await session.rest();
    const hasMoved = held.probe.told > 0;
    await held.move();
    const moves = held.mapping.isStale || (hasMoved && !comesBack);
    session.demand("EXP-045", moves, `after ${what} the buffer moves no more`);
    held.remap();
    await held.stillThere("EXP-031");
    await held.move();
    held.remap();
    await held.stillThere("EXP-031");
  };

  const refusedMaps = (session: Session, held: Held, platform: RefusingPlatform): void => {
    platform.isRefusing = true;
    for (const lifetime of ["movable", "pinned", "revocable"] as const) {
      const attachment = held.buffer.attach(session.probe(1, lifetime));
      for (const direction of ["to-device", "from-device"] as const) {
        tolerated(() => attachment.map(direction).unmap());
      }
      attachment.detach();
    }
    platform.isRefusing = false;
  };

  const platforms: RefusingPlatform[] = [];
  const unmappable: Body = async (session, exporter) => {
    const moving = await mover(session, exporter);
    const { held } = moving;
    refusedMaps(session, held, platforms.at(-1) as RefusingPlatform);
    held.remap();
    await asBefore(session, moving, "mappings that the DMA layer refused");
    held.letGo();
  };

  /** Whoever needs the memory where it cannot be now is refused, or waits; nothing is left of it. */
  const contended: Body = async (session, exporter) => {
    const moving = await mover(session, exporter);
    const { held } = moving;
    for (const [near, far] of [
      [PEERS_ONLY, SYSTEM_ONLY],
      [SYSTEM_ONLY, PEERS_ONLY],
    ] as const) {
      held.mapping.unmap();
      withPin(session, held.buffer, near, () => {
        for (const lifetime of ["pinned", "revocable", "movable"] as const) {
          tolerated(() => {
            const attachment = held.buffer.attach(session.probe(1, lifetime, far));
            try {
              tolerated(() => attachment.map("to-device").unmap());
            } finally {
              attachment.detach();
            }
          });
        }
      });
      held.mapping = held.attachment.map("bidirectional");
      await arrived(session, held.mapping);
    }
    await asBefore(session, moving, "pins and mappings that were refused");
    held.letGo();
  };

  const bracketed: Body = async (session, exporter) => {
    const moving = await mover(session, exporter);
    const { held } = moving;
    for (const use of ["read", "write", "read-write"] as const) {
      const access = await begun(session, held.buffer, use);
      await session.inTime(access.end(), "the end of a bracket");
    }
    await asBefore(session, moving, "CPU accesses that are over");
    held.letGo();
  };

  /** Somebody holds the reservation at the moment of an eviction. */
  const locked: Body = async (session, exporter) => {
    const moving = await mover(session, exporter);
    const { held } = moving;
    const owner = new LockOwner(SUITE);
    for (let round = 0; round < 2; round++) {
      held.buffer.reservation.tryLock(owner);
      await held.move();
      held.buffer.reservation.unlock(owner);
      await session.rest();
      if (held.mapping.isStale) {
        held.remap();
      }
      await held.stillThere("EXP-031");
    }
    await asBefore(session, moving, "an eviction that found it locked");
    held.letGo();
  };

  const usedUp: Body = async (session, exporter) => {
    const moving = await mover(session, exporter);
    const { held } = moving;
    const before = roomOf(exporter, tested);
    for (let round = 0; round < MOVES; round++) {
      await held.move();
      held.remap();
      await held.stillThere("EXP-031");
    }
    const after = roomOf(exporter, tested);
    const text = `there was room for ${before} buffers, and after ${MOVES} moves for ${after}`;
    session.demand("EXP-037", after >= before, text);
    held.letGo();
  };

  const hungry: StarvedPlatform[] = [];
  const starved: Body = async (session, exporter) => {
    const moving = await mover(session, exporter);
    const { held } = moving;
    for (let round = 0; round < 2; round++) {
      hungry.at(-1)?.starve(1);
      await held.move();
      hungry.at(-1)?.feed();
      if (held.mapping.isStale) {
        held.remap();
      }
      await held.stillThere("EXP-036");
    }
    await asBefore(session, moving, "a move for which there was no memory");
    held.letGo();
  };

  /** Once: whoever tries again brings all bytes. Always: who gives up says so. */
  const failing =
    (count: number): Body =>
    async (session, exporter) => {
      const { failCopies } = session.world;
      if (failCopies === undefined) {
        throw new NotClaimed("this world has no engine that fails");
      }
      const { held } = await mover(session, exporter);
      failCopies(count);
      await held.move();
      const wasMoved = held.mapping.isStale;
      held.remap();
      const { ready } = held.mapping;
      await arrived(session, held.mapping);
      failCopies(0);
      if (!wasMoved || ready?.error === undefined) {
        await held.stillThere(count === 1 ? "EXP-031" : "SYN-021");
      }
      held.letGo();
    };

  return [
    exporterCheck(tested, "a mapping that is refused leaves nothing", ["EXP-045"], unmappable, {
      platformOf: (inner) => {
        const platform = new RefusingPlatform(inner);
        platforms.push(platform);
        return platform;
      },
    }),
    exporterCheck(
      tested,
      "who cannot be served now is refused and leaves nothing",
      ["EXP-045", "EXP-010", "EXP-027"],
      contended,
    ),
    exporterCheck(tested, "a CPU access that is over leaves nothing", ["EXP-045"], bracketed),
    exporterCheck(tested, "an eviction that cannot be leaves nothing", ["EXP-045"], locked),
    exporterCheck(tested, "moves use nothing up", ["EXP-037"], usedUp),
    exporterCheck(tested, "a move without memory changes nothing", ["EXP-036"], starved, {
      platformOf: (inner) => {
        const platform = new StarvedPlatform(inner);
        hungry.push(platform);
        return platform;
      },
    }),
    exporterCheck(tested, "a copy that failed once is whole", ["EXP-031"], failing(1)),
    exporterCheck(tested, "a copy that fails says so", ["SYN-021"], failing(ALWAYS)),
  ];
}

/** A refusal with reasons. */
function tolerated(step: () => void): void {
  try {
    step();
  } catch (error) {
    if (!(error instanceof NegotiationError)) {
      throw error;
    }
  }
}

/** While an importer that cannot follow holds the buffer where these types want it, if it gets it at all. */
function withPin(
  session: Session,
  buffer: DmaBuf,
  types: readonly MappingOffer[],
  step: () => void,
): void {
  tolerated(() => {
    const attachment = buffer.attach(session.probe(0, "pinned", types));
    try {
      tolerated(() => {
        const mapping = attachment.map("to-device");
        try {
          step();
        } finally {
          mapping.unmap();
        }
      });
    } finally {
      attachment.detach();
    }
  });
}
