/**
 * Exporter rules: what whoever owns memory owes to everyone who shares it.
 */
import { type Rule, rule } from "./rule.ts";

const OPS = "Linux 6.12, include/linux/dma-buf.h: struct dma_buf_ops";
const EXPORT = "Linux 6.12, drivers/dma-buf/dma-buf.c: dma_buf_export";
const REVOKE = "Linux 7.1, dma-buf revoke: dma_buf_invalidate_mappings";
const NOTIFY = "Linux 6.12, drivers/dma-buf/dma-buf.c: dma_buf_move_notify";
const HEAPS = "Linux 6.12, tools/testing/selftests/dmabuf-heaps";

export const EXPORTER_RULES: readonly Rule[] = [
  rule(
    "EXP-001",
    "checker",
    "A buffer lists 1 to 16 mapping types, each once and each a real mapping type.",
    `${EXPORT}: EINVAL without map ops; @peerbuf/core: Storage.types`,
  ),
  rule(
    "EXP-002",
    "checker",
    "The list of mapping types is the same for the whole life of the buffer.",
    `${OPS}: constant for the life of the buffer`,
  ),
  rule(
    "EXP-003",
    "checker",
    "A refusal is a PeerbufError or a decline: nothing else is thrown out of an exporter.",
    "@peerbuf/core: ExporterDriver.open, Exporter.allocate; Linux 6.12: ERR_PTR answers of exporters",
  ),
  rule(
    "EXP-004",
    "suite",
    "A wish that the driver does not know is refused by name, not ignored.",
    "@peerbuf/core: AllocateOptions; Linux: unknown ioctl bits are EINVAL",
  ),
  rule(
    "EXP-005",
    "suite",
    "New memory holds nobody's old bytes: it reads as zeros.",
    `${HEAPS}: test_alloc_zeroed; Linux 6.12, dma_buf_ops.map_dma_buf: memory cleared`,
  ),
  rule(
    "EXP-006",
    "checker",
    "A placement covers the buffer exactly, not a byte more or less.",
    "@peerbuf/core: Placement.ranges; Linux 6.12, dma_buf.size never changes",
  ),
  rule(
    "EXP-007",
    "checker",
    "A placement in device memory names the function whose BAR holds it.",
    "@peerbuf/core: Placement.provider; Linux 6.19, pci/p2pdma.c: pcim_p2pdma_provider",
  ),
  rule(
    "EXP-008",
    "checker",
    "Ranges in device memory lie inside a BAR of the provider.",
    "Linux 6.12, pci/p2pdma.c: pci_p2pdma_add_resource, EINVAL beyond the BAR; only memory that the BAR shows has a bus address",
  ),
  rule(
    "EXP-009",
    "checker",
    "Who is asked for system memory never answers with device memory.",
    "Linux 6.12, amdgpu_dma_buf_map: GTT without peer2peer; dma_buf_attach_ops.allow_peer2peer",
  ),
  rule(
    "EXP-010",
    "checker",
    "Where only one kind of memory will do, no other is offered.",
    "dma-buf mapping types (2026): required entries; @peerbuf/core: KeptPair.require",
  ),
  rule(
    "EXP-011",
    "checker",
    "Ranges start at page boundaries and are whole pages long.",
    "Linux 6.12, drivers/dma-buf/dma-buf.c: dma_buf_map_attachment under CONFIG_DMA_API_DEBUG",
  ),
  rule(
    "EXP-012",
    "checker",
    "No byte of a buffer lies in two of its ranges.",
    "Linux 6.12, struct sg_table: one entry for each stretch, in buffer order",
  ),
  rule(
    "EXP-013",
    "checker",
    "Two buffers share no memory while a device can still reach one of them.",
    `${OPS}: release frees; Linux 6.12, ttm_bo_move: BOOKKEEP fences before reuse`,
  ),
  rule(
    "EXP-014",
    "checker",
    "What is called system memory is not in a BAR: peer memory is never passed off as the host's.",
    "Linux 6.12, dma-direct.c and dma-iommu.c: P2P pages are a case of their own; EREMOTEIO",
  ),
  rule(
    "EXP-015",
    "checker",
    "A placement lies in memory that is still allocated.",
    `${OPS}: map_dma_buf returns live memory; KASAN: use after free`,
  ),
  rule(
    "EXP-016",
    "checker",
    "pin and unpin come together, or not at all.",
    `${EXPORT}: EINVAL with only one of pin and unpin`,
  ),
  rule(
    "EXP-017",
    "checker",
    "Pinned memory stays where it is until the last unpin.",
    `${OPS}: pin; Linux 6.12, dma_buf_pin`,
  ),
  rule(
    "EXP-018",
    "checker",
    "Memory never moves under a live mapping without its importer being told.",
    `${NOTIFY}; include/linux/dma-buf.h: move_notify`,
  ),
  rule(
    "EXP-019",
    "checker",
    "The copy of a move begins after the last work on the old place, and its fence signals when the bytes have arrived.",
    `${REVOKE}: fences first; Linux 6.12, ttm_bo_evict: waits BOOKKEEP`,
  ),
  rule(
    "EXP-020",
    "checker",
    "Pages are given back only when no DMA mapping reaches them any more.",
    "Linux 6.12, kernel/dma/debug.c: device driver frees memory that is still mapped; dma_buf_ops.release",
  ),
  rule(
    "EXP-021",
    "checker",
    "What was taken for a buffer is given back when it is released, and what open took at close.",
    `${OPS}: release, once, from dentry release; Linux 6.12, kernel/dma/debug.c: leaks at unbind`,
  ),
  rule(
    "EXP-022",
    "checker",
    "Pages are given back once.",
    "Linux 6.12, mm/page_alloc.c: bad page state; @peerbuf/core: HostMemory.free",
  ),
  rule(
    "EXP-023",
    "checker",
    "detach, unpin, mapped's counterpart unmapped, and release cannot fail.",
    `${OPS}: void operations`,
  ),
  rule(
    "EXP-024",
    "checker",
    "attach, pin, place, mapped, unmapped, detach and copy answer at once: no promise.",
    "@peerbuf/core: exporter contract, synchronous operations; law 3 of the design",
  ),
  rule(
    "EXP-025",
    "checker",
    "An attach that is declined takes nothing: detach is not called for it.",
    `${OPS}: attach, on failure detach is not called`,
  ),
  rule(
    "EXP-026",
    "checker",
    "Every no and every change of target carries a code (UPPER_SNAKE) and a sentence.",
    "@peerbuf/core: Reason; law 1 of the design, nothing silent",
  ),
  rule(
    "EXP-027",
    "checker",
    "Other memory than was asked for is given with a reason.",
    "@peerbuf/core: Placement.reason; Linux 6.12: the silent redirect of amdgpu that people cannot see",
  ),
  rule(
    "EXP-028",
    "suite",
    "What the CPU writes it reads again, at every offset up to the last byte.",
    "Linux 6.12, Documentation/driver-api/dma-buf.rst: CPU access; udmabuf selftest, same data",
  ),
  rule(
    "EXP-029",
    "suite",
    "The CPU sees the bytes where devices do: what is written through a bracket arrives in the mapped memory and back.",
    `${OPS}: begin_cpu_access makes the CPU view coherent`,
  ),
  rule(
    "EXP-030",
    "suite",
    "copy out and copy back carry every byte, and their fence signals when the bytes are there.",
    "@peerbuf/core: Storage.copy",
  ),
  rule(
    "EXP-031",
    "suite",
    "A move keeps every byte.",
    "Linux 6.12, ttm_bo_move_memcpy, amdgpu_bo_move: contents follow the buffer",
  ),
  rule(
    "EXP-032",
    "suite",
    "Whoever follows moves is told of a move, and its next mapping leads to the bytes.",
    `${NOTIFY}: a remap after the callback sees the new place`,
  ),
  rule(
    "EXP-033",
    "suite",
    "A pinned buffer survives the wish to move it: the bytes stay, and nothing breaks.",
    `${OPS}: pin; Linux 6.12, ttm: pinned objects are not evicted`,
  ),
  rule(
    "EXP-034",
    "suite",
    "After a revocation nobody attaches, maps or touches the buffer, and no device reaches a byte of it.",
    `${REVOKE}; vfio_pci_dmabuf.c: attach and map are ENODEV`,
  ),
  rule(
    "EXP-035",
    "suite",
    "When memory is exhausted, MEMORY_EXHAUSTED says so (ARGUMENT_INVALID where it could never be had), nothing is kept, and smaller buffers can still be had.",
    "@peerbuf/core: Exporter.allocate; Linux 6.12: ENOMEM from dma_heap_allocate",
  ),
  rule(
    "EXP-036",
    "suite",
    "When the host has no page for the driver, whatever it was doing fails cleanly and nothing is lost or leaked.",
    "Linux 6.12: failslab; dma_buf_ops.map_dma_buf, ENOMEM",
  ),
  rule(
    "EXP-037",
    "suite",
    "Buffers come and go without anything being used up.",
    `${HEAPS}: allocate and free in a loop; dma_buf_ops.release`,
  ),
  rule(
    "EXP-038",
    "suite",
    "What happens to one buffer leaves the bytes of others alone.",
    "Linux 6.12, Documentation/driver-api/dma-buf.rst: exporters manage their backing storage",
  ),
  rule(
    "EXP-039",
    "checker",
    "Fences in answers belong to the framework's own fence domain.",
    "@peerbuf/core: FENCES; Linux 6.12, dma-fence.c: contexts compare within one allocator",
  ),
  rule(
    "EXP-040",
    "checker",
    "endCpuAccess does not fail where beginCpuAccess went well.",
    `${OPS}: end_cpu_access follows every begin`,
  ),
  rule(
    "EXP-041",
    "suite",
    "A second importer can attach and map while a first one is mapped, or is refused with a reason.",
    "Linux 6.12, dma_buf_dynamic_attach; amdgpu_dma_buf_map: EBUSY where pinned elsewhere",
  ),
  rule(
    "EXP-042",
    "suite",
    "Attaching, mapping and unmapping again and again gives the same answer and uses nothing up.",
    "Linux 6.12, dma_buf_map_attachment; dma-buf mapping types (2026): the choice sticks until the buffer moves",
  ),
  rule(
    "EXP-043",
    "suite",
    "Bytes outlive their users: unmapping, detaching and CPU brackets change none of them.",
    `${OPS}: only release ends the storage`,
  ),
  rule(
    "EXP-044",
    "suite",
    "Each attachment counts on its own: two of one device are two, and the end of one changes nothing for the other.",
    "Linux 6.12, drivers/dma-buf/dma-buf.c: dma_buf_dynamic_attach: one dma_buf_attachment for each call",
  ),
  rule(
    "EXP-045",
    "suite",
    "What is over or never came to be leaves nothing behind: after a refused attach, pin, map or move, or a CPU access, the buffer moves and serves as before.",
    `${OPS}: map_dma_buf, on failure unmap is not called; Linux 6.12, amdgpu_dma_buf_map: error paths unpin`,
  ),
  rule(
    "EXP-046",
    "suite",
    "Every mapping of a buffer leads to the same bytes, whatever its direction, its type and the lifetime of its importer.",
    "Linux 6.12, struct dma_buf: one storage, many attachments; include/linux/dma-direction.h: a direction says who writes, not where",
  ),
];
