/**
 * USB: a bulk storage device behind an xHCI host controller, the honest unknown.
 *
 * The controller does the DMA, so topology judges the controller's function in the device's place and may
 * say yes. Opened on a device behind it, the DMA layer refuses peer memory, since the device is no PCI
 * function (EREMOTEIO, Linux 6.12), and the transfer goes through system memory, on the record. Opened on the
 * controller's function itself, it goes peer to peer wherever a PCI function may. Nothing here knows any
 * of that: the driver takes what it is given.
 *
 * The layout: `drive` (transfers in turn), `mass-storage` (commands in wrappers), `host-controller` (from
 * reset to two pipes), `producer-ring`, `event-queue` and `contexts` (what controller and driver share).
 */
import { DEVICE, type DmaBuf, defineImporter, FENCES, type ImporterDriver } from "@peerbuf/core";
import { withMapping } from "./bulk/import.ts";
import { type BulkRange, checkedRange, piecesOf } from "./bulk/range.ts";
import type { Negotiated } from "./negotiated.ts";
import { lookAt, offerFor, type PeerOptions } from "./peer-policy.ts";
import { Drive } from "./usb/drive.ts";

/**
 * Errors of every call: `DEVICE_FAILED` with the completion code or when the drive refuses, `DEVICE_GONE` when
 * the driver is closed or the controller fell silent, `ARGUMENT_INVALID` for a range outside of buffer or
 * drive, and what attach and map refuse. Transfers run one after the other, in the order of the calls.
 */
export interface Usb {
  /** As the drive itself says. */
  capacityBytes(): Promise<number>;
  /** Buffer to drive: the controller reads the buffer. */
  write(buffer: DmaBuf, range?: BulkRange): Promise<Negotiated>;
  /** Drive to buffer: the controller writes the buffer. */
  read(buffer: DmaBuf, range?: BulkRange): Promise<Negotiated>;
}

export const usb: ImporterDriver<PeerOptions | undefined, Usb> = defineImporter<
  PeerOptions | undefined,
  Usb
>({
  name: "usb",
  needsDevice: true,

  open(services, options = {}) {
    const device = services.get(DEVICE);
    const fences = services.get(FENCES);
    const drive = new Drive(services);
    const importer = {
      name: "usb",
      device,
      offer: () => offerFor(options, device.limits),
      take: (proposal: Parameters<typeof lookAt>[1]) => lookAt(options, proposal),
    };

    /** How large the drive is it says only when it is up, which takes its time: that is checked then. */
    function transfer(buffer: DmaBuf, wish: BulkRange, toDrive: boolean): Promise<Negotiated> {
      const range = checkedRange(buffer, wish, Number.MAX_SAFE_INTEGER);
      const direction = toDrive ? "to-device" : "from-device";
      return withMapping(fences, buffer, importer, direction, ({ segments }) => {
        const pieces = piecesOf(segments, range.offset, range.lengthBytes);
        return drive.move({ pieces, offset: range.deviceOffset, toDrive });
      });
    }

    return {
      api: {
        capacityBytes: () => drive.capacityBytes(),
        write: async (buffer, range = {}) => await transfer(buffer, range, true),
        read: async (buffer, range = {}) => await transfer(buffer, range, false),
      },
      close: () => drive.close(),
    };
  },
});
