/**
 * Staging: one device's bytes to another through host memory, as a driver does where P2P is off.
 *
 * Piece by piece: the source writes a piece to RAM, software hands it over, the target reads it. A driver may let the
 * two halves overlap, with two places in RAM, or not; both are seen in the field.
 */
import type { Machine } from "@peerbuf/machine";
import { devicesOf } from "./machines.ts";
import { Mover } from "./mover.ts";

const PIECE_BYTES = 2 ** 20;
const PIECES = 32;
/** What software costs for each piece: 15.23 µs for a tiny copy with P2P off, 1.01 µs with it on (club-3090); half for each device. */
const HAND_OVER_NS = 15_230 - 1_010;

interface Pair {
  readonly source: Mover;
  readonly target: Mover;
  /** Where the pieces stand in RAM. */
  readonly places: readonly number[];
}

function pairOf(machine: Machine): Pair {
  const [source, target] = [new Mover(), new Mover()];
  const [one, other] = devicesOf(machine.topology) as [string, string];
  machine.place(one, source);
  machine.place(other, target);
  const places = [0, 1].map(
    () => machine.memory.allocate(PIECE_BYTES, { contiguous: true }).ranges.start(0) as number,
  );
  return { source, target, places };
}

/** GB/s. */
export function oneAfterTheOther(machine: Machine): number {
  const { source, target, places } = pairOf(machine);
  const place = places[0] as number;
  let left = PIECES;
  const next = (): void => {
    if (left-- > 0) {
      source.push(place, PIECE_BYTES, () => {
        const read = (): void => target.pull(place, PIECE_BYTES, () => later(next));
        later(read);
      });
    }
  };
  const later = (step: () => void): void => {
    machine.clock.schedule(HAND_OVER_NS / 2, step);
  };
  const startNs = machine.clock.nowNs;
  next();
  machine.clock.run();
  return (PIECES * PIECE_BYTES) / (machine.clock.nowNs - startNs);
}

/** GB/s. Each device begins a piece when its last one is handed over and the place is free or full. */
export function doubleBuffered(machine: Machine): number {
  const { source, target, places } = pairOf(machine);
  const { clock } = machine;
  let written = 0;
  let handed = 0;
  let taken = 0;
  let isWriting = false;
  let isReading = false;
  const write = (): void => {
    if (!isWriting && written < PIECES && written - taken < places.length) {
      isWriting = true;
      source.push(places[written % 2] as number, PIECE_BYTES, () => {
        written++;
        clock.schedule(HAND_OVER_NS / 2, () => {
          handed++;
          isWriting = false;
          write();
          read();
        });
      });
    }
  };
  const read = (): void => {
    if (!isReading && taken < handed) {
      isReading = true;
      target.pull(places[taken % 2] as number, PIECE_BYTES, () => {
        clock.schedule(HAND_OVER_NS / 2, () => {
          taken++;
          isReading = false;
          write();
          read();
        });
      });
    }
  };
  const startNs = clock.nowNs;
  write();
  clock.run();
  return (PIECES * PIECE_BYTES) / (clock.nowNs - startNs);
}
