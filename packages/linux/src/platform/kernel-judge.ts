/**
 * Kernel judge: leaves the verdict on paths to the kernel, which gives it when a mapping is asked for.
 *
 * Says "possible" of every pair, so that the question is put; the refusal, if there is one, is on the record
 * as the DMA layer's. To judge beforehand, give the framework a judge made from this machine's topology.
 */
import type { Judge, PathVerdict } from "@peerbuf/core";

const ASK_THE_KERNEL: PathVerdict = {
  reads: "host-bridge",
  writes: "host-bridge",
  distance: 0,
  reasons: [{ code: "KERNEL_DECIDES", text: "The kernel says at map time whether it maps it." }],
};

export const kernelJudge: Judge = { name: "linux", judge: () => ASK_THE_KERNEL };
