/**
 * Driver data: what RDMA drivers want to be told beyond the common commands, when a context is opened.
 *
 * User space drivers of libibverbs do this. For registering memory little is needed: most drivers want
 * nothing, some a few numbers (their headers below include/uapi/rdma). rxe and siw are run by tests; mlx5
 * and irdma are by their headers and were not run.
 */

/** enum rdma_driver_id. */
const MLX5 = 1;
const IRDMA = 9;

/** Zeros for the other drivers: one that wants more answers EINVAL when its device is opened. */
const NOTHING_BYTES = 16;

/** The driver's part of GET_CONTEXT. */
export function contextDataOf(driverId: number): Uint8Array {
  switch (driverId) {
    case MLX5:
      // struct mlx5_ib_alloc_ucontext_req: doorbell registers, of which some for low latency.
      return new Uint8Array(Uint32Array.of(16, 4).buffer);
    case IRDMA:
      // struct irdma_alloc_ucontext_req: userspace_ver @4 is IRDMA_ABI_VER, 5.
      return new Uint8Array(Uint32Array.of(0, 5, 0, 0).buffer);
    default:
      return new Uint8Array(NOTHING_BYTES);
  }
}

/** The driver's part of REG_MR: every driver takes zeros for ordinary memory. */
export const regionData = (): Uint8Array => new Uint8Array(NOTHING_BYTES);
