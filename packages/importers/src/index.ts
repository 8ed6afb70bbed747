/** The public surface of `@peerbuf/importers`: one driver a line, and what its users name. */
export { type AcceleratorOptions, accelerator } from "./accelerator.ts";
export type { BulkTransfers } from "./bulk/bulk-driver.ts";
export type { BulkRange } from "./bulk/range.ts";
export { type GpuPeer, gpuPeer } from "./gpu-peer/gpu-peer.ts";
export type { ImportedBuffer } from "./gpu-peer/imported-buffer.ts";
export type { Negotiated } from "./negotiated.ts";
export type { NvmeIdentity } from "./nvme/identity.ts";
export type { NvmeOptions } from "./nvme/import.ts";
export type { DataPointers } from "./nvme/list-pool.ts";
export { type Nvme, type NvmeRange, type NvmeTransfer, nvme } from "./nvme/nvme.ts";
export { PageCursor } from "./nvme/page-cursor.ts";
export { buildPrps, type ListMemory, listPagesFor, type PrpList } from "./nvme/prp-list.ts";
export { buildSgl, type Sgl } from "./nvme/sgl-list.ts";
export type { PeerOptions } from "./peer-policy.ts";
export { platformDevice } from "./platform-device.ts";
export type { RdmaProtectionDomain } from "./rdma/protection-domain.ts";
export {
  connectQueuePairs,
  type RdmaAddress,
  type RdmaPart,
  type RdmaQueuePair,
  type RdmaQueuePairOptions,
  type RdmaRange,
  type RdmaTransfer,
} from "./rdma/queue-pair.ts";
export { type Rdma, rdma } from "./rdma/rdma.ts";
export type {
  RdmaAccess,
  RdmaFlavour,
  RdmaRegion,
  RdmaRegistration,
  RemoteRegion,
} from "./rdma/region.ts";
export { cutForTrbs } from "./usb/buffer-pieces.ts";
export { type Usb, usb } from "./usb.ts";
