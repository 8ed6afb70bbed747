/**
 * Partner card: device memory behind a BAR, for importers that take peer memory and nothing else.
 */
import {
  BARS,
  DEVICE,
  defineExporter,
  type ExporterDriver,
  P2P,
  PeerbufError,
  type PhysicalAddress,
  PhysicalRanges,
  type Placement,
  reason,
} from "@peerbuf/core";

const PEERS_ONLY = reason("PEERS_ONLY", "this partner shares device memory only");

export const partnerCard: ExporterDriver = defineExporter({
  name: "partner-card",
  needsDevice: true,
  open(services) {
    const provider = services.get(DEVICE);
    const [bar] = services.get(BARS).memory;
    if (bar === undefined) {
      throw new PeerbufError("SERVICE_MISSING", "the partner's device has no memory BAR");
    }
    let used = 0;
    return {
      api: {},
      allocate(sizeBytes) {
        if (used + sizeBytes > bar.sizeBytes) {
          throw new PeerbufError("MEMORY_EXHAUSTED", `the BAR holds ${bar.sizeBytes} bytes`);
        }
        const ranges = PhysicalRanges.of((bar.start + used) as PhysicalAddress, sizeBytes);
        bar.write(used, new Uint8Array(sizeBytes));
        used += sizeBytes;
        const placement: Placement = { target: "device", provider, ranges };
        return {
          types: [{ type: P2P, require: true }],
          reason: PEERS_ONLY,
          place: () => placement,
          release() {},
        };
      },
    };
  },
});
