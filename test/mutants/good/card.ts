/**
 * Card: a good small exporter of a device's own memory, on which the mutants of its family are built.
 *
 * Peers reach its memory through the BAR. Whoever cannot is served from host pages, to which the whole
 * buffer moves unless it is pinned. A mutant hands in a `mistake`, which replaces what it gets wrong.
 */
import {
  BARS,
  type BufferControl,
  DEVICE,
  type Decline,
  type Device,
  DMA,
  decline,
  defineExporter,
  type ExporterDriver,
  type Fence,
  HOST_MEMORY,
  type HostMemory,
  type HostPages,
  P2P,
  PeerbufError,
  type PhysicalAddress,
  PhysicalRanges,
  type Placement,
  type PlacementRequest,
  reason,
  type Services,
  type Storage,
} from "@peerbuf/core";
import { CopyEngine } from "./copy-engine.ts";
import { type ByteAccess, readRanges, writeRanges } from "./range-bytes.ts";
import { replaced } from "./replaced.ts";
import { refuseWishes } from "./wishes.ts";

export const EVICTED = reason("EVICTED", "the card needs the room");
export const NEEDED_IN_HOST = reason("NEEDED_IN_HOST", "an importer cannot reach the card");
export const RESET = reason("RESET", "the card is being reset");

/** What a card's users, and a kit, may do to it at any time. */
export interface CardApi {
  /** Moves every buffer that may move to where it is not: to host pages, or home. */
  move(): void;
  /** Takes all memory away; resolves when nobody reaches it any more. */
  revoke(): Promise<void>;
  /** After `revoke`: gives it back. */
  restore(): void;
}

/** One buffer's state: a mutant's mistake may look at it and change it. */
export interface CardBuffer {
  readonly control: BufferControl;
  readonly provider: Device;
  readonly memory: HostMemory;
  readonly engine: CopyEngine;
  readonly home: PhysicalRanges;
  /** Where the card's memory begins. */
  readonly barStart: number;
  readonly access: ByteAccess;
  /** Host pages, while the bytes are or were there. */
  pages: HostPages | undefined;
  place: "device" | "system";
  /** The bytes are on their way. */
  isCopying: boolean;
}

export type CardStorage = Storage & Required<Pick<Storage, "pin" | "unpin" | "read" | "write">>;

/** What a mutant may replace. */
export interface CardMistake {
  readonly storage?: (good: CardStorage, buffer: CardBuffer) => Partial<Storage>;
  /** In place of the good move: the bytes go from here to there. */
  readonly move?: (buffer: CardBuffer, to: CardBuffer["place"], why: typeof EVICTED) => boolean;
  /** In place of the good revocation of one buffer. */
  readonly revoke?: (buffer: CardBuffer) => Promise<void>;
  readonly restore?: (buffer: CardBuffer) => void;
}

export function cardExporter(
  name: string,
  mistake: CardMistake = {},
): ExporterDriver<undefined, CardApi> {
  return defineExporter<undefined, CardApi>({
    name,
    needsDevice: true,
    open(services) {
      const parts = cardParts(services, name);
      const buffers = new Set<CardBuffer>();
      const move = mistake.move ?? moveTo;
      const revoke = mistake.revoke ?? revokeBuffer;
      const restore = mistake.restore ?? (({ control }) => control.restore());
      return {
        api: {
          move: () => {
            for (const buffer of buffers) {
              move(buffer, buffer.place === "device" ? "system" : "device", EVICTED);
            }
          },
          revoke: async () => void (await Promise.all([...buffers].map(revoke))),
          restore: () => [...buffers].forEach(restore),
        },
        allocate(sizeBytes, wishes, control) {
          refuseWishes(name, wishes);
          const buffer = newBuffer(parts, control, sizeBytes);
          buffers.add(buffer);
          const good = storageOf(buffer, move, () => {
            parts.give(buffer.home);
            buffers.delete(buffer);
          });
          return replaced(good, mistake.storage?.(good, buffer) ?? {});
        },
        close: () => parts.engine.close(),
      };
    },
  });
}

interface CardParts
  extends Pick<CardBuffer, "provider" | "memory" | "engine" | "access" | "barStart"> {
  take(sizeBytes: number): PhysicalRanges;
  give(ranges: PhysicalRanges): void;
}

function cardParts(services: Services, name: string): CardParts {
  const memory = services.get(HOST_MEMORY);
  const [bar] = services.get(BARS).memory;
  if (bar === undefined) {
    throw new PeerbufError("DEVICE_FAILED", `${name}: the device has no memory BAR`);
  }
  const isInBar = (address: number): boolean =>
    address >= bar.start && address < bar.start + bar.sizeBytes;
  const access: ByteAccess = {
    read: (address, target) =>
      isInBar(address) ? bar.read(address - bar.start, target) : memory.read(address, target),
    write: (address, source) =>
      isInBar(address) ? bar.write(address - bar.start, source) : memory.write(address, source),
  };
  const { take, give } = rooms(bar.start, bar.sizeBytes);
  const engine = new CopyEngine(services, name, access);
  return {
    provider: services.get(DEVICE),
    memory,
    engine,
    access,
    barStart: bar.start,
    take,
    give,
  };
}

/** First fit over the BAR. */
function rooms(start: number, sizeBytes: number): Pick<CardParts, "take" | "give"> {
  const taken: { begin: number; end: number }[] = [];
  return {
    take(wanted) {
      let begin = start;
      let index = 0;
      for (const room of taken) {
        if (begin + wanted <= room.begin) {
          break;
        }
        begin = room.end;
        index++;
      }
      if (begin + wanted > start + sizeBytes) {
        throw new PeerbufError("MEMORY_EXHAUSTED", `no ${wanted} bytes are free on the card`);
      }
      taken.splice(index, 0, { begin, end: begin + wanted });
      return PhysicalRanges.of(begin as PhysicalAddress, wanted);
    },
    give(ranges) {
      taken.splice(
        taken.findIndex(({ begin }) => begin === ranges.start(0)),
        1,
      );
    },
  };
}

function newBuffer(parts: CardParts, control: BufferControl, sizeBytes: number): CardBuffer {
  const { provider, memory, engine, access, barStart } = parts;
  const home = parts.take(sizeBytes);
  writeRanges(access, home, 0, new Uint8Array(sizeBytes));
  const state = { pages: undefined, place: "device", isCopying: false } as const;
  return { control, provider, memory, engine, access, barStart, home, ...state };
}

/** Where the bytes are, or will be when the copy is over. */
export function rangesOf({ place, home, pages }: CardBuffer): PhysicalRanges {
  return place === "device" || pages === undefined ? home : pages.ranges;
}

export function placementOf(buffer: CardBuffer): Placement {
  return buffer.place === "device"
    ? { target: "device", provider: buffer.provider, ranges: buffer.home }
    : { target: "system", ranges: rangesOf(buffer), reason: NEEDED_IN_HOST };
}

/** Moves if it may; says whether the bytes are (about to be) there. */
export function moveTo(buffer: CardBuffer, to: CardBuffer["place"], why = EVICTED): boolean {
  const { control } = buffer;
  if (buffer.place === to) {
    return true;
  }
  if (control.isPinned || buffer.isCopying || control.reservation.isLocked) {
    return false;
  }
  control.move(why, (after) => startCopy(buffer, to, after));
  return true;
}

/** Begins the copy to the other place; the place left is given back when it is over. */
export function startCopy(buffer: CardBuffer, to: CardBuffer["place"], after: Fence): Fence {
  const from = rangesOf(buffer);
  const left = buffer.pages;
  buffer.pages = to === "system" ? buffer.memory.allocate(from.sizeBytes) : undefined;
  buffer.place = to;
  buffer.isCopying = true;
  return buffer.engine.copy(from, rangesOf(buffer), after, () => {
    buffer.isCopying = false;
    if (left !== undefined) {
      buffer.memory.free(left);
    }
  });
}

/** A move may begin in the middle of a bracket: the CPU waits for the bytes. */
export async function arrived({ control: { reservation } }: CardBuffer): Promise<void> {
  while (!reservation.testSignaled("kernel")) {
    await reservation.idle("kernel");
  }
}

export async function revokeBuffer({ control }: CardBuffer): Promise<void> {
  await control.revoke(RESET);
}

function storageOf(
  buffer: CardBuffer,
  move: NonNullable<CardMistake["move"]>,
  forget: () => void,
): CardStorage {
  const { access } = buffer;
  const place = ({ pair }: PlacementRequest): Placement | Decline =>
    pair.require && pair.type.memory === "device" && buffer.place === "system"
      ? decline("NOT_ON_CARD", "the bytes are in host memory for now")
      : served(pair);
  const served = (pair: PlacementRequest["pair"]): Placement | Decline =>
    pair.type.memory === "device" || buffer.place === "system" || move(buffer, "system", EVICTED)
      ? placementOf(buffer)
      : decline("PINNED_ON_CARD", "somebody needs the bytes on the card");
  return {
    types: [{ type: P2P }, { type: DMA }],
    place,
    pin: place,
    unpin() {},
    read: async (offset, target) => {
      await arrived(buffer);
      readRanges(access, rangesOf(buffer), offset, target);
    },
    write: async (offset, source) => {
      await arrived(buffer);
      writeRanges(access, rangesOf(buffer), offset, source);
    },
    release() {
      if (buffer.pages !== undefined) {
        buffer.memory.free(buffer.pages);
      }
      forget();
    },
  };
}

export const goodCard: ExporterDriver<undefined, CardApi> = cardExporter("good-card");
