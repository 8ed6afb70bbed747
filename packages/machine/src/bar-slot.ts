/**
 * BAR slot: one memory BAR of one function, and what answers there.
 *
 * A captured function without a model is inert: its BAR claims the address, and nothing answers.
 */
import type { BarModel } from "./device-model.ts";

export class BarSlot {
  /** Row of the function in the topology's table. */
  readonly row: number;
  /** 0 to 5. */
  readonly index: number;
  /** CPU physical address of the first byte. */
  readonly start: number;
  readonly sizeBytes: number;
  readonly prefetchable: boolean;
  /** What answers; set when a model is placed. */
  model: BarModel | undefined = undefined;

  constructor(row: number, index: number, start: number, sizeBytes: number, prefetchable: boolean) {
    this.row = row;
    this.index = index;
    this.start = start;
    this.sizeBytes = sizeBytes;
    this.prefetchable = prefetchable;
  }
}
