/**
 * Attachment: one importer's standing with one buffer.
 *
 * Made by a successful attach, it holds what both sides agreed on for its whole life. Each map
 * chooses among the kept pairs, and stays with the choice until the buffer moves. Order: attach,
 * (pin), map, unmap, (unpin), detach; anything else is refused and changes nothing.
 */
import type { AttachmentView } from "./buffer-control.ts";
import type { Decision } from "./decision.ts";
import type { Device } from "./device.ts";
import type { Direction } from "./direction.ts";
import type { DmaBuf } from "./dma-buf.ts";
import type { Mapping } from "./mapping.ts";
import type { KeptPair } from "./mapping-type.ts";
import type { PathVerdict } from "./verdict.ts";

export interface Attachment extends AttachmentView, Disposable {
  readonly buffer: DmaBuf;
  /** The importer's device. */
  readonly client: Device;
  /** Topology's word on the path. */
  readonly path: PathVerdict;
  /** Every mapping type acceptable to all, in the exporter's order. */
  readonly kept: readonly KeptPair[];
  /** Who said what, oldest first: the attach stage whole, the latest of what came later. */
  readonly decisions: readonly Decision[];
  /** Mappings not yet unmapped. */
  readonly mappingCount: number;
  /** Pins not yet undone. */
  readonly pinCount: number;
  /**
   * Maps the whole buffer for the importer's device. Synchronous; `ready` of the mapping says when the
   * bytes are there. `MAP_DECLINED` carries every party's reason, `WRONG_ORDER` after detach or while
   * the buffer moves, `DEVICE_GONE` when it is revoked.
   */
  map(direction: Direction): Mapping;
  /** The bytes stay where they are until `unpin`. Counted. `PIN_DECLINED` if the exporter cannot. */
  pin(): void;
  /** `WRONG_ORDER` without a pin. */
  unpin(): void;
  /** `WRONG_ORDER` while mapped or pinned, or while either is under way. */
  detach(): void;
}
