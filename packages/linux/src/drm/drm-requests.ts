/**
 * DRM requests: the ioctls of a DRM node that share buffers (include/uapi/drm/drm.h, drm_mode.h and
 * vgem_drm.h, 6.12).
 */
import { request } from "../sys/ioctl.ts";

export const DRM_IOCTL_VERSION: number = request("both", "d", 0x00, 64);
export const DRM_IOCTL_GEM_CLOSE: number = request("write", "d", 0x09, 8);
export const DRM_IOCTL_GET_CAP: number = request("both", "d", 0x0c, 16);
export const DRM_IOCTL_PRIME_HANDLE_TO_FD: number = request("both", "d", 0x2d, 12);
export const DRM_IOCTL_PRIME_FD_TO_HANDLE: number = request("both", "d", 0x2e, 12);
export const DRM_IOCTL_MODE_CREATE_DUMB: number = request("both", "d", 0xb2, 32);
export const DRM_IOCTL_VGEM_FENCE_ATTACH: number = request("both", "d", 0x41, 16);
export const DRM_IOCTL_VGEM_FENCE_SIGNAL: number = request("write", "d", 0x42, 8);

export const DRM_CAP_PRIME = 5n;
export const PRIME_CAP_IMPORT = 1;
export const PRIME_CAP_EXPORT = 2;
/** DRM_CLOEXEC | DRM_RDWR. */
export const PRIME_FLAGS: number = 0x80000 | 2;
