/**
 * Exporter scarcity: what happens when there is no memory, and whether buffers use anything up.
 */
import { DMA, type DmaBuf, type OpenedExporter, PeerbufError } from "@peerbuf/core";
import type { ContractCheck } from "./contract.ts";
import {
  arrived,
  BUFFER_BYTES,
  type ExporterUnderTest,
  exporterCheck,
  letGo,
} from "./exporter-under-test.ts";
import { NotClaimed, type Session } from "./session.ts";
import { StarvedPlatform } from "./starved-platform.ts";

/** More than any machine has. */
const TOO_MUCH_BYTES = 2 ** 46;
/** There is not so much now, or can never be. */
const REFUSALS: readonly string[] = ["MEMORY_EXHAUSTED", "ARGUMENT_INVALID"];
/** Buffers that are asked for before memory counts as plenty. */
const BUFFERS_MAX = 64;
/** Allocations of host pages that fail one after the other, each in a world of its own. */
const STARVED_AT_MAX = 4;

export function scarcityChecks<Options, Api>(
  tested: ExporterUnderTest<Options, Api>,
): ContractCheck[] {
  const { wishes = {} } = tested.check;
  type Body = (session: Session, exporter: OpenedExporter<Api>) => Promise<void>;

  const allocate = (exporter: OpenedExporter<Api>): DmaBuf | undefined => {
    try {
      return exporter.allocate(BUFFER_BYTES, wishes);
    } catch (error) {
      if (error instanceof PeerbufError && error.code === "MEMORY_EXHAUSTED") {
        return undefined;
      }
      throw error;
    }
  };

  const tooMuch: Body = async (session, exporter) => {
    let answer = "were given";
    try {
      exporter.allocate(TOO_MUCH_BYTES, wishes).close();
    } catch (error) {
      answer = error instanceof PeerbufError ? error.code : String(error);
    }
    session.demand("EXP-035", REFUSALS.includes(answer), `64 TiB: ${answer}`);
    const buffer = allocate(exporter);
    session.demand("EXP-035", buffer !== undefined, "nothing can be had after a refusal");
    buffer?.close();
  };

  const fill = (exporter: OpenedExporter<Api>): DmaBuf[] => {
    const buffers: DmaBuf[] = [];
    while (buffers.length < BUFFERS_MAX) {
      const buffer = allocate(exporter);
      if (buffer === undefined) {
        break;
      }
      buffers.push(buffer);
    }
    return buffers;
  };

  const filled: Body = async (session, exporter) => {
    const counts: number[] = [];
    for (let round = 0; round < 3; round++) {
      const buffers = fill(exporter);
      counts.push(buffers.length);
      for (const buffer of buffers) {
        buffer.close();
      }
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
      platform.starve(failing);
      await useOnce(session, () => allocate(exporter));
      platform.feed();
      const buffer = allocate(exporter);
      session.demand("EXP-036", buffer !== undefined, "nothing can be had after the shortage");
      buffer?.close();
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
