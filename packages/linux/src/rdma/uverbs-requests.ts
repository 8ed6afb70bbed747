/**
 * uverbs requests: commands to an RDMA device as attributes (include/uapi/rdma/rdma_user_ioctl_cmds.h and
 * ib_user_ioctl_cmds.h, 6.12).
 *
 * One ioctl carries every command: which object, which method, and a list of attributes, each with a value
 * in it or a pointer to one. Old commands travel inside of the method INVOKE_WRITE.
 */
import { PeerbufError } from "@peerbuf/core";
import type { Descriptor } from "../sys/descriptor.ts";
import { ioctl, request } from "../sys/ioctl.ts";
import { addressOf } from "../sys/libc.ts";

const RDMA_VERBS_IOCTL: number = request("both", "\u001b", 1, 24);
/** struct ib_uverbs_ioctl_hdr: length, object_id, method_id, num_attrs (u16 each), driver_id (u32) @16. */
const HEADER_BYTES = 24;
/** struct ib_uverbs_attr: attr_id, len, flags, attr_data (u16 each), data (u64) @8. */
const ATTRIBUTE_BYTES = 16;
/** Values up to here stand in the attribute itself. */
const INLINE_BYTES_MAX = 8;
const MANDATORY = 1;

/** A method of an object, as `[object, method]`. */
export type Method = readonly [object: number, method: number];

export const GET_CONTEXT: Method = [0, 3];
const INVOKE_WRITE: Method = [0, 0];
export const DESTROY_PD: Method = [1, 0];
export const DESTROY_MR: Method = [7, 1];
export const REG_DMABUF_MR: Method = [7, 4];

/** Attributes of REG_DMABUF_MR (enum uverbs_attrs_reg_dmabuf_mr_cmd_attr_ids). */
export const DMABUF_MR = {
  HANDLE: 0,
  PD_HANDLE: 1,
  OFFSET: 2,
  LENGTH: 3,
  IOVA: 4,
  FD: 5,
  ACCESS_FLAGS: 6,
  RESP_LKEY: 7,
  RESP_RKEY: 8,
} as const;

/** No object has this number: the kernel says so, once the driver's number is right. */
const NO_OBJECT: Method = [0x3fff, 0];

/** enum ib_uverbs_write_cmds. */
export const WRITE_CMD = { ALLOC_PD: 3, REG_MR: 9 } as const;

/** Attributes that go to the driver alone (UVERBS_UDATA_DRIVER_DATA_FLAG and the one after it). */
const DRIVER_IN = 0x1000;
const DRIVER_OUT = 0x1001;
/** More than any driver answers; the kernel copies what it has. */
const DRIVER_OUT_BYTES = 64;

/** One attribute of a command. */
export interface Attribute {
  readonly id: number;
  readonly kind: "in" | "out" | "handle" | "new-handle";
  /** The value, or the room for it. */
  readonly bytes?: Uint8Array;
  /** Of a handle. */
  readonly number?: number;
  /** Does not matter to a kernel that does not know it. */
  readonly isOptional?: boolean;
}

/** Values as the kernel wants them. */
export const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
export const u64 = (value: number): Uint8Array =>
  new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);

/** What a driver gets and gives beside the common part of a command. */
export const driverData = (bytes: Uint8Array): readonly Attribute[] => [
  { id: DRIVER_IN, kind: "in", bytes, isOptional: true },
  { id: DRIVER_OUT, kind: "out", bytes: new Uint8Array(DRIVER_OUT_BYTES), isOptional: true },
];

/** An old command and the room for its answer. */
export const writeCommand = (
  command: number,
  input: Uint8Array,
  output: Uint8Array,
): readonly Attribute[] => [
  { id: 0, kind: "in", bytes: input },
  { id: 1, kind: "out", bytes: output },
  { id: 2, kind: "in", bytes: u64(command) },
];

/** A device's command channel: its node, and the number of its kernel driver, which every command names. */
export interface CommandChannel {
  readonly node: Descriptor;
  readonly driverId: number;
}

/**
 * Runs one command; the kernel writes into `out` attributes. Answers the new handle where one was asked for,
 * else 0. `SYSCALL_FAILED` with the kernel's errno.
 */
export function command(
  { node, driverId }: CommandChannel,
  method: Method,
  attributes: readonly Attribute[],
  what: string,
): number {
  const bytes = new Uint8Array(HEADER_BYTES + attributes.length * ATTRIBUTE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, bytes.length, true);
  view.setUint16(2, method[0], true);
  view.setUint16(4, method[1], true);
  view.setUint16(6, attributes.length, true);
  view.setUint32(16, driverId, true);
  attributes.forEach((attribute, index) => {
    writeAttribute(view, HEADER_BYTES + index * ATTRIBUTE_BYTES, attribute);
  });
  ioctl(node, RDMA_VERBS_IOCTL, bytes, what);
  const made = attributes.findIndex(({ kind }) => kind === "new-handle");
  return made < 0 ? 0 : view.getUint32(HEADER_BYTES + made * ATTRIBUTE_BYTES + 8, true);
}

export const invokeWrite = (
  channel: CommandChannel,
  attributes: readonly Attribute[],
  what: string,
): number => command(channel, INVOKE_WRITE, attributes, what);

function writeAttribute(view: DataView, at: number, attribute: Attribute): void {
  const { id, kind, bytes, number = 0, isOptional = false } = attribute;
  view.setUint16(at, id, true);
  view.setUint16(at + 4, isOptional ? 0 : MANDATORY, true);
  if (bytes === undefined) {
    view.setBigInt64(at + 8, BigInt(number), true);
    return;
  }
  view.setUint16(at + 2, bytes.length, true);
  if (kind === "in" && bytes.length <= INLINE_BYTES_MAX) {
    new Uint8Array(view.buffer).set(bytes, at + 8);
  } else {
    view.setBigUint64(at + 8, addressOf(bytes), true);
  }
}

/** enum rdma_driver_id has 21 members in 6.12. */
const DRIVER_IDS_MAX = 64;

/**
 * The number of the device's kernel driver (enum rdma_driver_id). The kernel refuses a command that names
 * another one (EINVAL) before it looks at the object, so an object that is none tells which is right
 * (EPROTONOSUPPORT). `SYSCALL_FAILED` with ENOTTY for a node that is no RDMA device.
 */
export function findDriverId(node: Descriptor): number {
  for (let driverId = 0; driverId < DRIVER_IDS_MAX; driverId++) {
    try {
      command({ node, driverId }, NO_OBJECT, [], "ask for its driver");
    } catch (error) {
      if (!(error instanceof PeerbufError)) {
        throw error;
      }
      if (error.errno === "EPROTONOSUPPORT") {
        return driverId;
      }
      if (error.errno !== "EINVAL") {
        throw error;
      }
    }
  }
  const message = `${node.what} answers to none of ${DRIVER_IDS_MAX} driver numbers`;
  throw new PeerbufError("SYSCALL_FAILED", message, { errno: "EPROTONOSUPPORT" });
}
