/**
 * Exporter brackets: CPU accesses beside each other and beside devices.
 */
import type { CpuAccess, CpuUse, DmaBuf, Mapping, OpenedExporter } from "@peerbuf/core";
import { PeerbufError } from "@peerbuf/core";
import type { ContractCheck } from "./contract.ts";
import {
  arrived,
  BUFFER_BYTES,
  type ExporterUnderTest,
  exporterCheck,
  letGo,
} from "./exporter-under-test.ts";
import { difference, NotClaimed, patternOf, type Session } from "./session.ts";

/** What a device writes, or the CPU within a bracket. */
const OFFSET = 4090;
const LENGTH = 12;

export function bracketChecks<Options, Api>(
  tested: ExporterUnderTest<Options, Api>,
): ContractCheck[] {
  const { wishes = {} } = tested.check;
  type Body = (session: Session, exporter: OpenedExporter<Api>) => Promise<void>;

  const shared =
    (body: (session: Session, buffer: DmaBuf, mapping: Mapping) => Promise<void>): Body =>
    async (session, exporter) => {
      const buffer = exporter.allocate(BUFFER_BYTES, wishes);
      const attachment = buffer.attach(session.probe(0, "pinned"));
      const mapping = attachment.map("bidirectional");
      await arrived(session, mapping);
      try {
        await body(session, buffer, mapping);
      } finally {
        letGo(buffer, attachment, mapping);
      }
    };

  const readWrite = shared(async (session, buffer, mapping) => {
    for (const [seed, use] of (["read-write", "write", "read-write"] as const).entries()) {
      const access = await begun(session, buffer, use);
      await session.inTime(access.write(OFFSET, patternOf(seed, LENGTH)), "a write by the CPU");
      await session.inTime(access.end(), "the end of a bracket");
      await deviceSees(session, mapping, patternOf(seed, LENGTH), `a ${use} bracket`);
    }
  });

  const readOnly = shared(async (session, buffer, mapping) => {
    const access = await begun(session, buffer, "read");
    const bytes = patternOf(7, BUFFER_BYTES);
    await session.transfer(mapping, 0, "write", bytes);
    await session.inTime(access.end(), "the end of a bracket");
    const part = bytes.subarray(OFFSET, OFFSET + LENGTH);
    await deviceSees(session, mapping, part, "a device, before a bracket for reading ended,");
  });

  const nested = shared(async (session, buffer, mapping) => {
    const outer = await begun(session, buffer, "write");
    const inner = await begun(session, buffer, "write");
    await session.inTime(inner.write(OFFSET, patternOf(8, LENGTH)), "a write by the CPU");
    await session.inTime(inner.end(), "the end of a bracket");
    await deviceSees(session, mapping, patternOf(8, LENGTH), "a bracket inside of another");
    await session.inTime(outer.end(), "the end of a bracket");
    await deviceSees(session, mapping, patternOf(8, LENGTH), "a bracket inside of another");
  });

  return [
    exporterCheck(tested, "what a bracket wrote devices see", ["EXP-029"], readWrite),
    exporterCheck(tested, "a bracket for reading writes nothing back", ["EXP-029"], readOnly),
    exporterCheck(tested, "the end of an inner bracket counts", ["EXP-029", "EXP-040"], nested),
  ];
}

/** A bracket, where the memory is for the CPU. */
export async function begun(session: Session, buffer: DmaBuf, use: CpuUse): Promise<CpuAccess> {
  try {
    return await session.inTime(buffer.beginCpuAccess(use), "the begin of a bracket");
  } catch (error) {
    if (error instanceof PeerbufError && error.code === "WRONG_ORDER") {
      throw new NotClaimed("this memory is not for the CPU");
    }
    throw error;
  }
}

async function deviceSees(
  session: Session,
  mapping: Mapping,
  bytes: Uint8Array,
  who: string,
): Promise<void> {
  const seen = new Uint8Array(BUFFER_BYTES);
  await session.transfer(mapping, 0, "read", seen);
  const wrong = difference(seen.subarray(OFFSET, OFFSET + LENGTH), bytes);
  session.demand("EXP-029", wrong === undefined, `what ${who} wrote is gone: ${wrong}`);
}
