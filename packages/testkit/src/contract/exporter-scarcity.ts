/**
 * Exporter scarcity: what happens when there is no memory, and whether buffers use anything up.
 */
import {
  DMA,
  type DmaBuf,
  NegotiationError,
  type OpenedExporter,
  PeerbufError,
} from "@peerbuf/core";
import type { ContractCheck } from "./contract.ts";
import {
  allocated,
  arrived,
  type ExporterUnderTest,
  exporterCheck,
  letGo,
  roomOf,
} from "./exporter-under-test.ts";
import { NotClaimed, type Session } from "./session.ts";
import { StarvedPlatform } from "./starved-platform.ts";

/** More than any machine has. */
const TOO_MUCH_BYTES = 2 ** 46;
/** There is not so much now, or can never be. */
const REFUSALS: readonly string[] = ["MEMORY_EXHAUSTED", "ARGUMENT_INVALID"];
/** Allocations of host pages that fail one after the other, each in a world of its own. */
const STARVED_AT_MAX = 4;

export function scarcityChecks<Options, Api>(
  tested: ExporterUnderTest<Options, Api>,
): ContractCheck[] {
  const { wishes = {} } = tested.check;
  type Body = (session: Session, exporter: OpenedExporter<Api>) => Promise<void>;

  const tooMuch: Body = async (session, exporter) => {
    const answer = await tooMuchOf(session, () => exporter.allocate(TOO_MUCH_BYTES, wishes));
    session.demand("EXP-035", REFUSALS.includes(answer), `64 TiB: ${answer}`);
    const buffer = allocated(exporter, tested);
    session.demand("EXP-035", buffer !== undefined, "nothing can be had after a refusal");
    buffer?.close();
  };

  const filled: Body = async (session, exporter) => {
    const counts: number[] = [];
    for (let round = 0; round < 3; round++) {
      counts.push(roomOf(exporter, tested));
      await session.rest();
    }
    const [first = 0] = counts;
    const text = `there was room for ${counts.join(", then ")} buffers`;
    session.demand(
      "EXP-037",
      counts.every((count) => count >= first),
      text,
    );
  };

  const starved = (failing: number): ContractCheck => {
    const platforms: StarvedPlatform[] = [];
    const body: Body = async (session, exporter) => {
      const platform = platforms.at(-1) as StarvedPlatform;
      const before = roomOf(exporter, tested);
      await session.rest();
      platform.starve(failing);
      await useOnce(session, () => allocated(exporter, tested));
      platform.feed();
      await session.rest();
      const after = roomOf(exporter, tested);
      const text = `there was room for ${before} buffers, and after the shortage for ${after}`;
      session.demand("EXP-036", after >= before, text);
      if (!platform.hasStarved && failing === 1) {
        throw new NotClaimed("it takes no host pages");
      }
    };
    const name = `the ${failing}. allocation of host pages fails cleanly`;
    return exporterCheck(tested, name, ["EXP-036"], body, {
      platformOf: (inner) => {
        const platform = new StarvedPlatform(inner);
        platforms.push(platform);
        return platform;
      },
    });
  };

  return [
    exporterCheck(tested, "more than there is is refused", ["EXP-035"], tooMuch),
    exporterCheck(tested, "buffers come and go without loss", ["EXP-037"], filled),
    ...Array.from({ length: STARVED_AT_MAX }, (_, at) => starved(at + 1)),
  ];
}

/** The code of the refusal. Who promises memory and takes it later may refuse the first mapping. */
async function tooMuchOf(session: Session, allocate: () => DmaBuf): Promise<string> {
  try {
    using buffer = allocate();
    using attachment = buffer.attach(session.probe(0, "movable"));
    attachment.map("to-device").unmap();
    return "were given";
  } catch (error) {
    return error instanceof NegotiationError
      ? "MEMORY_EXHAUSTED"
      : error instanceof PeerbufError
        ? error.code
        : String(error);
  }
}

/** A whole use of one buffer, in which any step may be refused. */
async function useOnce(session: Session, allocate: () => DmaBuf | undefined): Promise<void> {
  const buffer = allocate();
  if (buffer === undefined) {
    return;
  }
  const refused = await session.refusal(() => {
    const attachment = buffer.attach(session.probe(0, "pinned", [{ type: DMA }]));
    try {
      attachment.map("bidirectional").unmap();
    } finally {
      attachment.detach();
    }
  }, "a use without memory");
  await session.rest();
  if (refused !== undefined) {
    buffer.close();
    return;
  }
  const attachment = buffer.attach(session.probe(0, "movable"));
  const mapping = attachment.map("to-device");
  await arrived(session, mapping);
  letGo(buffer, attachment, mapping);
}
