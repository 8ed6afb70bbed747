/**
 * Sync rules: fences, locks and waits, which drivers share across everybody's borders.
 */
import { type Rule, rule } from "./rule.ts";

const FENCES = "Linux 6.12, Documentation/driver-api/dma-buf.rst: DMA Fence Cross-Driver Contract";
const FENCE = "Linux 6.12, drivers/dma-buf/dma-fence.c";
const RESV = "Linux 6.12, drivers/dma-buf/dma-resv.c";
const WW = "Linux 6.12, Documentation/locking/ww-mutex-design.rst";
const SYNC = "Linux 6.12, drivers/dma-buf/dma-buf.c: DMA_BUF_IOCTL_SYNC";

export const SYNC_RULES: readonly Rule[] = [
  rule(
    "SYN-001",
    "checker",
    "A fence is signaled once by its producer.",
    `${FENCE}: dma_fence_signal, EINVAL the second time`,
  ),
  rule(
    "SYN-002",
    "checker",
    "Every published fence signals in finite time, whatever anybody else does.",
    `${FENCES}: completion in finite time`,
  ),
  rule(
    "SYN-003",
    "checker",
    "Between publishing a fence and signaling it nothing waits for a fence.",
    `${FENCE}: dma_fence_begin_signalling; lockdep`,
  ),
  rule(
    "SYN-004",
    "checker",
    "On the way to a signal nobody waits for a reservation lock: whoever holds it may wait for the fence.",
    `${FENCES}: the signaling path never takes a dma_resv lock`,
  ),
  rule(
    "SYN-005",
    "checker",
    "Fences of one context signal in the order of their seqnos.",
    `${FENCE}: a signaled fence implies all earlier ones of its context`,
  ),
  rule(
    "SYN-006",
    "checker",
    "Fences of one context have seqnos of their own: two pieces of work never share one.",
    `${FENCE}: dma_fence_init; is_later compares seqnos`,
  ),
  rule(
    "SYN-007",
    "checker",
    "A slot is reserved, under the lock, before a fence is added.",
    `${RESV}: dma_resv_reserve_fences, dma_resv_add_fence`,
  ),
  rule(
    "SYN-008",
    "checker",
    "A reservation is changed only under its lock, and unlocked only by who holds it.",
    `${RESV}: dma_resv_assert_held`,
  ),
  rule(
    "SYN-009",
    "checker",
    "Several reservations are locked with one acquire context, never one after the other without.",
    `${WW}; ${RESV}: reservation_ww_class`,
  ),
  rule(
    "SYN-010",
    "checker",
    "Who is told to back off unlocks everything and takes the contended lock first.",
    `${WW}: EDEADLK, then ww_mutex_lock_slow`,
  ),
  rule(
    "SYN-011",
    "checker",
    "Reservations hold no containers: arrays and chains are unwrapped first.",
    `${RESV}: dma_resv_add_fence, WARN_ON dma_fence_is_container`,
  ),
  rule(
    "SYN-012",
    "checker",
    "An error is set on a fence before it signals, never after.",
    `${FENCE}: dma_fence_set_error`,
  ),
  rule(
    "SYN-013",
    "checker",
    "Nobody lets go of a fence that is not signaled.",
    `${FENCE}: dma_fence_release, EDEADLK`,
  ),
  rule(
    "SYN-014",
    "checker",
    "Waits have an order: a lock held while waiting for a fence is never waited for by who owes that fence.",
    "Linux 6.12, lockdep: circular dependency; dma-resv.c: dma_resv_lockdep",
  ),
  rule(
    "SYN-015",
    "checker",
    "A lock that was taken is given back.",
    "Linux 6.12, lockdep: lock held when returning",
  ),
  rule(
    "SYN-016",
    "checker",
    "Callbacks of a fence do not throw and do not wait.",
    `${FENCE}: dma_fence_add_callback, called with the fence's lock held`,
  ),
  rule(
    "SYN-017",
    "checker",
    "The CPU touches a buffer only inside a bracket and as the bracket allows.",
    `${SYNC}`,
  ),
  rule("SYN-018", "checker", "A bracket that was begun is ended, once.", `${SYNC}: START and END`),
  rule(
    "SYN-019",
    "checker",
    "A fence that is handed on exists: its work has been started, or it is signaled.",
    `${FENCES}: no future fences`,
  ),
  rule(
    "SYN-020",
    "checker",
    "A wait that was begun comes to its end.",
    `${FENCES}: no indefinite waits`,
  ),
  rule(
    "SYN-021",
    "checker",
    "Work that failed says so: the fence that ends it carries an error.",
    "Linux 6.12, drivers/dma-buf/dma-fence.c: dma_fence_set_error, before dma_fence_signal",
  ),
];
