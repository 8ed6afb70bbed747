/**
 * Mapping: one importer's way to the bytes, from map to unmap.
 *
 * Says where the bytes really are (`target`) and how they get there (`route`): a fall-back to system
 * memory is never hidden. Given back exactly once.
 */
import type { Direction } from "./direction.ts";
import type { Placement } from "./exporter.ts";
import type { MappingType } from "./mapping-type.ts";
import type { Route } from "./platform.ts";
import type { SegmentList } from "./segments.ts";
import type { Fence } from "./sync/fence.ts";

export interface Mapping extends Disposable {
  readonly type: MappingType;
  readonly direction: Direction;
  /** Where the bytes are. */
  readonly target: Placement["target"];
  /** How they get there. */
  readonly route: Route;
  /** What the device is to use. `HANDLE_CLOSED` after unmap, `MAPPING_STALE` once the buffer moved or was revoked. */
  readonly segments: SegmentList;
  /** Wait for it before any access: the bytes are still arriving. Left out: they are there. */
  readonly ready: Fence | undefined;
  /** `true`: the importer brought the memory and the exporter's engine copies. */
  readonly copied: boolean;
  /** `true`: the buffer moved or was revoked; unmap, and map again if it moved. */
  readonly isStale: boolean;
  /**
   * Ends the mapping. All work of the device on it must be over. Returns the fence of a copy back that
   * still runs, if the importer brought the memory: keep that memory until it signals. Such a copy needs
   * the reservation: `BUFFER_BUSY`, and still mapped, while somebody else holds its lock.
   * A second time is `HANDLE_CLOSED`; `using` may follow an explicit unmap.
   */
  unmap(): Fence | undefined;
}
