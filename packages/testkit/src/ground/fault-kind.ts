/**
 * Fault kinds: what a world can do to drivers at the points that matter.
 *
 * Each one happens only where a decision says so, as often as the world's `faultsMax` allows, and never in
 * the liveness phase. A driver must refuse, report or recover; it must not break a rule.
 */

/**
 * Faults at a call or at the end of a piece of work:
 * - `attach-refused`: the exporter declines an attach; `map-exhausted`: it has no memory for a placement;
 * - `dma-refused`: the DMA layer cannot map (ENOMEM);
 * - `cpu-access-refused`: the bracket around a CPU access cannot be opened (EIO);
 * - `iommu-fault`: a device's access to mapped memory fails; `partial-copy`: half of the bytes, then an error;
 * - `late-fence`: work is over, but its completion comes a millisecond late; `lost-fence`: it comes only as a failure,
 *   when the device is reset at the end;
 * - `sync-mismatch`: a partner starts its device without waiting for the bytes.
 */
export const CALL_FAULTS = [
  "attach-refused",
  "map-exhausted",
  "dma-refused",
  "cpu-access-refused",
  "iommu-fault",
  "partial-copy",
  "late-fence",
  "lost-fence",
  "sync-mismatch",
] as const;

/**
 * Faults that come by themselves, between any two steps:
 * - `revoke`: the exporter takes the memory away while devices use it; `reset`: the same, and it comes back empty;
 * - `eviction-storm`: every buffer is moved; `unplug`: a device is gone, its accesses fail;
 * - `importer-dies`: an actor stops where it stands; what it holds is taken back much later.
 */
export const EVENT_FAULTS = [
  "revoke",
  "reset",
  "eviction-storm",
  "unplug",
  "importer-dies",
] as const;

export type CallFault = (typeof CALL_FAULTS)[number];
export type EventFault = (typeof EVENT_FAULTS)[number];
export type FaultKind = CallFault | EventFault;

export const FAULT_KINDS: readonly FaultKind[] = [...CALL_FAULTS, ...EVENT_FAULTS];

/** The label under which a fault is decided on. Strategies see by it that 1 means trouble. */
export const FAULT_LABELS: Readonly<Record<CallFault, string>> = Object.freeze(
  Object.fromEntries(CALL_FAULTS.map((kind) => [kind, `fault ${kind}`])) as Record<
    CallFault,
    string
  >,
);

export const isFaultLabel = (label: string): boolean => label.startsWith("fault ");
