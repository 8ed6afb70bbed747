/**
 * Bufs JSON: what was seen, as `bufsShape` describes it: apart from it, so that the command loads no schemas.
 */
import type { Survey } from "@peerbuf/linux";

export const bufsAsJson = ({
  totalBytes,
  buffers,
  processes,
  exporters,
  blindSpots,
}: Survey): unknown => ({
  totalBytes,
  buffers: buffers.map((buffer) => ({
    inode: buffer.inode,
    sizeBytes: buffer.sizeBytes ?? null,
    exporter: buffer.exporter ?? null,
    name: buffer.name,
    holders: buffer.holders,
    devices: buffer.devices ?? null,
    fences: buffer.fences ?? null,
    referenceCount: buffer.referenceCount ?? null,
    otherReferenceCount: buffer.otherReferenceCount ?? null,
  })),
  processes,
  exporters: exporters.map((total) => ({ ...total, exporter: total.exporter ?? null })),
  notSeen: blindSpots,
});
