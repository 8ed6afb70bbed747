/**
 * RDMA: other drivers' buffers as memory regions, read and written over the wire.
 *
 * Register a buffer on each side, connect two queue pairs, and the NICs move the bytes by their own
 * DMA, straight between a peer's memory and the wire if that was negotiated.
 *
 * The layout: `nic` (queues and completions), `region` (one buffer, from attach to deregistration),
 * `queue-pair` (one connection), `ring` and `entries` (what NIC and driver write to each other).
 */
import {
  DEVICE,
  type DmaBuf,
  defineImporter,
  type ImporterDriver,
  PeerbufError,
} from "@peerbuf/core";
import type { PeerOptions } from "../peer-policy.ts";
import { Nic, QUEUE_PAIRS_MAX } from "./nic.ts";
import { LiveQueuePair, type RdmaQueuePair } from "./queue-pair.ts";
import { LiveRegion, type RdmaAccess, type RdmaRegion } from "./region.ts";

/** Errors of every call: `DEVICE_FAILED` with the NIC's reason, `DEVICE_GONE` when it is closed or silent. */
export interface Rdma {
  /** Gives the NIC access to a buffer until the region is deregistered. Also throws what attach and map refuse. */
  register(buffer: DmaBuf, access?: RdmaAccess): Promise<RdmaRegion>;
  /** At most 32 at a time: `MEMORY_EXHAUSTED`. */
  createQueuePair(): Promise<RdmaQueuePair>;
}

export const rdma: ImporterDriver<PeerOptions | undefined, Rdma> = defineImporter<
  PeerOptions | undefined,
  Rdma
>({
  name: "rdma",
  needsDevice: true,

  open(services, options = {}) {
    const device = services.get(DEVICE);
    const nic = new Nic(services);
    const regions = new Set<LiveRegion>();
    const queuePairs = new Set<LiveQueuePair>();

    /** The NIC may have been closed in the very moment in which the last command was over. */
    function stillRunning<Held extends { letGo(): void }>(held: Held): Held {
      if (nic.isRunning) {
        return held;
      }
      held.letGo();
      throw new PeerbufError("DEVICE_GONE", `${nic.label} is closed`);
    }

    return {
      api: {
        async register(buffer, access = {}) {
          const gone = (region: LiveRegion): void => void regions.delete(region);
          const region = await LiveRegion.register(nic, device, buffer, access, options, gone);
          regions.add(region);
          return stillRunning(region);
        },

        async createQueuePair() {
          if (queuePairs.size >= QUEUE_PAIRS_MAX) {
            const what = `${nic.label} has ${QUEUE_PAIRS_MAX} queue pairs already`;
            throw new PeerbufError("MEMORY_EXHAUSTED", what);
          }
          const gone = (queuePair: LiveQueuePair): void => void queuePairs.delete(queuePair);
          const queuePair = await LiveQueuePair.create(nic, gone);
          queuePairs.add(queuePair);
          return stillRunning(queuePair);
        },
      },

      // Stopped first: then the NIC has forgotten all keys and nothing can be touched any more.
      close() {
        nic.stop("is closed");
        for (const held of [...queuePairs, ...regions]) {
          held.letGo();
        }
      },
    };
  },
});
