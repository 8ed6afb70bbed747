/**
 * Ragged: an exporter of host memory in pieces of any length that begin and end anywhere.
 *
 * No page of it is whole, so whoever can only name pages has to refuse it. Between the pieces lies
 * memory of nobody's, which nothing may touch.
 */
import {
  DMA,
  defineExporter,
  type ExporterDriver,
  HOST_MEMORY,
  type HostMemory,
  PhysicalRanges,
  physicalAddress,
} from "@peerbuf/core";

/** What stands between the pieces. */
export const BETWEEN = 0x99;

/** Length of each piece and of the gap behind it, again and again until a buffer is full. */
export type Pieces = readonly (readonly [pieceBytes: number, gapBytes: number])[];

export interface Ragged {
  /** How buffers made from now on are cut. */
  cut(pieces: Pieces): void;
  /** The gaps of the buffer made last are as they were. */
  gapsAreIntact(): boolean;
}

export const ragged: ExporterDriver<undefined, Ragged> = defineExporter<undefined, Ragged>({
  name: "ragged",
  needsDevice: false,

  open(services) {
    const memory = services.get(HOST_MEMORY);
    let gapsAreIntact = (): boolean => true;
    let cut: Pieces = [[4096, 0]];

    return {
      api: {
        cut(pieces) {
          cut = pieces;
        },
        gapsAreIntact: () => gapsAreIntact(),
      },
      allocate(sizeBytes) {
        const { rows, spanBytes } = layOut(sizeBytes, cut);
        const pages = memory.allocate(spanBytes, { contiguous: true });
        const base = pages.ranges.start(0);
        memory.write(base, new Uint8Array(spanBytes).fill(BETWEEN));
        gapsAreIntact = () => gapBytes(memory, base, spanBytes, rows).every((b) => b === BETWEEN);
        const ranges = new PhysicalRanges(
          Float64Array.from(rows.flatMap(([at, length]) => [base + at, length])),
        );
        const each = (
          offset: number,
          bytes: Uint8Array,
          move: (address: number, part: Uint8Array) => void,
        ): void => {
          let begin = 0;
          for (const [at, length] of rows) {
            const from = Math.max(offset, begin);
            const to = Math.min(offset + bytes.length, begin + length);
            if (from < to) {
              move(base + at + from - begin, bytes.subarray(from - offset, to - offset));
            }
            begin += length;
          }
        };
        return {
          types: [{ type: DMA }],
          place: () => ({ target: "system", ranges }),
          read: async (offset, target) =>
            each(offset, target, (address, part) => memory.read(physicalAddress(address), part)),
          write: async (offset, source) =>
            each(offset, source, (address, part) => memory.write(physicalAddress(address), part)),
          release: () => memory.free(pages),
        };
      },
    };
  },
});

type Row = readonly [offset: number, lengthBytes: number];

function layOut(sizeBytes: number, pieces: Pieces): { rows: readonly Row[]; spanBytes: number } {
  const rows: Row[] = [];
  let at = 0;
  for (let done = 0, index = 0; done < sizeBytes; index++) {
    const [pieceBytes, gapLength] = pieces[index % pieces.length] ?? [1, 1];
    const length = Math.min(pieceBytes, sizeBytes - done);
    rows.push([at, length]);
    at += length + gapLength;
    done += length;
  }
  return { rows, spanBytes: at };
}

function gapBytes(
  memory: HostMemory,
  base: number,
  spanBytes: number,
  rows: readonly Row[],
): Uint8Array {
  const span = new Uint8Array(spanBytes);
  memory.read(physicalAddress(base), span);
  for (const [at, length] of rows) {
    span.fill(BETWEEN, at, at + length);
  }
  return span;
}
