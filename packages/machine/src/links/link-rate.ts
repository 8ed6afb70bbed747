/**
 * Link rate: what a PCIe link carries in one direction, in bytes a nanosecond after line coding.
 *
 * 8b/10b up to 5 GT/s, 128b/130b up to 32 GT/s, at 64 GT/s flits of 256 bytes of which 20 are not for
 * packets (PCIe 1.0 to 6.0). A skip ordered set takes one block in about 371 (4.2.7.3, every 370 to 375
 * blocks); at the older speeds the share is the same within a thousandth.
 */
const SKIP_SHARE = 370 / 371;
const FLIT_MTPS = 64_000;

export function linkBytesPerNs(speedMtps: number, width: number): number {
  return ((speedMtps * width) / 8000) * codingOf(speedMtps) * SKIP_SHARE;
}

/** In flit mode packets have no framing and no DLLPs of their own. */
export const isFlitMode = (speedMtps: number): boolean => speedMtps >= FLIT_MTPS;

function codingOf(speedMtps: number): number {
  if (speedMtps <= 5000) {
    return 8 / 10;
  }
  return isFlitMode(speedMtps) ? 236 / 256 : 128 / 130;
}
