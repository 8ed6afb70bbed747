/**
 * Witness: what is done with one buffer while an importer under test uses it.
 *
 * Sees attachments, mappings, fences and CPU brackets, whoever makes them, and changes nothing.
 */
import type { Attachment, DmaBuf, Fence, Mapping } from "@peerbuf/core";

export class Witness {
  /** Work that readers or writers have to know of, in the order in which it was published. */
  readonly fences: Fence[] = [];
  readonly #buffer: DmaBuf;
  readonly #mapped = new Set<Mapping>();
  #reached = 0;

  constructor(buffer: DmaBuf) {
    this.#buffer = buffer;
    this.#seeAttachments(buffer);
    this.#seeFences(buffer);
  }

  /** How often somebody attached, or opened a bracket for the CPU; holding an attachment counts as well. */
  get reached(): number {
    return this.#reached + this.#buffer.attachments.length;
  }

  /** Mappings that were invalidated and are not unmapped. */
  get heldStale(): number {
    return [...this.#mapped].filter(({ isStale }) => isStale).length;
  }

  #seeAttachments(buffer: DmaBuf): void {
    const { attach, beginCpuAccess } = buffer;
    buffer.attach = (importer, options) => {
      this.#reached++;
      const attachment = attach.call(buffer, importer, options);
      this.#seeMappings(attachment);
      return attachment;
    };
    buffer.beginCpuAccess = (use, options) => {
      this.#reached++;
      return beginCpuAccess.call(buffer, use, options);
    };
  }

  #seeMappings(attachment: Attachment): void {
    const { map } = attachment;
    attachment.map = (direction) => {
      const mapping = map.call(attachment, direction);
      const { unmap } = mapping;
      this.#mapped.add(mapping);
      mapping.unmap = () => {
        const copyBack = unmap.call(mapping);
        this.#mapped.delete(mapping);
        return copyBack;
      };
      return mapping;
    };
  }

  #seeFences({ reservation }: DmaBuf): void {
    const { addFence } = reservation;
    reservation.addFence = (fence, usage) => {
      addFence.call(reservation, fence, usage);
      if (usage === "read" || usage === "write") {
        this.fences.push(fence);
      }
    };
  }
}
