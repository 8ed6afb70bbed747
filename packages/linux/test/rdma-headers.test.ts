/**
 * What no test has run, for want of an RDMA NIC that takes dma-bufs: the numbers and layouts of REG_DMABUF_MR and of
 * two drivers' contexts, against the kernel's headers. Without a C compiler it is skipped, with the reason.
 */
import { describe, expect, it } from "vitest";
import { contextDataOf } from "../src/rdma/driver-data.ts";
import * as uverbs from "../src/rdma/uverbs-requests.ts";
import { Descriptor } from "../src/sys/descriptor.ts";
import { libc } from "../src/sys/libc.ts";
import { bytesOf, isMissing, macros } from "./c-program.ts";

const COMMANDS: readonly string[] = [
  "linux/types.h",
  "rdma/rdma_user_ioctl_cmds.h",
  "rdma/ib_user_ioctl_cmds.h",
  "rdma/ib_user_ioctl_verbs.h",
  "rdma/ib_user_verbs.h",
];
const MLX5: readonly string[] = ["linux/types.h", "stdbool.h", "rdma/mlx5-abi.h"];
const IRDMA: readonly string[] = ["linux/types.h", "rdma/irdma-abi.h"];

/** The bytes that a command would give to the kernel, without giving them. */
function bytesOfCommand(
  method: uverbs.Method,
  attributes: readonly uverbs.Attribute[],
): Uint8Array {
  using node = Descriptor.open("/dev/null", 0);
  const { ioctl } = libc();
  let bytes = new Uint8Array();
  libc().ioctl = (_, __, argument) => {
    bytes = Uint8Array.from(argument as Uint8Array);
    return 0;
  };
  try {
    uverbs.command({ node, driverId: 1 }, method, attributes, "nothing");
    return bytes;
  } finally {
    libc().ioctl = ioctl;
  }
}

const isSkipped = process.platform !== "linux" || isMissing([...COMMANDS]);

describe.skipIf(isSkipped)("the kernel's headers of RDMA", () => {
  it("have our numbers of attributes, methods, objects and commands", () => {
    const prefix = "UVERBS_ATTR_REG_DMABUF_MR_";
    const ours = Object.fromEntries(
      Object.entries(uverbs.DMABUF_MR).map(([name, id]) => [`${prefix}${name}`, id]),
    );
    expect(Object.keys(ours).length).toBe(9);
    expect(ours).toEqual(macros(COMMANDS, Object.keys(ours)));
    const methods = {
      UVERBS_OBJECT_DEVICE: uverbs.GET_CONTEXT[0],
      UVERBS_METHOD_GET_CONTEXT: uverbs.GET_CONTEXT[1],
      UVERBS_OBJECT_PD: uverbs.DESTROY_PD[0],
      UVERBS_METHOD_PD_DESTROY: uverbs.DESTROY_PD[1],
      UVERBS_OBJECT_MR: uverbs.DESTROY_MR[0],
      UVERBS_METHOD_MR_DESTROY: uverbs.DESTROY_MR[1],
      UVERBS_METHOD_REG_DMABUF_MR: uverbs.REG_DMABUF_MR[1],
      IB_USER_VERBS_CMD_ALLOC_PD: uverbs.WRITE_CMD.ALLOC_PD,
      IB_USER_VERBS_CMD_REG_MR: uverbs.WRITE_CMD.REG_MR,
    };
    expect(methods).toEqual(macros(COMMANDS, Object.keys(methods)));
    expect(uverbs.REG_DMABUF_MR[0]).toBe(uverbs.DESTROY_MR[0]);
  });

  it("lay out a command as we write it", () => {
    const ours = bytesOfCommand(uverbs.REG_DMABUF_MR, [
      { id: uverbs.DMABUF_MR.HANDLE, kind: "new-handle" },
      { id: uverbs.DMABUF_MR.PD_HANDLE, kind: "handle", number: 77 },
      { id: uverbs.DMABUF_MR.LENGTH, kind: "in", bytes: uverbs.u64(2 ** 40) },
      { id: uverbs.DMABUF_MR.FD, kind: "in", bytes: uverbs.u32(42), isOptional: true },
    ]);
    const attributes = [
      "{ .attr_id = UVERBS_ATTR_REG_DMABUF_MR_HANDLE, .flags = UVERBS_ATTR_F_MANDATORY }",
      "{ .attr_id = UVERBS_ATTR_REG_DMABUF_MR_PD_HANDLE, .flags = UVERBS_ATTR_F_MANDATORY, .data_s64 = 77 }",
      "{ .attr_id = UVERBS_ATTR_REG_DMABUF_MR_LENGTH, .len = 8, .flags = UVERBS_ATTR_F_MANDATORY, .data = 1ull << 40 }",
      "{ .attr_id = UVERBS_ATTR_REG_DMABUF_MR_FD, .len = 4, .data = 42 }",
    ];
    const type = "struct { struct ib_uverbs_ioctl_hdr head; struct ib_uverbs_attr attributes[4]; }";
    const fill = `it.head.length = sizeof it; it.head.object_id = UVERBS_OBJECT_MR;
      it.head.method_id = UVERBS_METHOD_REG_DMABUF_MR; it.head.num_attrs = 4; it.head.driver_id = RDMA_DRIVER_MLX5;
      struct ib_uverbs_attr list[] = { ${attributes.join(", ")} }; memcpy(it.attributes, list, sizeof list);`;
    const headers = [...COMMANDS, "rdma/rdma_user_ioctl.h"];
    expect(ours).toEqual(bytesOf(headers, type, fill));
  });

  it.skipIf(isMissing(MLX5))(
    "lay out what mlx5 is told when a context is opened as we write it",
    () => {
      const fill = "it.total_num_bfregs = 16; it.num_low_latency_bfregs = 4;";
      const { RDMA_DRIVER_MLX5 = 0 } = macros(COMMANDS, ["RDMA_DRIVER_MLX5"]);
      expect(contextDataOf(RDMA_DRIVER_MLX5)).toEqual(
        bytesOf(MLX5, "struct mlx5_ib_alloc_ucontext_req", fill),
      );
    },
  );

  it.skipIf(isMissing(IRDMA))(
    "lay out what irdma is told when a context is opened as we write it",
    () => {
      const { RDMA_DRIVER_IRDMA = 0 } = macros(COMMANDS, ["RDMA_DRIVER_IRDMA"]);
      expect(contextDataOf(RDMA_DRIVER_IRDMA)).toEqual(
        bytesOf(IRDMA, "struct irdma_alloc_ucontext_req", "it.userspace_ver = IRDMA_ABI_VER;"),
      );
    },
  );
});
