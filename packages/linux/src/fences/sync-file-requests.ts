/**
 * Sync-file requests: the ioctls of a sync_file descriptor (include/uapi/linux/sync_file.h, 6.12).
 */
import { PeerbufError, type SyncFenceInfo } from "@peerbuf/core";
import { Descriptor } from "../sys/descriptor.ts";
import { ioctl, request } from "../sys/ioctl.ts";
import { addressOf } from "../sys/libc.ts";

const SYNC_IOC_MERGE: number = request("both", ">", 3, 48);
const SYNC_IOC_FILE_INFO: number = request("both", ">", 4, 56);
/** Since 6.4; ENOTTY before. */
const SYNC_IOC_SET_DEADLINE: number = request("write", ">", 5, 16);
/** struct sync_fence_info: obj_name[32], driver_name[32], status @64, flags @68, timestamp_ns @72. */
const FENCE_INFO_BYTES = 80;
const NAME_BYTES = 32;
/** More fences than one file has; a kernel that claims more is not believed. */
const FENCES_MAX = 2 ** 20;

/** 1 done, 0 active, a negative errno when the work failed. */
export function readStatus(file: Descriptor): number {
  const info = new DataView(new ArrayBuffer(56));
  ioctl(file, SYNC_IOC_FILE_INFO, new Uint8Array(info.buffer), "ask for its status");
  return info.getInt32(32, true);
}

export interface FileInfo {
  readonly name: string;
  readonly status: number;
  readonly fences: readonly SyncFenceInfo[];
}

/** One record for each fence behind the file. Two calls: the first asks how many there are. */
export function readInfo(file: Descriptor): FileInfo {
  const info = new DataView(new ArrayBuffer(56));
  const bytes = new Uint8Array(info.buffer);
  ioctl(file, SYNC_IOC_FILE_INFO, bytes, "ask for its fences");
  const count = Math.min(info.getUint32(40, true), FENCES_MAX);
  const records = new Uint8Array(count * FENCE_INFO_BYTES);
  if (count > 0) {
    info.setBigUint64(48, addressOf(records), true);
    ioctl(file, SYNC_IOC_FILE_INFO, bytes, "ask for its fences");
  }
  return {
    name: textOf(bytes.subarray(0, NAME_BYTES)),
    status: info.getInt32(32, true),
    fences: Array.from({ length: Math.min(count, info.getUint32(40, true)) }, (_, index) =>
      recordOf(records.subarray(index * FENCE_INFO_BYTES, (index + 1) * FENCE_INFO_BYTES)),
    ),
  };
}

/** A new file that is signaled when both are. The name is cut at 31 bytes by the kernel. */
export function merge(one: Descriptor, other: Descriptor, name: string): Descriptor {
  const argument = new DataView(new ArrayBuffer(48));
  const bytes = new Uint8Array(argument.buffer);
  new TextEncoder().encodeInto(name, bytes.subarray(0, NAME_BYTES - 1));
  argument.setInt32(32, other.number, true);
  ioctl(one, SYNC_IOC_MERGE, bytes, `merge it with ${other.what}`);
  return new Descriptor(argument.getInt32(36, true), `sync file "${name}"`);
}

/** A hint, in ns of CLOCK_MONOTONIC. `ARGUMENT_INVALID` for what is no time. */
export function setDeadline(file: Descriptor, deadlineNs: number): void {
  if (!Number.isFinite(deadlineNs)) {
    throw new PeerbufError("ARGUMENT_INVALID", `${String(deadlineNs)} is no time in ns`);
  }
  const argument = new DataView(new ArrayBuffer(16));
  argument.setBigUint64(0, BigInt(Math.max(0, Math.round(deadlineNs))), true);
  ioctl(file, SYNC_IOC_SET_DEADLINE, new Uint8Array(argument.buffer), "set a deadline");
}

function recordOf(record: Uint8Array): SyncFenceInfo {
  const view = new DataView(record.buffer, record.byteOffset, FENCE_INFO_BYTES);
  return {
    timelineName: textOf(record.subarray(0, NAME_BYTES)),
    driverName: textOf(record.subarray(NAME_BYTES, 2 * NAME_BYTES)),
    status: view.getInt32(64, true),
    timestampNs: Number(view.getBigUint64(72, true)),
  };
}

const textOf = (bytes: Uint8Array): string => {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
};
