/**
 * Exporter variety: buffers of any size, and importers of any kind, one after the other and at once.
 *
 * Bytes are looked at by devices alone, so that memory that is not for the CPU is looked at as well.
 */
import {
  type Attachment,
  type Direction,
  DMA,
  type DmaBuf,
  deviceWrites,
  type Lifetime,
  type Mapping,
  type MappingOffer,
  NegotiationError,
  type OpenedExporter,
  P2P,
  PeerbufError,
  PHYSICAL,
} from "@peerbuf/core";
import type { ContractCheck } from "./contract.ts";
import {
  arrived,
  BUFFER_BYTES,
  type ExporterUnderTest,
  exporterCheck,
  requireOwnMemory,
} from "./exporter-under-test.ts";
import { difference, patternOf, type Session } from "./session.ts";

const PAGE_BYTES = 4096;
/** Odd ones, one page, and more than 64 KiB. */
const PAGE_COUNTS: readonly number[] = [1, 3, 5, 7, 17];
/** Buffers that are dirtied before new ones are looked at. */
const DIRTIED_MAX = 12;
/** Attachments one after the other: more than a driver has slots for if it forgets to give one back. */
const ATTACHES = 70;

const KINDS: readonly (readonly MappingOffer[])[] = [
  [{ type: P2P }, { type: DMA }],
  [{ type: DMA }],
  [{ type: P2P }],
  [{ type: P2P, require: true }],
];
const LIFETIMES: readonly Lifetime[] = ["movable", "pinned", "revocable"];
const DIRECTIONS: readonly Direction[] = ["bidirectional", "from-device", "to-device"];

/** No room, or not for this size. */
const NO_ROOM: readonly string[] = ["MEMORY_EXHAUSTED", "ARGUMENT_INVALID", "SIZE_INVALID"];

type Body<Api> = (session: Session, exporter: OpenedExporter<Api>) => Promise<void>;

export function varietyChecks<Options, Api>(
  tested: ExporterUnderTest<Options, Api>,
): ContractCheck[] {
  const { check } = tested;
  const { wishes = {} } = check;

  const sizes: Body<Api> = async (session, exporter) => {
    for (const pages of PAGE_COUNTS) {
      const pair = asManyAs(check.isWindow === true ? 1 : 2, () =>
        exporter.allocate(pages * PAGE_BYTES, wishes),
      );
      await twoNeighbours(session, pair);
      for (const buffer of pair) {
        buffer.close();
      }
      await session.rest();
    }
  };

  const zeros: Body<Api> = async (session, exporter) => {
    requireOwnMemory(tested);
    const sizeBytes = 3 * PAGE_BYTES;
    for (let round = 0; round < 2; round++) {
      const buffers = asManyAs(DIRTIED_MAX, () => exporter.allocate(sizeBytes, wishes));
      for (const buffer of buffers) {
        await onDevice(session, buffer, async (mapping) => {
          await demandZeros(session, mapping);
          await session.transfer(mapping, 0, "write", patternOf(round, sizeBytes));
        });
      }
      for (const buffer of buffers) {
        buffer.close();
      }
      await session.rest();
    }
  };

  /** One mapping is held while others of every kind come and go. */
  const views: Body<Api> = async (session, exporter) => {
    const buffer = exporter.allocate(BUFFER_BYTES, wishes);
    for (const types of [...KINDS, [{ type: PHYSICAL }]]) {
      for (const lifetime of LIFETIMES) {
        await eachDirection(session, buffer, types, lifetime);
      }
    }
    buffer.close();
  };

  const outlive: Body<Api> = async (session, exporter) => {
    const buffer = exporter.allocate(BUFFER_BYTES, wishes);
    const bytes = patternOf(21, BUFFER_BYTES);
    await onDevice(session, buffer, (mapping) => session.transfer(mapping, 0, "write", bytes));
    await session.rest();
    for (const times of ["again", "a third time"]) {
      await onDevice(session, buffer, async (mapping) => {
        const wrong = await seenBy(session, mapping, bytes);
        session.demand("EXP-043", wrong === undefined, `attached to ${times}: ${wrong}`);
      });
      await readByCpu(session, buffer);
    }
    buffer.close();
  };

  const twins: Body<Api> = async (session, exporter) => {
    const buffer = exporter.allocate(BUFFER_BYTES, wishes);
    const twin = (): Attachment => buffer.attach(session.probe(0, "movable"));
    for (const leavesFirst of [0, 1]) {
      const pair = [twin(), twin()];
      const mappings = pair.map((each) => each.map("bidirectional"));
      mappings[leavesFirst]?.unmap();
      pair[leavesFirst]?.detach();
      const stays = pair[1 - leavesFirst] as Attachment;
      const refused = await session.refusal(() => stays.map("to-device").unmap(), "a map");
      const text = `the end of one attachment ended another of the same device: ${refused?.message}`;
      session.demand("EXP-044", refused === undefined, text);
      await arrived(session, mappings[1 - leavesFirst] as Mapping);
      mappings[1 - leavesFirst]?.unmap();
      stays.detach();
    }
    buffer.close();
  };

  const again: Body<Api> = async (session, exporter) => {
    const buffer = exporter.allocate(BUFFER_BYTES, wishes);
    const answers = KINDS.map((types) => answerTo(session, buffer, types));
    for (const wanted of ["accepted", "refused"] as const) {
      const kinds = KINDS.filter((_types, at) => answers[at] === wanted);
      for (let round = 0; round < ATTACHES && kinds.length > 0; round++) {
        answerTo(session, buffer, kinds[round % kinds.length] as readonly MappingOffer[]);
      }
      const rule = wanted === "accepted" ? "EXP-042" : "EXP-025";
      const isSame = KINDS.every((types, at) => answerTo(session, buffer, types) === answers[at]);
      const text = `answers otherwise after ${ATTACHES} attachments that were ${wanted}`;
      session.demand(rule, isSame, text);
    }
    buffer.close();
  };

  return [
    exporterCheck(tested, "bytes outlive mappings and attachments", ["EXP-043"], outlive),
    exporterCheck(
      tested,
      "buffers of any number of pages are whole, and leave each other alone",
      ["EXP-038", "EXP-006", "EXP-013"],
      sizes,
    ),
    exporterCheck(tested, "devices find new memory as zeros", ["EXP-005"], zeros),
    exporterCheck(tested, "every mapping leads to the same bytes", ["EXP-046", "EXP-018"], views),
    exporterCheck(tested, "two attachments of one device are two", ["EXP-044"], twins),
    exporterCheck(
      tested,
      "attachments come and go without loss, refused ones too",
      ["EXP-042", "EXP-025"],
      again,
    ),
  ];
}

/** Both are mapped at once; each keeps what its device wrote, to the last byte. */
async function twoNeighbours(session: Session, buffers: readonly DmaBuf[]): Promise<void> {
  const attachments = buffers.map((buffer) => buffer.attach(session.probe(0, "movable")));
  const mappings = attachments.map((attachment) => attachment.map("bidirectional"));
  const bytes = mappings.map(({ segments }, at) => patternOf(30 + at, segments.sizeBytes));
  for (const [at, mapping] of mappings.entries()) {
    await session.transfer(mapping, 0, "write", bytes[at] as Uint8Array);
  }
  for (const [at, mapping] of mappings.entries()) {
    const wrong = await seenBy(session, mapping, bytes[at] as Uint8Array);
    const text = `one of two buffers of ${mapping.segments.sizeBytes} bytes: ${wrong}`;
    session.demand("EXP-038", wrong === undefined, text);
    mapping.unmap();
    attachments[at]?.detach();
  }
}

async function eachDirection(
  session: Session,
  buffer: DmaBuf,
  types: readonly MappingOffer[],
  lifetime: Lifetime,
): Promise<void> {
  const held = buffer.attach(session.probe(1, "movable"));
  const attachment = attached(session, buffer, types, lifetime);
  for (const [seed, direction] of attachment === undefined ? [] : DIRECTIONS.entries()) {
    const mapping = mapped(attachment as Attachment, direction);
    if (mapping !== undefined) {
      await compareViews(session, held, mapping, patternOf(50 + seed, BUFFER_BYTES));
      mapping.unmap();
    }
  }
  attachment?.detach();
  held.detach();
}

/** What one device writes another one reads, whichever of them may. */
async function compareViews(
  session: Session,
  held: Attachment,
  mapping: Mapping,
  bytes: Uint8Array,
): Promise<void> {
  const other = mapped(held, "bidirectional");
  if (other === undefined) {
    return; // Nobody else is served now, and told so.
  }
  if (mapping.type !== PHYSICAL && !mapping.isStale) {
    const writes = deviceWrites(mapping.direction);
    await session.transfer(writes ? mapping : other, writes ? 0 : 1, "write", bytes);
    const seen = new Uint8Array(bytes.length);
    await session.transfer(writes ? other : mapping, writes ? 1 : 0, "read", seen);
    const wrong = difference(seen, bytes);
    const text = `a ${mapping.direction} mapping leads elsewhere: ${wrong}`;
    session.demand("EXP-046", wrong === undefined, text);
  }
  other.unmap();
}

function attached(
  session: Session,
  buffer: DmaBuf,
  types: readonly MappingOffer[],
  lifetime: Lifetime,
): Attachment | undefined {
  try {
    return buffer.attach(session.probe(0, lifetime, types));
  } catch (error) {
    return declined(error);
  }
}

function mapped(attachment: Attachment, direction: Direction): Mapping | undefined {
  try {
    return attachment.map(direction);
  } catch (error) {
    return declined(error);
  }
}

/** A refusal with reasons; anything else goes on. */
function declined(error: unknown): undefined {
  if (!(error instanceof NegotiationError)) {
    throw error;
  }
}

/** What the driver says to an importer of this kind. */
function answerTo(session: Session, buffer: DmaBuf, types: readonly MappingOffer[]): string {
  const attachment = attached(session, buffer, types, "movable");
  attachment?.detach();
  return attachment === undefined ? "refused" : "accepted";
}

/** So many, or as many as there is room for. */
function asManyAs(count: number, allocate: () => DmaBuf): DmaBuf[] {
  const buffers: DmaBuf[] = [];
  try {
    while (buffers.length < count) {
      buffers.push(allocate());
    }
  } catch (error) {
    if (!(error instanceof PeerbufError && NO_ROOM.includes(error.code))) {
      throw error;
    }
  }
  return buffers;
}

/** One use of a buffer by the first device. */
async function onDevice(
  session: Session,
  buffer: DmaBuf,
  use: (mapping: Mapping) => Promise<void>,
): Promise<void> {
  const attachment = buffer.attach(session.probe(0, "movable"));
  const mapping = attachment.map("bidirectional");
  await use(mapping);
  mapping.unmap();
  attachment.detach();
}

async function demandZeros(session: Session, mapping: Mapping): Promise<void> {
  const seen = new Uint8Array(mapping.segments.sizeBytes);
  await session.transfer(mapping, 0, "read", seen);
  const at = seen.findIndex((byte) => byte !== 0);
  session.demand("EXP-005", at < 0, `a device finds ${seen[at]} at byte ${at} of new memory`);
}

async function seenBy(
  session: Session,
  mapping: Mapping,
  bytes: Uint8Array,
): Promise<string | undefined> {
  const seen = new Uint8Array(bytes.length);
  await session.transfer(mapping, 0, "read", seen);
  return difference(seen, bytes);
}

/** A look by the CPU in between, where it may. */
async function readByCpu(session: Session, buffer: DmaBuf): Promise<void> {
  try {
    await session.inTime(buffer.read(0, 1), "a read by the CPU");
  } catch (error) {
    if (!(error instanceof PeerbufError && error.code === "WRONG_ORDER")) {
      throw error;
    }
  }
}
