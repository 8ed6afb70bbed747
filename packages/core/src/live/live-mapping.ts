/**
 * Live mapping: a mapping's states, from live over stale and retired to unmapped.
 */
import type { Direction } from "../direction.ts";
import { PeerbufError } from "../error.ts";
import type { Placement } from "../exporter.ts";
import type { Mapping } from "../mapping.ts";
import type { MappingType } from "../mapping-type.ts";
import type { Settlement } from "../negotiation/settlement.ts";
import type { Route } from "../platform.ts";
import type { SegmentList } from "../segments.ts";
import type { Fence } from "../sync/fence.ts";
import type { Origin } from "./origin.ts";

/** What a mapping needs of the attachment that made it. */
export interface MappingOwner {
  /** Throws, and nothing is changed, when the mapping cannot end now. */
  requireEndable(mapping: LiveMapping): void;
  /** Undoes the map in reverse order. Called once. */
  unmapped(mapping: LiveMapping): Fence | undefined;
  /** The addresses lead nowhere from now on, if they led anywhere. */
  retiring(): void;
  /** Gives the addresses back to the DMA layer. Called once, at unmap or before. */
  giveBack(mapping: LiveMapping): void;
}

export class LiveMapping implements Mapping {
  readonly settlement: Settlement;
  readonly direction: Direction;
  readonly origin: Origin;
  readonly #owner: MappingOwner;
  #open = true;
  #stale = false;
  #retired = false;

  constructor(owner: MappingOwner, settlement: Settlement, direction: Direction, origin: Origin) {
    this.#owner = owner;
    this.settlement = settlement;
    this.direction = direction;
    this.origin = origin;
  }

  get type(): MappingType {
    return this.settlement.type;
  }

  get target(): Placement["target"] {
    return this.settlement.placement?.target ?? "system";
  }

  get route(): Route {
    return this.settlement.route;
  }

  get ready(): Fence | undefined {
    return this.settlement.ready;
  }

  get copied(): boolean {
    return this.settlement.ownTarget !== undefined;
  }

  get isStale(): boolean {
    return this.#stale;
  }

  get segments(): SegmentList {
    this.#requireOpen("its segments were asked for");
    if (this.#stale) {
      const message = `${this.origin} is stale: the buffer moved or was revoked, unmap it and map again`;
      throw new PeerbufError("MAPPING_STALE", message);
    }
    return this.settlement.segments;
  }

  unmap(): Fence | undefined {
    this.#requireOpen("it was unmapped again");
    this.#owner.requireEndable(this);
    this.#open = false;
    this.retire();
    return this.#owner.unmapped(this);
  }

  /** No new work may start on it; what runs may end. */
  invalidate(): void {
    this.#stale = true;
  }

  /** From now on the addresses lead nowhere. */
  retire(): void {
    this.#owner.retiring();
    if (!this.#retired) {
      this.#retired = true;
      this.#owner.giveBack(this);
    }
  }

  [Symbol.dispose](): void {
    if (this.#open) {
      this.unmap();
    }
  }

  #requireOpen(what: string): void {
    if (!this.#open) {
      throw new PeerbufError("HANDLE_CLOSED", `${this.origin} is unmapped, and ${what}`);
    }
  }
}
