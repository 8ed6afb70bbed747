/**
 * Exporter bytes: what is written is there, for the CPU and for every device.
 */
import { DMA, NegotiationError, type OpenedExporter } from "@peerbuf/core";
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
import { difference, NotClaimed, patternOf, type Session } from "./session.ts";

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
    try {
      const other = buffer.attach(session.probe(1, "movable"));
      const second = other.map("bidirectional");
      const seen = new Uint8Array(BUFFER_BYTES);
      await session.transfer(first, 0, "write", patternOf(5, BUFFER_BYTES));
      await session.transfer(second, 1, "read", seen);
      const wrong = difference(seen, patternOf(5, BUFFER_BYTES));
      session.demand("EXP-041", wrong === undefined, `two importers see two buffers: ${wrong}`);
      second.unmap();
      other.detach();
    } finally {
      letGo(buffer, one, first);
    }
  };

  const mixed: Body = async (session, exporter) => {
    const buffer = exporter.allocate(BUFFER_BYTES, wishes);
    const near = buffer.attach(session.probe(0, "movable"));
    const first = near.map("to-device");
    await arrived(session, first);
    const far = session.probe(1, "pinned", [{ type: DMA }]);
    const refused = await session.refusal(() => {
      const attachment = buffer.attach(far);
      try {
        attachment.map("to-device").unmap();
      } finally {
        attachment.detach();
      }
    }, "a second importer");
    const isTold = refused === undefined || refused instanceof NegotiationError;
    session.demand("EXP-041", isTold, `refuses a second importer with ${refused?.message}`);
    letGo(buffer, near, first);
  };

  const neighbours: Body = async (session, exporter) => {
    const kept = exporter.allocate(BUFFER_BYTES, wishes);
    const other = exporter.allocate(BUFFER_BYTES, wishes);
    await cpuWrite(session, kept, patternOf(6, BUFFER_BYTES)).catch((error: unknown) => {
      other.close();
      throw error;
    });
    await cpuWrite(session, other, patternOf(7, BUFFER_BYTES));
    const attachment = other.attach(session.probe(0, "movable"));
    letGo(other, attachment, attachment.map("bidirectional"));
    await session.rest();
    const third = exporter.allocate(BUFFER_BYTES, wishes);
    await cpuWrite(session, third, patternOf(8, BUFFER_BYTES));
    const wrong = difference(await cpuRead(session, kept), patternOf(6, BUFFER_BYTES));
    session.demand("EXP-038", wrong === undefined, `another buffer changed its bytes: ${wrong}`);
    kept.close();
    third.close();
  };

  const copies: Body = async (session, exporter) => {
    const pages = session.memory.allocate(BUFFER_BYTES);
    const buffer = exporter.allocate(BUFFER_BYTES, wishes);
    try {
      await ownTarget(session, buffer, pages);
    } finally {
      buffer.close();
      await session.rest();
      session.memory.free(pages);
    }
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
      mixed,
    ),
    exporterCheck(tested, "buffers leave each other alone", ["EXP-038", "EXP-013"], neighbours),
    exporterCheck(tested, "copies to an importer's memory carry every byte", ["EXP-030"], copies),
  ];
}

type Buffer = ReturnType<OpenedExporter<object>["allocate"]>;

/** Out to memory of the importer's own, and back again. */
async function ownTarget(
  session: Session,
  buffer: Buffer,
  pages: ReturnType<Session["memory"]["allocate"]>,
): Promise<void> {
  const probe = session.probe(0, "pinned", [{ type: DMA }]);
  const types = [{ type: DMA }];
  const why = { code: "OWN_MEMORY", text: "the suite brings its own memory" };
  const offer = { answer: "offer", types, target: pages.ranges, reason: why } as const;
  const attachment = buffer.attach({ ...probe, offer: () => offer });
  try {
    const out = await copied(session, () => attachment.map("bidirectional"));
    await arrived(session, out);
    out.unmap();
    await session.rest();
  } finally {
    attachment.detach();
  }
  await roundTrip(session, buffer, { ...probe, offer: () => offer }, pages);
}

async function copied<T>(session: Session, map: () => T): Promise<T> {
  let mapping: T | undefined;
  const refused = await session.refusal(() => {
    mapping = map();
  }, "a map");
  if (refused !== undefined || mapping === undefined) {
    throw new NotClaimed("it does not copy to memory that an importer brings");
  }
  return mapping;
}

async function roundTrip(
  session: Session,
  buffer: Buffer,
  importer: Parameters<Buffer["attach"]>[0],
  { ranges }: ReturnType<Session["memory"]["allocate"]>,
): Promise<void> {
  await session.inTime(buffer.write(0, patternOf(9, BUFFER_BYTES)), "a write by the CPU");
  const attachment = buffer.attach(importer);
  const mapping = attachment.map("bidirectional");
  await arrived(session, mapping);
  const bytes = new Uint8Array(BUFFER_BYTES);
  eachPart(ranges, (start, at, length) =>
    session.memory.read(start, bytes.subarray(at, at + length)),
  );
  const wrong = difference(bytes, patternOf(9, BUFFER_BYTES));
  session.demand("EXP-030", wrong === undefined, `copied out: ${wrong}`);
  const back = patternOf(10, BUFFER_BYTES);
  eachPart(ranges, (start, at, length) =>
    session.memory.write(start, back.subarray(at, at + length)),
  );
  await session.inTime(mapping.unmap()?.signaled(), "the copy back");
  attachment.detach();
  const found = difference(await cpuRead(session, buffer), back);
  session.demand("EXP-030", found === undefined, `copied back: ${found}`);
}

type Ranges = ReturnType<Session["memory"]["allocate"]>["ranges"];

function eachPart(
  ranges: Ranges,
  visit: (start: ReturnType<Ranges["start"]>, at: number, lengthBytes: number) => void,
): void {
  for (let index = 0, at = 0; index < ranges.count; index++) {
    const length = Math.min(ranges.lengthBytes(index), BUFFER_BYTES - at);
    visit(ranges.start(index), at, length);
    at += length;
  }
}
