/** The public surface of `@peerbuf/linux`. Everything not named here is private. */
export type { BufferIdentity, BufferKind } from "./buffers/descriptor-facts.ts";
export type { Use } from "./buffers/dma-buf-requests.ts";
export { dmaHeap, dmaHeapNames } from "./buffers/dma-heap.ts";
export { fromFd, sharedMemory } from "./buffers/from-fd.ts";
export { LinuxBuffer } from "./buffers/linux-buffer.ts";
export { P2pMemory, type P2pProvider, p2pProviders } from "./buffers/p2p-memory.ts";
export { type MemfdPiece, UDMABUF_ITEMS_MAX, udmabuf } from "./buffers/udmabuf.ts";
export { MonotonicClock } from "./clock.ts";
export type { CpuAccess } from "./cpu-access/bracket.ts";
export { MAPPED_BYTES_MAX } from "./cpu-access/map-cache.ts";
export { dmaBufExporter } from "./drivers/dma-buf-exporter.ts";
export {
  type DriveApi,
  type DriveOptions,
  type DriveTransfer,
  driveImporter,
} from "./drivers/drive-importer.ts";
export { type KernelImporterApi, kernelImporter } from "./drivers/kernel-importer-driver.ts";
export { p2pMemoryExporter } from "./drivers/p2p-memory-exporter.ts";
export {
  type RdmaApi,
  type RdmaOptions,
  type RdmaRegistration,
  rdmaImporter,
} from "./drivers/rdma-importer.ts";
export { DrmDevice, type DumbBuffer, drmNodes } from "./drm/drm-device.ts";
export { attachVgemFence, signalVgemFence } from "./drm/vgem-fences.ts";
export { exportSyncFile, importSyncFile } from "./fences/buffer-fences.ts";
export { kernelFences } from "./fences/kernel-fence.ts";
export { LinuxSyncFile } from "./fences/linux-sync-file.ts";
export type { MappedBytes, Stretch } from "./platform/address-book.ts";
export { KERNEL_BUFFERS, type KernelBuffers } from "./platform/kernel-buffers.ts";
export type { KernelAttachment, KernelImporter } from "./platform/kernel-importer.ts";
export { kernelJudge } from "./platform/kernel-judge.ts";
export type { MemorySource } from "./platform/linux-host-memory.ts";
export {
  createLinuxPlatform,
  type LinuxPlatform,
  type LinuxPlatformOptions,
} from "./platform/linux-platform.ts";
export type { MemoryRegion } from "./rdma/memory-region.ts";
export { RdmaDevice, rdmaNodes } from "./rdma/rdma-device.ts";
export { RdmaNic } from "./rdma/rdma-nic.ts";
export { Channel, channelPair, type Delivery } from "./sharing/channel.ts";
export type { Json } from "./sharing/envelope.ts";
export { connect, Listener } from "./sharing/listener.ts";
export { BlockDevice, type DirectMemory, type Extent } from "./storage/block-device.ts";
export type { BlindSpot } from "./survey/blind-spot.ts";
export type { Holder } from "./survey/holders.ts";
export type { FenceUse, PendingFence } from "./survey/pending-fence.ts";
export {
  type Survey,
  type SurveyedBuffer,
  type SurveyOptions,
  surveyBuffers,
} from "./survey/survey.ts";
export type { ExporterTotal, ProcessTotal } from "./survey/totals.ts";
export { Descriptor } from "./sys/descriptor.ts";
export { type OpenHandle, openHandles } from "./sys/handle-ledger.ts";
export { MESSAGE_BYTES_MAX } from "./sys/packet.ts";
export { RawSocket, rawBracket, rawLookAndClose } from "./sys/raw-calls.ts";
export type { ReadinessOptions } from "./sys/wait-limits.ts";
export type { PictureFormat, PictureWish, PlaneLayout } from "./v4l2/picture-format.ts";
export { V4l2Capture, type V4l2CaptureOptions } from "./v4l2/v4l2-capture.ts";
export type { FramePlane, VideoFrame } from "./v4l2/video-frame.ts";
export { videoNodes } from "./v4l2/video-node.ts";
