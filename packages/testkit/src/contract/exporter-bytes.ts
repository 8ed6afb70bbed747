/**
 * Exporter bytes: what is written is there, for the CPU and for every device.
 */
import {
  DMA,
  type DmaBuf,
  type Lifetime,
  NegotiationError,
  type OpenedExporter,
} from "@peerbuf/core";
import type { RuleId } from "../rules/rule.ts";
import type { ContractCheck } from "./contract.ts";
import {
  arrived,
  BUFFER_BYTES,
  cpuRead,
  cpuWrite,
  type ExporterUnderTest,
  exporterCheck,
  letGo,
} from "./exporter-under-test.ts";
import { difference, patternOf, type Session } from "./session.ts";

export function byteChecks<Options, Api>(tested: ExporterUnderTest<Options, Api>): ContractCheck[] {
  const { wishes = {} } = tested.check;
  type Body = (session: Session, exporter: OpenedExporter<Api>) => Promise<void>;

  const zeros: Body = async (session, exporter) => {
    const first = exporter.allocate(BUFFER_BYTES, wishes);
    await cpuWrite(session, first, patternOf(1, BUFFER_BYTES));
    first.close();
    await session.rest();
    const second = exporter.allocate(BUFFER_BYTES, wishes);
    const bytes = await cpuRead(session, second);
    second.close();
    const text = "new memory shows what was there before";
    session.demand(
      "EXP-005",
      bytes.every((byte) => byte === 0),
      text,
    );
  };

  const readBack: Body = async (session, exporter) => {
    const buffer = exporter.allocate(BUFFER_BYTES, wishes);
    const bytes = patternOf(2, BUFFER_BYTES);
    await cpuWrite(session, buffer, bytes);
    for (const [offset, length] of [
      [1, 3],
      [4095, 2],
      [BUFFER_BYTES - 1, 1],
    ] as const) {
      const part = patternOf(offset, length);
      bytes.set(part, offset);
      await session.inTime(buffer.write(offset, part), "a write by the CPU");
      const read = await session.inTime(buffer.read(offset, length), "a read by the CPU");
      const wrong = difference(read, part);
      session.demand("EXP-028", wrong === undefined, `${length} bytes at ${offset}: ${wrong}`);
    }
    await nestedBrackets(session, buffer);
    const wrong = difference(await cpuRead(session, buffer), bytes);
    session.demand("EXP-028", wrong === undefined, `the whole buffer: ${wrong}`);
    buffer.close();
  };

  const deviceView: Body = async (session, exporter) => {
    const buffer = exporter.allocate(BUFFER_BYTES, wishes);
    await cpuWrite(session, buffer, patternOf(3, BUFFER_BYTES));
    const attachment = buffer.attach(session.probe(0, "pinned"));
    const mapping = attachment.map("bidirectional");
    const seen = new Uint8Array(BUFFER_BYTES);
    await session.transfer(mapping, 0, "read", seen);
    const wrong = difference(seen, patternOf(3, BUFFER_BYTES));
    session.demand("EXP-029", wrong === undefined, `a device reads what the CPU wrote: ${wrong}`);
    await cpuRead(session, buffer);
    await session.transfer(mapping, 0, "write", patternOf(4, BUFFER_BYTES));
    const back = difference(await cpuRead(session, buffer), patternOf(4, BUFFER_BYTES));
    session.demand("EXP-029", back === undefined, `the CPU reads what a device wrote: ${back}`);
    letGo(buffer, attachment, mapping);
  };

  const twoImporters: Body = async (session, exporter) => {
    const buffer = exporter.allocate(BUFFER_BYTES, wishes);
    const one = buffer.attach(session.probe(0, "pinned"));
    const first = one.map("bidirectional");
    await arrived(session, first);
    using other = buffer.attach(session.probe(1, "movable"));
    using second = other.map("bidirectional");
    const seen = new Uint8Array(BUFFER_BYTES);
    await session.transfer(first, 0, "write", patternOf(5, BUFFER_BYTES));
    await session.transfer(second, 1, "read", seen);
    const wrong = difference(seen, patternOf(5, BUFFER_BYTES));
    session.demand("EXP-041", wrong === undefined, `two importers see two buffers: ${wrong}`);
    second.unmap();
    other.detach();
    letGo(buffer, one, first);
  };

  /** P2P first, then somebody who needs system memory. */
  const mixed =
    (near: Lifetime, far: Lifetime, rule: RuleId): Body =>
    async (session, exporter) => {
      const buffer = exporter.allocate(BUFFER_BYTES, wishes);
      const attachment = buffer.attach(session.probe(0, near));
      const mapping = attachment.map("to-device");
      await arrived(session, mapping);
      const refused = await session.refusal(
        () => useWithoutPeers(session, buffer, far),
        "a second importer",
      );
      const isTold = refused === undefined || refused instanceof NegotiationError;
      session.demand(rule, isTold, `refuses a second importer with ${refused?.message}`);
      letGo(buffer, attachment, mapping);
    };

  const neighbours: Body = async (session, exporter) => {
    const kept = exporter.allocate(BUFFER_BYTES, wishes);
    const other = exporter.allocate(BUFFER_BYTES, wishes);
    await cpuWrite(session, kept, patternOf(6, BUFFER_BYTES)).catch((error: unknown) => {
      other.close();
      throw error;
    });
    await cpuWrite(session, other, patternOf(7, BUFFER_BYTES));
    const first = kept.attach(session.probe(1, "movable"));
    const second = other.attach(session.probe(0, "movable"));
    const mapping = first.map("bidirectional");
    letGo(other, second, second.map("bidirectional"));
    mapping.unmap();
    first.detach();
    await session.rest();
    const third = exporter.allocate(BUFFER_BYTES, wishes);
    await cpuWrite(session, third, patternOf(8, BUFFER_BYTES));
    const wrong = difference(await cpuRead(session, kept), patternOf(6, BUFFER_BYTES));
    session.demand("EXP-038", wrong === undefined, `another buffer changed its bytes: ${wrong}`);
    kept.close();
    third.close();
  };

  return [
    exporterCheck(tested, "new memory reads as zeros", ["EXP-005"], zeros),
    exporterCheck(tested, "what the CPU writes it reads again", ["EXP-028", "EXP-040"], readBack),
    exporterCheck(tested, "CPU and device see the same bytes", ["EXP-029"], deviceView),
    exporterCheck(tested, "two importers see the same bytes", ["EXP-041", "EXP-018"], twoImporters),
    exporterCheck(
      tested,
      "an importer without P2P beside one with it is served or refused",
      ["EXP-041", "EXP-009", "EXP-018"],
      mixed("movable", "pinned", "EXP-041"),
    ),
    exporterCheck(
      tested,
      "an importer that follows moves and has no P2P is served or refused",
      ["EXP-041", "EXP-009", "EXP-018"],
      mixed("movable", "movable", "EXP-041"),
    ),
    exporterCheck(
      tested,
      "whoever comes after a pinned importer does not move its bytes",
      ["EXP-033", "EXP-017"],
      mixed("pinned", "movable", "EXP-033"),
    ),
    exporterCheck(tested, "buffers leave each other alone", ["EXP-038", "EXP-013"], neighbours),
  ];
}

async function nestedBrackets(session: Session, buffer: DmaBuf): Promise<void> {
  const outer = await session.inTime(buffer.beginCpuAccess("read"), "a bracket");
  const inner = await session.inTime(buffer.beginCpuAccess("read"), "a nested bracket");
  await session.inTime(inner.end(), "the end of a nested bracket");
  await session.inTime(outer.end(), "the end of a bracket");
}

function useWithoutPeers(session: Session, buffer: DmaBuf, lifetime: Lifetime): void {
  const attachment = buffer.attach(session.probe(1, lifetime, [{ type: DMA }]));
  try {
    attachment.map("to-device").unmap();
  } finally {
    attachment.detach();
  }
}
