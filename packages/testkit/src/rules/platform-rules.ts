/**
 * Platform rules: what the ground owes to drivers, and drivers to what they take from it.
 */
import { type Rule, rule } from "./rule.ts";

const DEBUG = "Linux 6.12, kernel/dma/debug.c";
const HOWTO = "Linux 6.12, Documentation/core-api/dma-api-howto.rst";
const LAYER = "@peerbuf/core: DmaLayer";
const CLOCK = "@peerbuf/core: Clock";

export const PLATFORM_RULES: readonly Rule[] = [
  rule(
    "PLT-001",
    "checker",
    "A mapping covers the ranges exactly: as many bytes as were asked for.",
    "Linux 6.12, dma_map_sgtable: sum of sg_dma_len",
  ),
  rule(
    "PLT-002",
    "checker",
    "No segment reaches above the device's DMA mask.",
    "Linux 6.12, dma_capable: last byte at most min(mask, bus limit); EIO otherwise",
  ),
  rule(
    "PLT-003",
    "checker",
    "No segment is longer than the device's longest.",
    `${DEBUG}: check_sg_segment, mapping sg segment longer than device claims to support`,
  ),
  rule(
    "PLT-004",
    "checker",
    "A list has no more segments than the device takes.",
    "Linux 6.12, blk_mq: max_segments; ib_umem: page list limits",
  ),
  rule(
    "PLT-005",
    "checker",
    "No segment crosses the device's boundary.",
    `${DEBUG}: check_sg_segment, mapping sg segment across boundary`,
  ),
  rule(
    "PLT-006",
    "checker",
    "Every segment starts at the device's alignment.",
    "Linux 6.12, dma_get_required_mask users; struct device_dma_parameters: min_align_mask",
  ),
  rule(
    "PLT-007",
    "checker",
    "Every map makes a list of its own: a live list is never handed out twice.",
    "Linux 6.12, struct dma_buf_ops: map_dma_buf returns a fresh table",
  ),
  rule(
    "PLT-008",
    "checker",
    "Bus addresses are given for the bus-address route alone.",
    "Linux 6.12, pci/p2pdma.c: SG_DMA_BUS_ADDRESS for PCI_P2PDMA_MAP_BUS_ADDR",
  ),
  rule(
    "PLT-009",
    "checker",
    "map and unmap answer at once: no promise.",
    `${LAYER}.map: synchronous, never waits`,
  ),
  rule(
    "PLT-010",
    "checker",
    "A refusal has an errno of the DMA API, a code and a sentence.",
    "Linux 6.12, dma_map_sgtable: EINVAL, ENOMEM, EIO, EREMOTEIO and nothing else",
  ),
  rule(
    "PLT-011",
    "checker",
    "Lists are unmapped once, for the client they were made for.",
    `${DEBUG}: check_unmap, device driver tries to free DMA memory it has not allocated`,
  ),
  rule(
    "PLT-012",
    "checker",
    "Lists are unmapped with the direction they were mapped with.",
    `${DEBUG}: check_unmap, device driver frees DMA memory with different direction`,
  ),
  rule(
    "PLT-013",
    "checker",
    "One address of one client leads to one place: live mappings share an address only for the same memory.",
    `${DEBUG}: add_dma_entry, cacheline tracking; IOVA allocators hand out free ranges`,
  ),
  rule(
    "PLT-014",
    "suite",
    "A refused map takes nothing: the next one that fits succeeds.",
    `${LAYER}.map: takes nothing when it refuses`,
  ),
  rule(
    "PLT-015",
    "suite",
    "What a device cannot follow is refused with EIO, EINVAL or ENOMEM, never mapped wrongly.",
    "Linux 6.12, dma_direct_map_sg: EIO out of mask; dma_map_sgtable",
  ),
  rule(
    "PLT-016",
    "suite",
    "A device is the same object every time it is asked for, and an unknown one is DEVICE_UNKNOWN.",
    "@peerbuf/core: Platform.device",
  ),
  rule(
    "PLT-017",
    "suite",
    "Time never goes back, and nothing that is scheduled runs inside the call that schedules it.",
    CLOCK,
  ),
  rule(
    "PLT-018",
    "suite",
    "Events of one moment run in the order in which they were scheduled, each once, and none that was cancelled.",
    CLOCK,
  ),
  rule(
    "PLT-019",
    "suite",
    "Host memory comes in whole pages, page aligned and zeroed, at least as much as asked for.",
    "@peerbuf/core: HostMemory.allocate; Linux 6.12: __GFP_ZERO, dma-heap selftest",
  ),
  rule(
    "PLT-020",
    "suite",
    "Contiguous host memory is one range.",
    "Linux 6.12, alloc_pages; dma_alloc_coherent",
  ),
  rule(
    "PLT-021",
    "suite",
    "Host memory keeps what is written to it, and freeing it twice is refused.",
    "@peerbuf/core: HostMemory.free, HANDLE_CLOSED",
  ),
  rule(
    "PLT-022",
    "suite",
    "Every driver finds CLOCK, FENCES and host memory; one with a device finds DEVICE.",
    "@peerbuf/core: services.ts",
  ),
  rule(
    "PLT-030",
    "checker",
    "A driver gives back the DMA mappings it made for its own use.",
    `${DEBUG}: dma_debug_device_change, device driver has pending DMA allocations while released`,
  ),
  rule(
    "PLT-031",
    "checker",
    "A driver gives back the coherent memory it took, once.",
    `${DEBUG}: coherent allocations; ${HOWTO}`,
  ),
  rule(
    "PLT-033",
    "checker",
    "A driver lets go of its interrupts at close.",
    "Linux 6.12, free_irq before the device goes; devres",
  ),
  rule(
    "PLT-034",
    "checker",
    "The CPU reaches host memory that somebody holds: no access to pages that were freed.",
    "Linux 6.12, KASAN: use after free",
  ),
  rule(
    "PLT-035",
    "checker",
    "A driver's own clock events and completions do not throw, nor does the model of its device.",
    "Linux 6.12: an oops in a timer takes the machine",
  ),
  rule(
    "PLT-036",
    "checker",
    "The CPU reaches device memory through its BAR, and host memory as host memory: neither as the other.",
    "@peerbuf/core: BARS, HOST_MEMORY; Linux 6.12, ioremap and iosys_map: I/O memory is tagged",
  ),
  rule(
    "PLT-040",
    "suite",
    "What the CPU writes a mapped device reads, and the other way round, in place.",
    `${HOWTO}: coherent view through a mapping`,
  ),
  rule(
    "PLT-041",
    "suite",
    "Two importers of one buffer see the same bytes.",
    "Linux 6.12, struct dma_buf: one storage, many attachments",
  ),
  rule(
    "PLT-042",
    "suite",
    "The wrong order of attach, map, unmap, detach and close is refused and changes nothing.",
    "Linux 6.12, dma_buf_detach, dma_buf_release; law 6 of the design",
  ),
  rule(
    "PLT-043",
    "suite",
    "A framework that closes over a leak gives everything back and names it.",
    "Linux 6.12, dma_buf_release warns; law 5 of the design",
  ),
  rule(
    "PLT-044",
    "suite",
    "An attachment keeps who decided what, from offer to mapping.",
    "Law 1 of the design, nothing silent",
  ),
];
