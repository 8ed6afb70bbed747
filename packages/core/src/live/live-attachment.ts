/**
 * Live attachment: keeps the order of attach, pin, map, unmap, unpin and detach.
 *
 * What the parties agreed on is in `../negotiation`; what moves do to it is in `motion.ts`.
 */
import type { Attachment } from "../attachment.ts";
import type { Lifetime } from "../buffer-control.ts";
import type { CopyPolicy } from "../copy-policy.ts";
import { type Decision, type Reason, reason } from "../decision.ts";
import type { Device } from "../device.ts";
import { type Direction, deviceWrites } from "../direction.ts";
import type { DmaBuf } from "../dma-buf.ts";
import { asDriverFault } from "../driver.ts";
import { PeerbufError } from "../error.ts";
import type { Importer } from "../importer.ts";
import type { Mapping } from "../mapping.ts";
import type { KeptPair } from "../mapping-type.ts";
import { type Agreement, agree } from "../negotiation/agreement.ts";
import { giveBack } from "../negotiation/proposal.ts";
import type { Settlement, SettlementRequest } from "../negotiation/settlement.ts";
import { settle, settlePin } from "../negotiation/settling.ts";
import { type Exported, Talk } from "../negotiation/talk.ts";
import type { Fence } from "../sync/fence.ts";
import type { PathVerdict } from "../verdict.ts";
import { LiveMapping, type MappingOwner } from "./live-mapping.ts";
import type { Motion, MovedAttachment } from "./motion.ts";
import { Origin } from "./origin.ts";

/** What an attachment needs of the buffer that made it. */
export interface AttachmentOwner {
  readonly buffer: DmaBuf;
  readonly exported: Exported;
  readonly motion: Motion;
  readonly traceHandles: boolean;
  detached(attachment: LiveAttachment): void;
}

export class LiveAttachment implements Attachment, MappingOwner, MovedAttachment {
  readonly origin: Origin;
  readonly lifetime: Lifetime;
  readonly #owner: AttachmentOwner;
  readonly #talk: Talk;
  readonly #agreement: Agreement;
  readonly #mappings: LiveMapping[] = [];
  #mapsMade = 0;
  #pins = 0;
  /** Maps and pins under way, further up the stack. */
  #negotiating = 0;
  #open = true;
  /** What the last map or pin chose: tried first until the buffer moves. */
  #chosen: KeptPair | undefined;

  /** Negotiates; throws `NegotiationError` and takes nothing if there is nothing in common. */
  constructor(owner: AttachmentOwner, importer: Importer, copy: CopyPolicy, serial: number) {
    this.#owner = owner;
    this.#talk = new Talk(owner.exported, importer, copy);
    this.lifetime = lifetimeOf(importer);
    const label = `attachment ${serial} of ${this.#talk.importerName} on "${owner.exported.name}"`;
    this.origin = owner.traceHandles ? new Origin(label, owner.buffer.attach) : new Origin(label);
    this.#agreement = agree(this.#talk, this.lifetime);
  }

  get buffer(): DmaBuf {
    return this.#owner.buffer;
  }

  get client(): Device {
    return this.#talk.importer.device;
  }

  get importerName(): string {
    return this.#talk.importerName;
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

  get isPinned(): boolean {
    return this.#pins > 0 || (this.lifetime !== "movable" && this.#mappings.length > 0);
  }

  /** Mappings not yet unmapped, newest last. */
  get mappings(): readonly LiveMapping[] {
    return this.#mappings;
  }

  map(direction: Direction): Mapping {
    this.#requireOpen("mapped");
    this.#owner.motion.requireSettled("mapped");
    const mapping = this.#settled(direction);
    this.#mappings.push(mapping);
    this.#chosen = mapping.settlement.pair;
    this.#hearMapped(mapping);
    this.#tell("mapped", mapping);
    return mapping;
  }

  /** A copy back needs the reservation: better refused before anything is undone. */
  requireEndable(mapping: LiveMapping): void {
    if (this.#copiesBack(mapping)) {
      this.#owner.motion.requireLockable("copied back to");
    }
  }

  retiring(): void {
    this.#owner.motion.reservation.domain.observer?.retiring(this.client);
  }

  giveBack(mapping: LiveMapping): void {
    giveBack(this.#talk, mapping.settlement, mapping.direction);
  }

  unmapped(mapping: LiveMapping): Fence | undefined {
    const { placement } = mapping.settlement;
    const { storage } = this.#owner.exported;
    try {
      if (placement !== undefined) {
        this.#ask(() => storage.unmapped?.(placement));
      }
    } finally {
      this.#forget(mapping);
      this.#tell("unmapped", mapping);
    }
    return this.#copyBack(mapping);
  }

  pin(): void {
    this.#requireOpen("pinned");
    this.#owner.motion.requireSettled("pinned");
    this.#chosen = this.#pinned(this.#pinRequest());
    this.#pins++;
  }

  unpin(): void {
    if (this.#pins === 0) {
      throw new PeerbufError("WRONG_ORDER", `${this.origin} is not pinned`);
    }
    this.#pins--;
    this.#ask(() => this.#owner.exported.storage.unpin?.());
  }

  detach(): void {
    this.#requireOpen("detached");
    if (this.#negotiating > 0) {
      const message = `${this.origin} cannot be detached: it is being mapped or pinned`;
      throw new PeerbufError("WRONG_ORDER", message);
    }
    const [mapped] = this.#mappings;
    if (mapped !== undefined) {
      const message = `${this.origin} cannot be detached: ${mapped.origin} is still mapped`;
      throw new PeerbufError("WRONG_ORDER", message);
    }
    if (this.#pins > 0) {
      const message = `${this.origin} cannot be detached: it holds ${this.#pins} pins`;
      throw new PeerbufError("WRONG_ORDER", message);
    }
    this.#open = false;
    this.#owner.detached(this);
  }

  [Symbol.dispose](): void {
    if (this.#open) {
      this.detach();
    }
  }

  /** The exporter moves or revokes the buffer: on everyone's record, whoever asked for it. */
  hear(stage: "move" | "revoke", why: Reason): void {
    const verdict = stage === "move" ? "redirect" : "decline";
    this.#chosen = undefined;
    this.#talk.say("exporter", stage, verdict, why, stage === "move" ? this.#agreement.names : []);
  }

  invalidate(): LiveMapping[] {
    const stale = [...this.#mappings];
    for (const mapping of stale) {
      mapping.invalidate();
    }
    return stale;
  }

  tell(): PeerbufError | undefined {
    try {
      this.#talk.importer.invalidateMappings?.(this);
      return undefined;
    } catch (error) {
      return this.#asFault(error);
    }
  }

  #settled(direction: Direction): LiveMapping {
    const pins = this.lifetime !== "movable" && this.#pins === 0;
    const label = `mapping ${++this.#mapsMade} of ${this.origin.label}`;
    const origin = this.#owner.traceHandles ? new Origin(label, this.map) : new Origin(label);
    const request = { direction, pins, preferred: this.#chosen, lifetime: this.lifetime };
    return new LiveMapping(this, this.#negotiated(request), direction, origin);
  }

  /** What the parties call back meanwhile cannot end the attachment under them. */
  #negotiated(request: SettlementRequest): Settlement {
    this.#negotiating++;
    try {
      return settle(this.#talk, this.#agreement, request);
    } catch (error) {
      throw this.#asFault(error);
    } finally {
      this.#negotiating--;
    }
  }

  #pinned(request: SettlementRequest): KeptPair {
    this.#negotiating++;
    try {
      return settlePin(this.#talk, this.#agreement, request);
    } catch (error) {
      throw this.#asFault(error);
    } finally {
      this.#negotiating--;
    }
  }

  #hearMapped(mapping: LiveMapping): void {
    const { placement } = mapping.settlement;
    if (placement === undefined) {
      return;
    }
    try {
      this.#ask(() => this.#owner.exported.storage.mapped?.(placement));
    } catch (error) {
      mapping.retire();
      this.#forget(mapping);
      throw error;
    }
  }

  /** The mapping is gone, and its pin with it; perhaps somebody waits for that. */
  #forget(mapping: LiveMapping): void {
    this.#mappings.splice(this.#mappings.indexOf(mapping), 1);
    try {
      if (mapping.settlement.pinned) {
        this.#ask(() => this.#owner.exported.storage.unpin?.());
      }
    } finally {
      this.#owner.motion.unmapped();
    }
  }

  #pinRequest(): SettlementRequest {
    const { lifetime } = this;
    return { direction: "bidirectional", pins: true, preferred: this.#chosen, lifetime };
  }

  #copiesBack({ settlement, direction }: LiveMapping): boolean {
    return settlement.ownTarget !== undefined && deviceWrites(direction);
  }

  /** The bytes that the device wrote into the importer's own memory go home. */
  #copyBack(mapping: LiveMapping): Fence | undefined {
    const { storage, sizeBytes, platform, fences } = this.#owner.exported;
    const { ownTarget } = mapping.settlement;
    const { copy } = storage;
    if (ownTarget === undefined || copy === undefined || !this.#copiesBack(mapping)) {
      return undefined;
    }
    if (fences.isRevoked) {
      this.#talk.say("framework", "unmap", "decline", NOT_COPIED_BACK, []);
      return undefined;
    }
    const back = (): Fence => copy.call(storage, ownTarget, "back");
    const fence = this.#ask(() => fences.startWork(back, "kernel"));
    const numbers = { bytes: sizeBytes, atNs: platform.clock.nowNs };
    const why = reason("COPIED_BACK", "its engine copies the bytes back", numbers);
    this.#talk.say("exporter", "unmap", "accept", why, this.#agreement.names);
    return fence;
  }

  /** One question to the drivers. */
  #ask<T>(step: () => T): T {
    try {
      return step();
    } catch (error) {
      throw this.#asFault(error);
    }
  }

  /** What a driver throws that is no refusal of ours becomes one that names the drivers. */
  #asFault(error: unknown): PeerbufError {
    return asDriverFault(error, this.#owner.exported.exporter, this.#talk.importerName);
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

const NOT_COPIED_BACK = reason(
  "NOT_COPIED_BACK",
  "the buffer is revoked: the bytes stay in the importer's memory",
);

function lifetimeOf({ invalidateMappings, pins }: Importer): Lifetime {
  if (invalidateMappings === undefined) {
    return "pinned";
  }
  return pins === true ? "revocable" : "movable";
}
