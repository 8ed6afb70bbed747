/**
 * Importer rules: what whoever reaches other people's memory owes to its owner.
 */
import { type Rule, rule } from "./rule.ts";

const ATTACH_OPS = "Linux 6.12, include/linux/dma-buf.h: struct dma_buf_attach_ops";
const DOC = "Linux 6.12, Documentation/driver-api/dma-buf.rst";
const DEBUG = "Linux 6.12, kernel/dma/debug.c: check_unmap";
const REVOKE = "Linux 7.1, dma-buf revoke: invalidate_mappings";
const IMPORTER = "@peerbuf/core: Importer";

export const IMPORTER_RULES: readonly Rule[] = [
  rule(
    "IMP-001",
    "checker",
    "An offer lists 1 to 16 mapping types, each once and each a real mapping type.",
    "dma-buf mapping types (2026): the importer's table; @peerbuf/core: Offer.types",
  ),
  rule(
    "IMP-002",
    "checker",
    "An offer's limits are no wider than what the device itself can follow.",
    "Linux 6.12, dma_set_max_seg_size, dma_set_mask: EIO if unsupported",
  ),
  rule(
    "IMP-003",
    "checker",
    "A refusal is a decline or a PeerbufError: offer, take and invalidateMappings throw nothing else.",
    `${IMPORTER}; Linux 6.12, dma_buf_dynamic_attach`,
  ),
  rule(
    "IMP-004",
    "checker",
    "offer and take answer at once: no promise.",
    "@peerbuf/core: law 3 of the design, synchronous steps",
  ),
  rule(
    "IMP-005",
    "checker",
    "Every no carries a code (UPPER_SNAKE) and a sentence; own memory is brought with a reason.",
    "@peerbuf/core: Offer.reason, Decline",
  ),
  rule(
    "IMP-010",
    "checker",
    "Nothing is detached while it is mapped or pinned: unmap, unpin, detach.",
    "Linux 6.12, drivers/dma-buf/dma-buf.c: dma_buf_detach, importers must have unmapped",
  ),
  rule(
    "IMP-011",
    "checker",
    "A mapping is given back once.",
    `${DEBUG}: device driver tries to free DMA memory it has not allocated`,
  ),
  rule(
    "IMP-012",
    "checker",
    "After detach the attachment is dead: it is neither mapped nor pinned nor detached again.",
    "Linux 6.12, dma_buf_detach frees the attachment",
  ),
  rule(
    "IMP-013",
    "checker",
    "Segments of a mapping are not looked up after unmap.",
    "Linux 6.12, dma_buf_unmap_attachment: ownership of the table ends",
  ),
  rule(
    "IMP-014",
    "checker",
    "Segments of a stale mapping are not used for new work: unmap, and map again.",
    `${ATTACH_OPS}: move_notify, no new work on the old mapping`,
  ),
  rule(
    "IMP-015",
    "checker",
    "Pins are undone once, and only by who took them.",
    "Linux 6.12, dma_buf_pin, dma_buf_unpin",
  ),
  rule(
    "IMP-016",
    "checker",
    "A device reaches only what is mapped for it at that moment: nothing before map, nothing after unmap.",
    `${DOC}: DMA after unmap; kernel/dma/debug.c; IOMMU fault`,
  ),
  rule(
    "IMP-017",
    "checker",
    "Who is told that its mapping is invalid unmaps it in bounded time.",
    `${REVOKE}: an importer with the op must unmap in bounded time`,
  ),
  rule(
    "IMP-018",
    "checker",
    "invalidateMappings cannot fail.",
    `${ATTACH_OPS}: move_notify is void`,
  ),
  rule(
    "IMP-019",
    "checker",
    "invalidateMappings does not map, pin or attach: only after it has returned is the memory somewhere again.",
    `${REVOKE}: a remap may start as soon as the call returns`,
  ),
  rule(
    "IMP-020",
    "checker",
    "invalidateMappings does not wait: no promise, no wait for a fence, no lock.",
    `${ATTACH_OPS}: called with the reservation lock held, must not take it`,
  ),
  rule(
    "IMP-021",
    "checker",
    "A device reads only through a mapping that lets it read, and writes only through one that lets it write.",
    `${DEBUG}: device driver maps with different direction; include/linux/dma-direction.h`,
  ),
  rule(
    "IMP-022",
    "checker",
    "No access before the bytes are there: a mapping's ready fence, and every KERNEL fence, is waited for.",
    "Linux 6.12, include/linux/dma-resv.h: DMA_RESV_USAGE_KERNEL, never optional",
  ),
  rule(
    "IMP-023",
    "checker",
    "The CPU never touches peer memory behind a mapping: P2P segments have no pages.",
    "Linux 6.12, dma-buf.c: mangle_sg_table under DMABUF_DEBUG; allow_peer2peer",
  ),
  rule(
    "IMP-024",
    "checker",
    "The CPU touches a shared buffer's pages only through a bracket, or as the device behind a live mapping.",
    `${DOC}: dma_buf_begin_cpu_access`,
  ),
  rule(
    "IMP-025",
    "checker",
    "At close an importer has given back everything: mappings, pins, attachments and its own memory.",
    "Linux 6.12, dma_buf_release warns of attachments; kernel/dma/debug.c: leaks at unbind",
  ),
  rule(
    "IMP-026",
    "checker",
    "Memory that an importer brings is host memory, exactly the buffer's size, and lives until the last copy is over.",
    "@peerbuf/core: Offer.target, Mapping.unmap",
  ),
  rule(
    "IMP-027",
    "checker",
    "Work that writes the buffer is published as a write: readers have to wait for it.",
    "Linux 6.12, include/linux/dma-resv.h: DMA_RESV_USAGE_WRITE",
  ),
  rule(
    "IMP-028",
    "checker",
    "A mapping ends only when the device's work on it is over.",
    `${DOC}: unmap after the hardware is done; @peerbuf/core: Mapping.unmap`,
  ),
  rule(
    "IMP-029",
    "checker",
    "pins is meant only with invalidateMappings, which then revokes.",
    "Linux 7.1: the three lifetimes; @peerbuf/core: Importer.pins",
  ),
  rule(
    "IMP-030",
    "suite",
    "One use of a buffer that anyone can reach succeeds, in each direction that the driver knows.",
    "Linux 6.12, dma_buf_attach to dma_buf_detach",
  ),
  rule(
    "IMP-031",
    "suite",
    "When the exporter refuses the attachment, the user gets that refusal and nothing is left.",
    "Linux 6.12, dma_buf_dynamic_attach: EBUSY, EOPNOTSUPP",
  ),
  rule(
    "IMP-032",
    "suite",
    "When the exporter refuses the map, the user gets that refusal and nothing is left attached.",
    "Linux 6.12, dma_buf_map_attachment; habanalabs: EPERM at map",
  ),
  rule(
    "IMP-033",
    "suite",
    "When the DMA layer refuses, the user gets that refusal and nothing is left attached.",
    "Linux 6.12, dma_map_sgtable: EREMOTEIO, EIO, ENOMEM",
  ),
  rule(
    "IMP-034",
    "suite",
    "A buffer that was redirected to system memory is used as any other.",
    "Linux 6.12, amdgpu_dma_buf_map: GTT instead of VRAM; an importer just sees system-memory addresses",
  ),
  rule(
    "IMP-035",
    "suite",
    "After a move the next use reaches the bytes where they are now.",
    `${ATTACH_OPS}: move_notify, drop and recreate the mapping`,
  ),
  rule(
    "IMP-036",
    "suite",
    "After a revocation a use fails with DEVICE_GONE, everything is given back, and other buffers still work.",
    `${REVOKE}; RDMA: one-time revoke`,
  ),
  rule(
    "IMP-037",
    "suite",
    "Bytes that arrive late are waited for: a use of a buffer on the move ends after the move.",
    "Linux 6.12, dma_resv: KERNEL fences; ib_umem_dmabuf_map_pages waits after map",
  ),
  rule(
    "IMP-038",
    "suite",
    "Uses can be repeated for ever: nothing is used up.",
    "Linux 6.12, kernel/dma/debug.c: leaks",
  ),
  rule(
    "IMP-039",
    "suite",
    "Two buffers are used at once without getting in each other's way.",
    `${DOC}: one attachment for each buffer and device`,
  ),
  rule(
    "IMP-040",
    "checker",
    "Implicit work begins when those who were there first are done: a reader waits for writers, a writer for everyone.",
    "Linux 6.12, include/linux/dma-resv.h: dma_resv_usage_rw",
  ),
  rule(
    "IMP-041",
    "checker",
    "When a mapping is invalidated, work of the device that still runs on it has a fence on the reservation.",
    `${ATTACH_OPS}: fences for work that cannot be stopped at once; @peerbuf/core: Importer.invalidateMappings`,
  ),
  rule(
    "IMP-042",
    "suite",
    "When the device fails, the user is told: a use whose work met an error does not end well.",
    "Linux 6.12, drivers/dma-buf/dma-fence.c: dma_fence_get_status; nvme_complete_rq, ib_wc.status",
  ),
  rule(
    "IMP-043",
    "checker",
    "The fence of a device's work is on the reservation before the work begins, and signals when it is over.",
    `${DOC}: DMA Fence Cross-Driver Contract; Linux 6.12, drm_sched_job_arm, then push; no signal before the hardware is done`,
  ),
  rule(
    "IMP-044",
    "suite",
    "A use is over when it says so, and has read and written every byte in its place, to the last.",
    "@peerbuf/testkit: ImporterCheck.start; Linux 6.12, struct sg_table: entries in buffer order, sg_dma_len of each",
  ),
  rule(
    "IMP-045",
    "checker",
    "The list of a mapping is for reading: an importer changes no entry of it.",
    "Linux 6.12, include/linux/dma-buf.h: struct dma_buf_ops: map_dma_buf: importers only look; DMABUF_DEBUG (7.0): a copy for each importer",
  ),
  rule(
    "IMP-046",
    "checker",
    "Fences that are put on a reservation belong to the framework's own fence domain.",
    "@peerbuf/core: FENCES; Linux 6.12, dma-fence.c: contexts compare within one allocator",
  ),
];
