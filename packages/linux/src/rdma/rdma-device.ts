/**
 * RDMA device: registers memory with an RDMA NIC through its uverbs node, without libibverbs.
 *
 * A protection domain of its own holds the regions. Queue pairs and completions belong to the user's RDMA
 * library; what is given out here are the keys that they use.
 */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { type Direction, deviceReads, deviceWrites, PeerbufError } from "@peerbuf/core";
import type { LinuxBuffer } from "../buffers/linux-buffer.ts";
import { Descriptor } from "../sys/descriptor.ts";
import { missingNode } from "../sys/device-node.ts";
import { namesIn, textOf } from "../sys/kernel-files.ts";
import { addressOf } from "../sys/libc.ts";
import { MemoryMap } from "../sys/memory-map.ts";
import { contextDataOf, regionData } from "./driver-data.ts";
import { MemoryRegion } from "./memory-region.ts";
import {
  type CommandChannel,
  command,
  DESTROY_MR,
  DESTROY_PD,
  DMABUF_MR,
  driverData,
  findDriverId,
  GET_CONTEXT,
  invokeWrite,
  type Method,
  REG_DMABUF_MR,
  u32,
  u64,
  WRITE_CMD,
  writeCommand,
} from "./uverbs-requests.ts";

const FOLDER = "/dev/infiniband";
const O_RDWR = 2;

const GONE: ReadonlySet<string> = new Set(["EIO", "ENODEV"]);

/** enum ib_access_flags. */
const ACCESS = { LOCAL_WRITE: 1, REMOTE_WRITE: 2, REMOTE_READ: 4 } as const;

/** Paths of the RDMA devices of this machine; empty where there are none. */
export const rdmaNodes = (): string[] =>
  namesIn(FOLDER)
    .filter((name) => /^uverbs\d+$/.test(name))
    .map((name) => `${FOLDER}/${name}`);

export class RdmaDevice implements Disposable {
  readonly path: string;
  /** As the kernel calls it: `mlx5_0`, `rxe0`, ... */
  readonly name: string;
  readonly #channel: CommandChannel;
  readonly #domain: number;
  readonly #regions = new Set<MemoryRegion>();

  /**
   * Opens the node and makes a protection domain. `PLATFORM_MISSING` when the node is not there,
   * `SYSCALL_FAILED` with EACCES where it may not be opened, ENOTTY when it is no RDMA device, EINVAL when
   * its driver wants to be told more than this knows.
   */
  constructor(path: string) {
    if (!existsSync(path)) {
      const enabledBy = "CONFIG_INFINIBAND_USER_ACCESS and an RDMA device";
      throw missingNode(path, enabledBy, rdmaNodes());
    }
    this.path = path;
    const node = Descriptor.open(path, O_RDWR);
    try {
      this.name = nameOf(path);
      const driverId = findDriverId(node);
      this.#channel = { node, driverId };
      command(this.#channel, GET_CONTEXT, driverData(contextDataOf(driverId)), "open a context");
      this.#domain = this.#allocateDomain();
    } catch (error) {
      node.close();
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.#channel.node.isOpen;
  }

  /** Regions that were registered here and not given back. */
  get regionCount(): number {
    return this.#regions.size;
  }

  /**
   * Registers a whole buffer for what the device is about to do. A dma-buf is attached by the kernel
   * (REG_DMABUF_MR): `SYSCALL_FAILED` with EOPNOTSUPP from a driver without it, or with what the buffer's
   * exporter refused. A memfd is ordinary memory and is pinned where it is (REG_MR), while mapped here.
   * Addresses within the region are offsets: they begin at 0.
   */
  register(buffer: LinuxBuffer, direction: Direction): MemoryRegion {
    const access = accessFor(direction);
    const region =
      buffer.kind === "dma-buf"
        ? this.#registerDmaBuf(buffer, access)
        : this.#registerMemory(buffer, access);
    this.#regions.add(region);
    return region;
  }

  /** Gives back every region, then the device. `HANDLE_CLOSED` the second time. */
  close(): void {
    const { node } = this.#channel;
    node.number;
    try {
      this.#closeRegions();
      this.#destroy(DESTROY_PD, this.#domain, "give back the protection domain");
    } finally {
      node.close();
    }
  }

  /** Closes unless `close` did. */
  [Symbol.dispose](): void {
    if (this.isOpen) {
      this.close();
    }
  }

  /** All of them, whatever one of them says. */
  #closeRegions(): void {
    const said: unknown[] = [];
    for (const region of [...this.#regions]) {
      try {
        region.close();
      } catch (error) {
        said.push(error);
      }
    }
    if (said.length > 0) {
      throw said[0];
    }
  }

  /** struct ib_uverbs_alloc_pd: response (u64); the answer is the handle (u32). */
  #allocateDomain(): number {
    const answer = new Uint32Array(1);
    const output = new Uint8Array(answer.buffer);
    const attributes = writeCommand(WRITE_CMD.ALLOC_PD, new Uint8Array(8), output);
    const what = "make a protection domain";
    invokeWrite(this.#channel, [...attributes, ...driverData(new Uint8Array(0))], what);
    return answer[0] as number;
  }

  #registerDmaBuf(buffer: LinuxBuffer, access: number): MemoryRegion {
    const [lkey, rkey] = [new Uint32Array(1), new Uint32Array(1)];
    const handle = command(
      this.#channel,
      REG_DMABUF_MR,
      [
        { id: DMABUF_MR.HANDLE, kind: "new-handle" },
        { id: DMABUF_MR.PD_HANDLE, kind: "handle", number: this.#domain },
        { id: DMABUF_MR.OFFSET, kind: "in", bytes: u64(0) },
        { id: DMABUF_MR.LENGTH, kind: "in", bytes: u64(buffer.sizeBytes) },
        { id: DMABUF_MR.IOVA, kind: "in", bytes: u64(0) },
        { id: DMABUF_MR.FD, kind: "in", bytes: u32(buffer.descriptor.number) },
        { id: DMABUF_MR.ACCESS_FLAGS, kind: "in", bytes: u32(access) },
        { id: DMABUF_MR.RESP_LKEY, kind: "out", bytes: new Uint8Array(lkey.buffer) },
        { id: DMABUF_MR.RESP_RKEY, kind: "out", bytes: new Uint8Array(rkey.buffer) },
      ],
      "register a dma-buf",
    );
    const keys = { handle, localKey: lkey[0] as number, remoteKey: rkey[0] as number };
    return this.#regionOf(keys, buffer.sizeBytes, "dma-buf");
  }

  /**
   * struct ib_uverbs_reg_mr: response, start, length, hca_va (u64 each), pd_handle, access_flags; the answer
   * is handle, lkey, rkey. The mapping is shared memory, so a fork copies none of its pages.
   */
  #registerMemory(buffer: LinuxBuffer, access: number): MemoryRegion {
    const map = new MemoryMap(buffer.descriptor, buffer.sizeBytes);
    try {
      const input = new DataView(new ArrayBuffer(40));
      input.setBigUint64(8, addressOf(new Uint8Array(map.bytes)), true);
      input.setBigUint64(16, BigInt(buffer.sizeBytes), true);
      input.setUint32(32, this.#domain, true);
      input.setUint32(36, access, true);
      const answer = new Uint32Array(3);
      const output = new Uint8Array(answer.buffer);
      const attributes = writeCommand(WRITE_CMD.REG_MR, new Uint8Array(input.buffer), output);
      const what = `register ${buffer.sizeBytes} bytes of memory`;
      invokeWrite(this.#channel, [...attributes, ...driverData(regionData())], what);
      const [handle, localKey, remoteKey] = answer as unknown as [number, number, number];
      return this.#regionOf({ handle, localKey, remoteKey }, buffer.sizeBytes, "memory", map);
    } catch (error) {
      map.unmap();
      throw error;
    }
  }

  #regionOf(
    keys: { handle: number; localKey: number; remoteKey: number },
    sizeBytes: number,
    way: MemoryRegion["way"],
    map?: MemoryMap,
  ): MemoryRegion {
    const region: MemoryRegion = new MemoryRegion({ ...keys, sizeBytes, way }, () => {
      this.#regions.delete(region);
      try {
        this.#destroy(DESTROY_MR, keys.handle, `give back region ${keys.handle}`);
      } finally {
        map?.unmap();
      }
    });
    return region;
  }

  /** The kernel has destroyed the objects of a device that was pulled out (EIO): nothing is left to do then. */
  #destroy(method: Method, handle: number, what: string): void {
    try {
      command(this.#channel, method, [{ id: 0, kind: "handle", number: handle }], what);
    } catch (error) {
      if (!(error instanceof PeerbufError && GONE.has(error.errno))) {
        throw error;
      }
    }
  }
}

/** The kernel's access bits; a device that may write remotely must be allowed to write locally. */
function accessFor(direction: Direction): number {
  const reads = deviceReads(direction) ? ACCESS.REMOTE_READ : 0;
  return reads | (deviceWrites(direction) ? ACCESS.LOCAL_WRITE | ACCESS.REMOTE_WRITE : 0);
}

/** `SYSCALL_FAILED` with ENOTTY for a file that is no uverbs node. */
function nameOf(path: string): string {
  const file = `/sys/class/infiniband_verbs/${basename(path)}/ibdev`;
  if (!existsSync(file)) {
    throw new PeerbufError("SYSCALL_FAILED", `${path} is no RDMA device`, { errno: "ENOTTY" });
  }
  return textOf(file).trim();
}
