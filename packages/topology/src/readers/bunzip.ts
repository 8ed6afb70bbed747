/**
 * Bunzip: bzip2 data unpacked in memory, up to a limit. hwloc-gather-topology packs its captures so.
 */
import { InputError } from "@peerbuf/core";
import Bunzip from "seek-bzip";

const PIECE_BYTES = 2 ** 20;

/** Thrown by the output to end the unpacking once it has what was asked for. */
class Full extends Error {}

/**
 * Unpacked bytes in pieces: a copy in one piece would need twice the memory.
 * @param limitBytes the most that is unpacked
 * @param wanted `start`: the first bytes are enough; `whole`: more than the limit is refused
 * @throws InputError when the data is damaged, cut short, or unpacks to more than the limit
 */
export function bunzipped(
  source: string,
  packed: Uint8Array,
  limitBytes: number,
  wanted: "start" | "whole",
): readonly Uint8Array[] {
  const output = new Pieces(limitBytes);
  try {
    Bunzip.decode(packed, output, true);
  } catch (error) {
    const isFull = error instanceof Full;
    if (!isFull || wanted === "whole") {
      throw new InputError(
        {
          source,
          cause: isFull
            ? `it unpacks to more than ${limitBytes} bytes`
            : `the bzip2 data is damaged (${error instanceof Error ? error.message : String(error)})`,
          remedy: isFull
            ? "Name a smaller capture, or pack it with gzip"
            : "Copy the file again, or capture the machine again",
        },
        { cause: error },
      );
    }
  }
  return output.all();
}

/** Takes the bytes one by one, as the library gives them. */
class Pieces {
  readonly #limitBytes: number;
  readonly #full: Uint8Array[] = [];
  #piece = new Uint8Array(PIECE_BYTES);
  #used = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  writeByte(byte: number): void {
    if (this.#used === PIECE_BYTES) {
      this.#full.push(this.#piece);
      this.#piece = new Uint8Array(PIECE_BYTES);
      this.#used = 0;
    }
    if (this.#full.length * PIECE_BYTES + this.#used >= this.#limitBytes) {
      throw new Full();
    }
    this.#piece[this.#used++] = byte;
  }

  all(): readonly Uint8Array[] {
    return [...this.#full, this.#piece.subarray(0, this.#used)];
  }
}
