/**
 * RDMA: other drivers' buffers as memory regions, read and written over the wire.
 *
 * Register a buffer on each side, connect two queue pairs, and the NICs move the bytes by their own
 * DMA, straight between a peer's memory and the wire if that was negotiated.
 *
 * The layout: `nic` (queues, completions and events), `protection-domain`, `region` and `live-region` (one buffer, from attach
 * to deregistration), `translation` (its mapping, and how it comes and goes), `queue-pair` (one
 * connection), `ring`, `report-queue` and `entries` (what NIC and driver write to each other).
 */
import {
  DEVICE,
  type DmaBuf,
  defineImporter,
  type ImporterDriver,
  PeerbufError,
} from "@peerbuf/core";
import type { PeerOptions } from "../peer-policy.ts";
import { LiveRegion } from "./live-region.ts";
import { Nic, ON_DEMAND_REGIONS_MAX, QUEUE_PAIRS_MAX } from "./nic.ts";
import { allocateDomain, type RdmaProtectionDomain } from "./protection-domain.ts";
import { LiveQueuePair, type RdmaQueuePair, type RdmaQueuePairOptions } from "./queue-pair.ts";
import type { RdmaRegion, RdmaRegistration } from "./region.ts";
import { RNR_RETRY_FOREVER } from "./registers.ts";

/** Errors of every call: `DEVICE_FAILED` with the NIC's reason, `DEVICE_GONE` when it is closed or silent. */
export interface Rdma {
  /** Keys of its regions are good for its queue pairs only. */
  allocateProtectionDomain(): Promise<RdmaProtectionDomain>;
  /**
   * Gives the NIC access to a buffer until the region is deregistered. Also throws what attach and map
   * refuse; `MEMORY_EXHAUSTED` for more than 64 `on-demand` regions.
   */
  register(buffer: DmaBuf, wanted?: RdmaRegistration): Promise<RdmaRegion>;
  /** At most 32 at a time: `MEMORY_EXHAUSTED`. `ARGUMENT_INVALID` for RNR retries that are no count up to 7. */
  createQueuePair(options?: RdmaQueuePairOptions): Promise<RdmaQueuePair>;
}

export const rdma: ImporterDriver<PeerOptions | undefined, Rdma> = defineImporter<
  PeerOptions | undefined,
  Rdma
>({
  name: "rdma",
  needsDevice: true,

  open(services, policy = {}) {
    const device = services.get(DEVICE);
    const nic = new Nic(services);
    const regions = new Set<LiveRegion>();
    const queuePairs = new Set<LiveQueuePair>();
    let queuePairsInMaking = 0;
    let ownDomain: Promise<RdmaProtectionDomain> | undefined;

    /** The driver's own is made when the first needs it. */
    async function numberOf(domain: RdmaProtectionDomain | undefined): Promise<number> {
      if (domain === undefined) {
        ownDomain ??= allocateDomain(nic);
      }
      return (domain ?? (await ownDomain))?.number ?? 0;
    }

    /** The NIC may have been closed in the very moment in which the last command was over. */
    function stillRunning<Held extends { letGo(): void }>(held: Held): Held {
      if (nic.isRunning) {
        return held;
      }
      held.letGo();
      throw new PeerbufError("DEVICE_GONE", `${nic.label} is closed`);
    }

    function requireRoomFor({ flavour }: RdmaRegistration): void {
      const taken = [...regions].filter((region) => region.flavour === "on-demand").length;
      if (flavour === "on-demand" && taken >= ON_DEMAND_REGIONS_MAX) {
        const what = `${nic.label} has ${ON_DEMAND_REGIONS_MAX} regions on demand already`;
        throw new PeerbufError("MEMORY_EXHAUSTED", what);
      }
    }

    return {
      api: {
        async register(buffer, wanted = {}) {
          requireRoomFor(wanted);
          const gone = (region: LiveRegion): void => void regions.delete(region);
          const region = new LiveRegion({ nic, device, policy }, buffer, wanted, gone);
          regions.add(region);
          await region.start(() => numberOf(wanted.domain));
          return stillRunning(region);
        },

        allocateProtectionDomain: () => allocateDomain(nic),

        async createQueuePair({ domain, rnrRetry } = {}) {
          requireRetries(rnrRetry);
          if (queuePairs.size + queuePairsInMaking >= QUEUE_PAIRS_MAX) {
            const what = `${nic.label} has ${QUEUE_PAIRS_MAX} queue pairs already`;
            throw new PeerbufError("MEMORY_EXHAUSTED", what);
          }
          const gone = (queuePair: LiveQueuePair): void => void queuePairs.delete(queuePair);
          queuePairsInMaking++;
          try {
            const number = await numberOf(domain);
            const queuePair = await LiveQueuePair.create(nic, number, rnrRetry, gone);
            queuePairs.add(queuePair);
            return stillRunning(queuePair);
          } finally {
            queuePairsInMaking--;
          }
        },
      },

      // Stopped first: then the NIC has forgotten all keys and nothing can be touched any more.
      close() {
        nic.stop();
        for (const held of [...queuePairs, ...regions]) {
          held.letGo();
        }
      },
    };
  },
});

function requireRetries(rnrRetry: number | undefined): void {
  const isCount = Number.isInteger(rnrRetry) && (rnrRetry as number) >= 0;
  if (rnrRetry !== undefined && !(isCount && rnrRetry <= RNR_RETRY_FOREVER)) {
    throw new PeerbufError("ARGUMENT_INVALID", `${rnrRetry} is no number of RNR retries, 0 to 7`);
  }
}
