/**
 * Exporter copies: the engine that carries bytes to memory of an importer's own, and back.
 */
import {
  type Attachment,
  DMA,
  type DmaBuf,
  type HostPages,
  type Importer,
  type Mapping,
  type OpenedExporter,
  type PhysicalAddress,
  type PhysicalRanges,
  type SoftwareFence,
} from "@peerbuf/core";
import type { ContractCheck } from "./contract.ts";
import {
  arrived,
  BUFFER_BYTES,
  cpuRead,
  cpuWrite,
  type ExporterUnderTest,
  exporterCheck,
} from "./exporter-under-test.ts";
import { claimed, HELD_BYTES, HeldBuffer } from "./held-buffer.ts";
import { difference, NotClaimed, patternOf, type Session } from "./session.ts";

export function copyChecks<Options, Api>(tested: ExporterUnderTest<Options, Api>): ContractCheck[] {
  const { wishes = {} } = tested.check;
  type Body = (session: Session, exporter: OpenedExporter<Api>) => Promise<void>;

  const copies: Body = async (session, exporter) => {
    const pages = session.memory.allocate(BUFFER_BYTES);
    const buffer = exporter.allocate(BUFFER_BYTES, wishes);
    try {
      await ownTarget(session, buffer, pages);
    } finally {
      buffer[Symbol.dispose]();
      await session.rest();
      session.memory.free(pages);
    }
  };

  /** Large copies and small ones at once: fences of one timeline keep their order. */
  const atOnce: Body = async (session, exporter) => {
    const sizes = [4 * BUFFER_BYTES, BUFFER_BYTES / 4, 4 * BUFFER_BYTES, BUFFER_BYTES / 4];
    const pages = sizes.map((sizeBytes) => session.memory.allocate(sizeBytes));
    const buffers: DmaBuf[] = [];
    const handles: { attachment: Attachment; mapping: Mapping }[] = [];
    try {
      for (const [at, { ranges }] of pages.entries()) {
        const buffer = buffers[at % 2] ?? exporter.allocate(ranges.sizeBytes, wishes);
        buffers[at % 2] = buffer;
        const attachment = buffer.attach(bringing(session.probe(at % 2, "pinned"), ranges));
        handles.push({ attachment, mapping: await copied(session, attachment, "to-device") });
      }
    } finally {
      for (const { attachment, mapping } of handles) {
        await arrived(session, mapping);
        mapping.unmap();
        attachment.detach();
      }
      for (const buffer of buffers) {
        buffer[Symbol.dispose]();
      }
      await session.rest();
      for (const each of pages) {
        session.memory.free(each);
      }
    }
  };

  /** The bytes are on the move when an importer asks for them in memory of its own. */
  const midway: Body = async (session, exporter) => {
    claimed(tested.check.move, "move");
    const pages = session.memory.allocate(HELD_BYTES);
    try {
      const held = new HeldBuffer(tested, session, exporter, "movable");
      await held.fill();
      await outOf(session, held.buffer, pages, patternOf(1, HELD_BYTES), undefined);
      for (let round = 1; round <= 2; round++) {
        const work = held.work(`a reader ${round}`, "read");
        await held.move();
        held.mapping.unmap();
        await outOf(session, held.buffer, pages, patternOf(round, HELD_BYTES), work);
        held.mapping = held.attachment.map("bidirectional");
        await held.fill(round + 1);
      }
      held.letGo();
    } finally {
      await session.rest();
      session.memory.free(pages);
    }
  };

  /** The buffer moves between the copy out and the copy back. */
  const movedBetween: Body = async (session, exporter) => {
    claimed(tested.check.move, "move");
    const pages = session.memory.allocate(HELD_BYTES);
    try {
      const held = new HeldBuffer(tested, session, exporter, "movable");
      await held.fill();
      const attachment = held.buffer.attach(bringing(session.probe(1, "movable"), pages.ranges));
      const own = await copied(session, attachment, "bidirectional");
      await arrived(session, own);
      await held.move();
      const bytes = patternOf(2, HELD_BYTES);
      eachPart(pages.ranges, HELD_BYTES, (start, at, length) =>
        session.memory.write(start, bytes.subarray(at, at + length)),
      );
      await session.rest();
      await session.inTime(own.unmap()?.signaled(), "the copy back");
      attachment.detach();
      held.remap();
      const seen = new Uint8Array(HELD_BYTES);
      await session.transfer(held.mapping, 0, "read", seen);
      const wrong = difference(seen, bytes);
      session.demand("EXP-030", wrong === undefined, `copied back after a move: ${wrong}`);
      held.letGo();
    } finally {
      await session.rest();
      session.memory.free(pages);
    }
  };

  const failing: Body = async (session, exporter) => {
    const { failCopies } = session.world;
    if (failCopies === undefined) {
      throw new NotClaimed("this world has no engine that fails");
    }
    const pages = session.memory.allocate(HELD_BYTES);
    try {
      const held = new HeldBuffer(tested, session, exporter, "movable");
      await held.fill();
      const importer = bringing(session.probe(1, "pinned"), pages.ranges);
      const attachment = held.buffer.attach(importer);
      failCopies(Number.POSITIVE_INFINITY);
      const mapping = await copied(session, attachment, "bidirectional");
      await arrived(session, mapping);
      if (mapping.ready?.error === undefined) {
        const wrong = difference(
          bytesAt(session, pages.ranges, HELD_BYTES),
          patternOf(1, HELD_BYTES),
        );
        session.demand(
          "SYN-021",
          wrong === undefined,
          `a copy failed and did not say so: ${wrong}`,
        );
      }
      mapping.unmap();
      await session.rest();
      failCopies(0);
      attachment.detach();
      held.letGo();
    } finally {
      failCopies(0);
      await session.rest();
      session.memory.free(pages);
    }
  };

  return [
    exporterCheck(tested, "copies to an importer's memory carry every byte", ["EXP-030"], copies),
    exporterCheck(tested, "copies wait for bytes on the move", ["EXP-030"], midway),
    exporterCheck(tested, "copies back go where the bytes are now", ["EXP-030"], movedBetween),
    exporterCheck(
      tested,
      "copies at once keep the order of their fences",
      ["EXP-030", "SYN-005"],
      atOnce,
    ),
    exporterCheck(tested, "a copy for an importer that fails says so", ["SYN-021"], failing),
  ];
}

/** Out to memory of the importer's own, and back again. */
async function ownTarget(session: Session, buffer: DmaBuf, pages: HostPages): Promise<void> {
  const importer = bringing(session.probe(0, "pinned"), pages.ranges);
  const attachment = buffer.attach(importer);
  const out = await copied(session, attachment, "bidirectional");
  await arrived(session, out);
  out.unmap();
  await session.rest();
  attachment.detach();
  await roundTrip(session, buffer, importer, pages);
}

/** The same importer with system memory of its own. */
function bringing(probe: Importer, target: PhysicalRanges): Importer {
  const types = [{ type: DMA }];
  const why = { code: "OWN_MEMORY", text: "the suite brings its own memory" };
  return { ...probe, offer: () => ({ answer: "offer", types, target, reason: why }) };
}

/** A mapping through the importer's memory, where the exporter can copy at all. */
async function copied(
  session: Session,
  attachment: Attachment,
  direction: "to-device" | "bidirectional",
): Promise<Mapping> {
  let mapping: Mapping | undefined;
  const refused = await session.refusal(() => {
    mapping = attachment.map(direction);
  }, "a map");
  if (refused !== undefined || mapping === undefined) {
    attachment.detach();
    throw new NotClaimed("it does not copy to memory that an importer brings");
  }
  return mapping;
}

/** The bytes, copied out at the moment in which the fence says so. */
async function outOf(
  session: Session,
  buffer: DmaBuf,
  { ranges }: HostPages,
  bytes: Uint8Array,
  running: SoftwareFence | undefined,
): Promise<void> {
  const attachment = buffer.attach(bringing(session.probe(1, "pinned"), ranges));
  const mapping = await copied(session, attachment, "to-device");
  await session.rest();
  running?.signal();
  await arrived(session, mapping);
  const wrong = difference(bytesAt(session, ranges, bytes.length), bytes);
  session.demand("EXP-030", wrong === undefined, `copied out after a move: ${wrong}`);
  mapping.unmap();
  attachment.detach();
}

async function roundTrip(
  session: Session,
  buffer: DmaBuf,
  importer: Importer,
  { ranges }: HostPages,
): Promise<void> {
  await cpuWrite(session, buffer, patternOf(9, BUFFER_BYTES));
  const attachment = buffer.attach(importer);
  const mapping = attachment.map("bidirectional");
  const compare = (): void => {
    const wrong = difference(bytesAt(session, ranges, BUFFER_BYTES), patternOf(9, BUFFER_BYTES));
    session.demand("EXP-030", wrong === undefined, `copied out: ${wrong}`);
  };
  if (mapping.ready === undefined || mapping.ready.addCallback(compare) === "signaled") {
    compare(); // In this very moment: a fence may not run ahead of the bytes.
  }
  await arrived(session, mapping);
  const back = patternOf(10, BUFFER_BYTES);
  eachPart(ranges, BUFFER_BYTES, (start, at, length) =>
    session.memory.write(start, back.subarray(at, at + length)),
  );
  await session.inTime(mapping.unmap()?.signaled(), "the copy back");
  attachment.detach();
  const found = difference(await cpuRead(session, buffer), back);
  session.demand("EXP-030", found === undefined, `copied back: ${found}`);
}

function bytesAt(session: Session, ranges: PhysicalRanges, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  eachPart(ranges, lengthBytes, (start, at, length) =>
    session.memory.read(start, bytes.subarray(at, at + length)),
  );
  return bytes;
}

function eachPart(
  ranges: PhysicalRanges,
  lengthBytes: number,
  visit: (start: PhysicalAddress, at: number, lengthBytes: number) => void,
): void {
  for (let index = 0, at = 0; index < ranges.count; index++) {
    const length = Math.min(ranges.lengthBytes(index), lengthBytes - at);
    visit(ranges.start(index), at, length);
    at += length;
  }
}
