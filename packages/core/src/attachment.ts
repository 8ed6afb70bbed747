/**
 * Attachment: one importer's standing with one buffer.
 *
 * Made by a successful attach, it holds what both sides agreed on for its whole life. Each map
 * chooses anew among the kept pairs. Order: attach, (pin), map, unmap, (unpin), detach; anything
 * else is refused and changes nothing.
 */
import { type Agreement, agree } from "./agreement.ts";
import { type Decision, reason } from "./decision.ts";
import type { Device } from "./device.ts";
import { type Direction, deviceWrites } from "./direction.ts";
import type { DmaBuf } from "./dma-buf.ts";
import { asDriverFault } from "./driver.ts";
import { PeerbufError } from "./error.ts";
import type { Importer } from "./importer.ts";
import { LiveMapping, type Mapping, type MappingOwner } from "./mapping.ts";
import type { KeptPair } from "./mapping-type.ts";
import { Origin } from "./origin.ts";
import { giveBack, settle } from "./settlement.ts";
import type { Fence } from "./sync/fence.ts";
import type { Exported } from "./talk.ts";
import { NegotiationError, Talk } from "./talk.ts";
import type { PathVerdict } from "./verdict.ts";

export interface Attachment extends Disposable {
  readonly buffer: DmaBuf;
  /** The importer's device. */
  readonly client: Device;
  /** Topology's word on the path. */
  readonly path: PathVerdict;
  /** Every mapping type acceptable to all, in the exporter's order. */
  readonly kept: readonly KeptPair[];
  /** Who said what, oldest first: the attach stage whole, the latest maps and pins. */
  readonly decisions: readonly Decision[];
  /** Mappings not yet unmapped. */
  readonly mappingCount: number;
  /** Pins not yet undone. */
  readonly pinCount: number;
  /**
   * Maps the whole buffer for the importer's device. Synchronous; `ready` of the mapping says when the
   * bytes are there. `MAP_DECLINED` carries every party's reason, `WRONG_ORDER` after detach.
   */
  map(direction: Direction): Mapping;
  /** The bytes stay where they are until `unpin`. Counted. `PIN_DECLINED` if the exporter cannot. */
  pin(): void;
  /** `WRONG_ORDER` without a pin. */
  unpin(): void;
  /** `WRONG_ORDER` while mapped or pinned. */
  detach(): void;
}

/** What an attachment needs of the buffer that made it. */
export interface AttachmentOwner {
  readonly buffer: DmaBuf;
  readonly exported: Exported;
  readonly traceHandles: boolean;
  detached(attachment: LiveAttachment): void;
  /** Work on the buffer's bytes that a mapping left behind. */
  busyUntil(fence: Fence): void;
}

export class LiveAttachment implements Attachment, MappingOwner {
  readonly origin: Origin;
  readonly #owner: AttachmentOwner;
  readonly #talk: Talk;
  readonly #agreement: Agreement;
  readonly #mappings: LiveMapping[] = [];
  #mapsMade = 0;
  #pins = 0;
  #open = true;

  /** Negotiates; throws `NegotiationError` and takes nothing if there is nothing in common. */
  constructor(owner: AttachmentOwner, importer: Importer, serial: number) {
    this.#owner = owner;
    this.#talk = new Talk(owner.exported, importer);
    const label = `attachment ${serial} of ${this.#talk.importerName} on "${owner.exported.name}"`;
    this.origin = owner.traceHandles ? new Origin(label, owner.buffer.attach) : new Origin(label);
    this.#agreement = agree(this.#talk);
  }

  get buffer(): DmaBuf {
    return this.#owner.buffer;
  }

  get client(): Device {
    return this.#talk.importer.device;
  }

  get path(): PathVerdict {
    return this.#agreement.path;
  }

  get kept(): readonly KeptPair[] {
    return this.#agreement.pairs;
  }

  get decisions(): readonly Decision[] {
    return this.#talk.record.decisions;
  }

  get mappingCount(): number {
    return this.#mappings.length;
  }

  get pinCount(): number {
    return this.#pins;
  }

  /** Mappings not yet unmapped, newest last. */
  get mappings(): readonly LiveMapping[] {
    return this.#mappings;
  }

  map(direction: Direction): Mapping {
    this.#requireOpen("mapped");
    const settlement = this.#asked(() => settle(this.#talk, this.#agreement, direction));
    const label = `mapping ${++this.#mapsMade} of ${this.origin.label}`;
    const origin = this.#owner.traceHandles ? new Origin(label, this.map) : new Origin(label);
    const mapping = new LiveMapping(this, settlement, direction, origin);
    this.#mappings.push(mapping);
    if (settlement.placement !== undefined) {
      this.#owner.exported.storage.mapped?.(settlement.placement);
    }
    this.#tell("mapped", mapping);
    return mapping;
  }

  unmapped(mapping: LiveMapping): Fence | undefined {
    const { settlement, direction } = mapping;
    const { storage } = this.#owner.exported;
    giveBack(this.#talk, settlement, direction);
    this.#mappings.splice(this.#mappings.indexOf(mapping), 1);
    if (settlement.placement !== undefined) {
      storage.unmapped?.(settlement.placement);
    }
    this.#tell("unmapped", mapping);
    return this.#copyBack(mapping);
  }

  pin(): void {
    this.#requireOpen("pinned");
    const { storage } = this.#owner.exported;
    const [pair] = this.#agreement.pairs as [KeptPair];
    const answer = this.#asked(() =>
      storage.pin?.({
        client: this.client,
        pair,
        direction: "bidirectional",
        path: this.path,
        movable: this.#talk.importer.invalidateMappings !== undefined,
      }),
    );
    const refused = answer !== undefined && "answer" in answer ? answer.reason : undefined;
    this.#talk.say(
      "exporter",
      "pin",
      refused ? "decline" : "accept",
      refused ?? PINNED,
      this.#agreement.names,
    );
    if (refused !== undefined) {
      const what = `${this.#talk.importerName} cannot pin "${this.#owner.exported.name}"`;
      throw new NegotiationError("PIN_DECLINED", what, this.decisions);
    }
    this.#pins++;
  }

  unpin(): void {
    if (this.#pins === 0) {
      throw new PeerbufError("WRONG_ORDER", `${this.origin} is not pinned`);
    }
    this.#pins--;
    this.#owner.exported.storage.unpin?.();
  }

  detach(): void {
    this.#requireOpen("detached");
    if (this.#mappings.length > 0) {
      throw new PeerbufError(
        "WRONG_ORDER",
        `${this.origin} cannot be detached: ${this.#mappings[0]?.origin} is still mapped`,
      );
    }
    if (this.#pins > 0) {
      throw new PeerbufError(
        "WRONG_ORDER",
        `${this.origin} cannot be detached: it holds ${this.#pins} pins`,
      );
    }
    this.#open = false;
    this.#owner.detached(this);
  }

  [Symbol.dispose](): void {
    if (this.#open) {
      this.detach();
    }
  }

  /** The bytes that the device wrote into the importer's own memory go home. */
  #copyBack({ settlement, direction }: LiveMapping): Fence | undefined {
    if (settlement.ownTarget === undefined || !deviceWrites(direction)) {
      return undefined;
    }
    const fence = this.#owner.exported.storage.copy?.(settlement.ownTarget, "back");
    if (fence !== undefined) {
      this.#owner.busyUntil(fence);
    }
    return fence;
  }

  /** What a driver throws that is no refusal of ours becomes one that names the driver. */
  #asked<T>(ask: () => T): T {
    try {
      return ask();
    } catch (error) {
      throw asDriverFault(error, this.#owner.exported.exporter, this.#talk.importerName);
    }
  }

  #tell(kind: "mapped" | "unmapped", { target, route }: LiveMapping): void {
    const { events, name } = this.#owner.exported;
    if (events.watched) {
      events.send({ kind, buffer: name, importer: this.#talk.importerName, target, route });
    }
  }

  #requireOpen(what: string): void {
    if (!this.#open) {
      throw new PeerbufError("WRONG_ORDER", `${this.origin} is detached and cannot be ${what}`);
    }
  }
}

const PINNED = reason("PINNED", "the bytes stay where they are until they are unpinned");
